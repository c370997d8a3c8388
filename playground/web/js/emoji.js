// Emoji by their names: those that the bot and people use; an unknown name stays as it is.

const NAMES = {
  "+1": "👍", "-1": "👎", thumbsup: "👍", thumbsdown: "👎", eyes: "👀", white_check_mark: "✅",
  heavy_check_mark: "✔️", x: "❌", octagonal_sign: "🛑", stop_sign: "🛑", no_entry: "⛔", warning: "⚠️",
  clock1: "🕐", hourglass: "⌛", hourglass_flowing_sand: "⏳", zzz: "💤", robot_face: "🤖",
  tada: "🎉", heart: "❤️", smile: "😄", slightly_smiling_face: "🙂", joy: "😂", thinking_face: "🤔",
  wave: "👋", pray: "🙏", rocket: "🚀", fire: "🔥", bulb: "💡", bug: "🐛", wrench: "🔧", hammer: "🔨",
  memo: "📝", lock: "🔒", closed_lock_with_key: "🔐", key: "🔑", question: "❓", grey_question: "❔",
  exclamation: "❗", arrow_forward: "▶️", double_vertical_bar: "⏸️", black_square_for_stop: "⏹️",
  arrows_counterclockwise: "🔄", link: "🔗", package: "📦", file_folder: "📁", page_facing_up: "📄",
  computer: "💻", gear: "⚙️", mag: "🔍", chart_with_upwards_trend: "📈", moneybag: "💰", bell: "🔔",
  no_bell: "🔕", speech_balloon: "💬", star: "⭐", sparkles: "✨", "100": "💯", ok_hand: "👌", clap: "👏",
  raised_hands: "🙌", point_right: "👉", point_up: "☝️", red_circle: "🔴", large_green_circle: "🟢",
  large_yellow_circle: "🟡", large_blue_circle: "🔵", white_circle: "⚪", heavy_plus_sign: "➕",
  heavy_minus_sign: "➖", recycle: "♻️", construction: "🚧", rotating_light: "🚨", dart: "🎯",
  whale: "🐳", snake: "🐍", octocat: "🐙", coffee: "☕", seedling: "🌱", boom: "💥", skull: "💀",
  ballot_box_with_check: "☑️", lady_beetle: "🐞", hammer_and_wrench: "🛠️", stopwatch: "⏱️",
};

/** The picture of `:name:`; undefined when there is none. */
export const emoji = (name) =>
  Object.hasOwn(NAMES, name.split("::")[0]) ? NAMES[name.split("::")[0]] : undefined;

/** What is shown for a reaction: the picture, or its name between colons. */
export const reactionFace = (name) => emoji(name) ?? `:${name}:`;

/** The ones that the picker offers first. */
export const OFFERED = ["+1", "-1", "eyes", "white_check_mark", "octagonal_sign", "tada", "heart", "thinking_face", "rocket", "question"];

export const emojiNames = () => Object.keys(NAMES);
