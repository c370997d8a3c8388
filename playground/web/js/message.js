// One message as a row: who, when, blocks, files, reactions, its thread, and what can be done with it.

import { act, ask } from "./api.js";
import { renderBlocks } from "./blocks.js";
import { toast, showMenu } from "./dialogs.js";
import { count, h, icon, iconButton, shortTimeOf, timeOf } from "./dom.js";
import { OFFERED, emojiNames, reactionFace } from "./emoji.js";
import { files } from "./files.js";
import { mrkdwn } from "./mrkdwn.js";
import { go } from "./routes.js";
import { state } from "./store.js";

const LONG_CHARS = 5000;
const HUES = [168, 24, 262, 338, 205, 95];

/** The picture of a person: initials on a colour of their own; the app has its own. */
export function avatar(user) {
  if (user?.is_bot) return h("img", { class: "avatar", src: "/web/icon.svg", alt: "" });
  const name = user?.real_name ?? "?";
  const initials = name.split(" ").map((word) => word[0]).join("").slice(0, 2);
  const hue = HUES[[...(user?.name ?? "?")].reduce((sum, char) => sum + char.codePointAt(0), 0) % HUES.length];
  const node = h("span", { class: "avatar", "aria-hidden": "true" }, initials);
  node.style.setProperty("--hue", String(hue));
  return node;
}

const run = (promise) => promise.catch((error) => toast(error.message));

/** The row of a message. `place` is {channel, inThread, grouped, thread: {count, news, last}}. */
export function messageRow(message, place) {
  const user = state.users.get(message.user);
  const name = user?.real_name ?? message.user;
  const context = { channel: place.channel, ts: message.ts };
  const long = textLength(message) > LONG_CHARS;
  const body = h("div", { class: `content${long ? " long" : ""}` }, content(message, context));
  return h("article", {
    class: `message${place.grouped ? " grouped" : ""}${place.isPrivate ? " private" : ""}`,
    tabIndex: -1, "aria-label": `${name}, ${timeOf(message.ts)}`, data: { ts: message.ts },
  },
  place.grouped ? h("time", { class: "side-time" }, shortTimeOf(message.ts)) : avatar(user),
  h("div", { class: "body" },
    place.isPrivate ? h("div", { class: "only-you" }, icon("eye"), "Only visible to you") : null,
    place.grouped ? null : h("header", {},
      h("strong", { dir: "auto" }, name), user?.is_bot ? h("span", { class: "tag" }, "App") : null,
      user?.is_guest ? h("span", { class: "tag" }, "Guest") : null, h("time", {}, timeOf(message.ts))),
    message.subtype === "thread_broadcast" && !place.inThread ? h("div", { class: "quiet" }, "also sent from a thread") : null,
    body,
    long ? moreButton(body) : null,
    message.edited && !user?.is_bot ? h("span", { class: "edited" }, "(edited)") : null,
    files(message.files),
    reactions(message, place),
    place.thread ? threadLine(message, place) : null),
  place.isPrivate ? dismissal(message) : toolbar(message, place, user));
}

function content(message, context) {
  if (message.blocks?.length) return renderBlocks(message.blocks.map((block) => plainAsMrkdwn(block, message)), context);
  return h("div", { class: "block text", dir: "auto" }, mrkdwn(message.text));
}

/** Slack reads what people type as mrkdwn; the playground stores it as one plain run of text. */
function plainAsMrkdwn(block, message) {
  const isTyped = block.type === "rich_text" && message.blocks.length === 1 && message.text;
  return isTyped ? { type: "section", text: { type: "mrkdwn", text: message.text } } : block;
}

function textLength(message) {
  return Math.max(message.text?.length ?? 0, JSON.stringify(message.blocks ?? []).length);
}

function moreButton(body) {
  return h("button", {
    type: "button", class: "link-button", "aria-expanded": "false",
    onclick: (event) => {
      const open = body.classList.toggle("open");
      event.target.textContent = open ? "Show less" : "Show more";
      event.target.setAttribute("aria-expanded", String(open));
    },
  }, "Show more");
}

function reactions(message, place) {
  if (!message.reactions?.length || place.isPrivate) return null;
  return h("div", { class: "reactions" }, message.reactions.map((reaction) => {
    const own = reaction.users.includes(state.me);
    const who = reaction.users.map((id) => state.users.get(id)?.name ?? id).join(", ");
    return h("button", {
      type: "button", class: `reaction${own ? " own" : ""}`, "aria-pressed": String(own), data: { key: `reaction:${reaction.name}` },
      title: `:${reaction.name}: ${who}`, "aria-label": `${reaction.name}, ${count(reaction.count, "person")}: ${who}`.replace("persons", "people"),
      onclick: () => react(place.channel, message.ts, reaction.name, !own),
    }, h("span", { "aria-hidden": "true" }, reactionFace(reaction.name)), String(reaction.count));
  }));
}

export function react(channel, ts, name, present) {
  return run(act(present ? "react" : "unreact", { channel, ts, name }));
}

function threadLine(message, place) {
  const { thread } = place;
  return h("button", {
    type: "button", class: "thread-line", data: { key: "thread" },
    onclick: () => go({ place: place.channel, thread: message.ts }),
  },
  h("span", { class: "faces" }, thread.users.slice(0, 3).map((id) => avatar(state.users.get(id)))),
  h("span", { class: "link" }, count(thread.count, "reply").replace("replys", "replies")),
  thread.news ? h("span", { class: "badge", "aria-label": count(thread.news, "new notification") }, String(thread.news)) : null,
  h("span", { class: "quiet" }, `last at ${timeOf(thread.last)}`));
}

function dismissal(message) {
  return h("div", { class: "toolbar" }, iconButton("close", "Dismiss", () => run(act("dismiss", { ts: message.ts }))));
}

function toolbar(message, place, user) {
  const { channel } = place;
  const own = (name) => message.reactions?.some((r) => r.name === name && r.users.includes(state.me));
  const quick = ["eyes", "octagonal_sign"].map((name) => h("button", {
    type: "button", class: "icon-button", title: `React with :${name}:`, "aria-label": `React with ${name}`,
    data: { key: `quick:${name}` }, onclick: () => react(channel, message.ts, name, !own(name)),
  }, reactionFace(name)));
  return h("div", { class: "toolbar", role: "group", "aria-label": "Message actions" }, quick,
    iconButton("smile", "Add a reaction", (event) => picker(event.currentTarget, message, channel),
      { "aria-haspopup": "menu", data: { key: "picker" } }),
    place.inThread ? null : iconButton("thread", "Reply in thread", () => go({ place: channel, thread: message.ts }), { data: { key: "reply" } }),
    iconButton("more", "More", (event) => more(event.currentTarget, message, place, user),
      { "aria-haspopup": "menu", data: { key: "more" } }));
}

function picker(opener, message, channel) {
  const names = [...OFFERED, ...emojiNames().filter((name) => !OFFERED.includes(name))].slice(0, 40);
  showMenu(opener, "Reactions", names.map((name) => ({
    label: name, face: reactionFace(name), onclick: () => react(channel, message.ts, name, true),
  })), true);
}

function more(opener, message, place, user) {
  const { channel } = place;
  const items = state.info.shortcuts.map((shortcut) => ({
    label: `${shortcut.name} · Threadsmith`,
    onclick: () => run(ask("shortcut", { callback_id: shortcut.callback_id, channel, ts: message.ts })),
  }));
  items.push({ label: "Copy link", onclick: () => copyLink(channel, message) });
  if (user?.id === state.me) {
    items.push({ label: "Edit message", onclick: () => edit(channel, message) });
    items.push({ label: "Delete message", danger: true, onclick: () => run(act("delete", { channel, ts: message.ts })) });
  }
  showMenu(opener, "Message shortcuts", items);
}

function copyLink(channel, message) {
  const thread = message.thread_ts ? `?thread_ts=${message.thread_ts}` : "";
  const address = `${location.origin}/archives/${channel}/p${message.ts.replace(".", "")}${thread}`;
  run(navigator.clipboard.writeText(address).then(() => toast("The link is copied.")));
}

/** Put a field in the place of a message's content until it is saved or left. */
function edit(channel, message) {
  const row = document.querySelector(`.message[data-ts="${message.ts}"] .content`);
  if (!row) return;
  const before = [...row.childNodes];
  const leave = () => row.replaceChildren(...before);
  const save = async () => {
    const text = field.value.trim();
    leave();
    if (text && text !== message.text) await run(act("edit", { channel, ts: message.ts, text }));
  };
  const field = h("textarea", {
    class: "edit-field", "aria-label": "Edit message", rows: 2, value: message.text, dir: "auto",
    onkeydown: (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        save();
      } else if (event.key === "Escape") {
        event.stopPropagation();
        leave();
      }
    },
  });
  row.replaceChildren(field, h("div", { class: "edit-end" },
    h("button", { type: "button", class: "button", onclick: leave }, "Cancel"),
    h("button", { type: "button", class: "button primary", onclick: save }, "Save")));
  field.focus();
}
