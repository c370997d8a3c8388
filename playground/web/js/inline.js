// What mrkdwn and markdown share: people, channels and emoji inside a line of text.

import { h } from "./dom.js";
import { emoji } from "./emoji.js";
import { state } from "./store.js";

/** A person's mention as a chip; marked when it is whoever looks. */
export function person(id, label) {
  const user = state.users.get(id);
  const own = id === state.me ? " own" : "";
  return h("span", { class: `mention${own}` }, `@${user?.name ?? label ?? id}`);
}

export function channel(id, label) {
  const found = state.channels.get(id);
  return h("span", { class: "mention" }, `#${found?.name ?? label ?? id}`);
}

export function group(name) {
  return h("span", { class: "mention own" }, `@${name}`);
}

/** Text with `:emoji:` in it, as nodes. */
export function withEmoji(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(/:([a-z0-9_+-]{1,60}(?:::skin-tone-[2-6])?):/g)) {
    const face = emoji(match[1]);
    if (!face) continue;
    if (match.index > from) nodes.push(text.slice(from, match.index));
    nodes.push(face);
    from = match.index + match[0].length;
  }
  if (from < text.length) nodes.push(text.slice(from));
  return nodes;
}

/** Lines as nodes with breaks between them. */
export function lines(parts) {
  return parts.flatMap((part, index) => (index ? [h("br"), part] : [part]));
}
