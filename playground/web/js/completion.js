// What could follow what is typed: commands, their words, options, repositories, models, people.

import { state } from "./store.js";

const MOST = 12;

/** Suggestions {label, about, insert, typed, enters} for the text before the cursor. */
export function complete(text, inThread) {
  const mention = /(?:^|\s)@([a-z0-9_.-]*)$/.exec(text);
  if (mention) return people(mention[1]);
  const command = /^\/(\S*)$/.exec(text);
  if (command) return commands(command[1], inThread);
  const known = state.info.commands.find((one) => text.startsWith(`${one.command} `));
  return known && !inThread ? words(known, text.slice(known.command.length + 1)) : [];
}

function people(typed) {
  return [...state.users.values()]
    .filter((user) => user.id !== state.me && user.name.startsWith(typed))
    .map((user) => ({ label: `@${user.name}`, about: user.real_name, insert: `@${user.name}`, typed: `@${typed}`, enters: true }))
    .slice(0, MOST);
}

function commands(typed, inThread) {
  const own = state.info.commands.map((one) => [one.command, inThread ? "not in threads: reply instead" : one.hint]);
  return [...own, ["/invite", "add Threadsmith to this channel"]]
    .filter(([name]) => name.startsWith(`/${typed}`))
    .map(([name, about]) => ({ label: name, about, insert: name, typed: `/${typed}`, enters: true }));
}

/** The next word of a command: the first may be a sub-command or a repository, later ones options. */
function words(known, rest) {
  const parts = rest.split(/\s+/);
  const typed = parts.at(-1);
  const before = parts.slice(0, -1);
  if (!before.length) {
    return pick(typed, [...known.repositories.map((name) => ({ word: name, about: "repository" })), ...known.words]);
  }
  if (before.at(-1) === "--model") return pick(typed, known.models.map((word) => ({ word, about: "model" })));
  const isTask = before.slice(1).some((word, index) => !word.startsWith("--") && !before[index].startsWith("--"));
  if (isTask || known.words.some((one) => one.word === before[0])) return [];
  return typed.startsWith("-") ? pick(typed, known.options) : [];
}

function pick(typed, offered) {
  return offered
    .filter(({ word }) => word.startsWith(typed) && word !== typed)
    .map(({ word, about }) => ({ label: word, about, insert: word, typed, enters: typed !== "" }))
    .slice(0, MOST);
}
