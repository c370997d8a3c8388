// The inside of a paragraph of standard markdown: code, emphasis, links, breaks.

import { h, link } from "./dom.js";
import { person, withEmoji } from "./inline.js";

const REACH = 4000;
const DEEPEST = 8;
const PUNCTUATION = /[!-/:-@[-`{-~]/;

/** Text as nodes. */
export function spans(text, depth = 0) {
  const nodes = [];
  let plain = "";
  const flush = () => {
    if (plain) nodes.push(...withEmoji(plain));
    plain = "";
  };
  for (let at = 0; at < text.length; ) {
    const char = text[at];
    if (char === "\\" && PUNCTUATION.test(text[at + 1] ?? "")) {
      plain += text[at + 1];
      at += 2;
      continue;
    }
    const found = depth < DEEPEST && "`*_~[!<h\n".includes(char) ? special(text, at, depth) : null;
    if (found) {
      flush();
      nodes.push(...[found.node].flat());
      at = found.end;
    } else {
      plain += char;
      at += 1;
    }
  }
  flush();
  return nodes;
}

/** What begins at `at`, if it is more than a character: {node, end}. */
function special(text, at, depth) {
  switch (text[at]) {
    case "\n":
      return { node: h("br"), end: at + 1 };
    case "`":
      return code(text, at);
    case "<":
      return angle(text, at);
    case "h":
      return bare(text, at);
    case "!":
      return text[at + 1] === "[" ? labelled(text, at + 1, depth) : null;
    case "[":
      return labelled(text, at, depth);
    default:
      return emphasis(text, at, depth);
  }
}

function code(text, at) {
  const run = /^`+/.exec(text.slice(at, at + 50))[0];
  for (let end = text.indexOf(run, at + run.length); end > 0; end = text.indexOf(run, end + 1)) {
    if (text[end + run.length] === "`" || text[end - 1] === "`") continue;
    return { node: h("code", {}, text.slice(at + run.length, end).replace(/^ (.*) $/s, "$1")), end: end + run.length };
  }
  return { node: run, end: at + run.length };
}

function angle(text, at) {
  const found = /^<(@[UW][A-Z0-9]{2,20}|https?:\/\/[^\s<>]{1,2000})>/.exec(text.slice(at, at + 2100));
  if (!found) return null;
  const node = found[1].startsWith("@") ? person(found[1].slice(1)) : link(found[1], found[1]);
  return { node, end: at + found[0].length };
}

function bare(text, at) {
  if (/\w/.test(text[at - 1] ?? "")) return null;
  const found = /^https?:\/\/[^\s<>"'`]{1,2000}/.exec(text.slice(at, at + 2100));
  if (!found) return null;
  let address = found[0].replace(/[.,;:!?*_~]+$/, "");
  if (address.endsWith(")") && !address.includes("(")) address = address.slice(0, -1);
  return { node: link(address, address), end: at + address.length };
}

/** `[label](address)`; an image becomes a link, as in Slack. */
function labelled(text, at, depth) {
  const close = matching(text, at);
  if (!close || text[close + 1] !== "(") return null;
  const found = /^\(\s*<?([^\s<>]*?)>?(?:\s+"[^"]*")?\s*\)/.exec(text.slice(close + 1, close + 2100));
  if (!found) return null;
  const label = text.slice(at + 1, close);
  return { node: link(found[1], label ? spans(label, depth + 1) : found[1]), end: close + 1 + found[0].length };
}

function matching(text, at) {
  let open = 0;
  for (let end = at; end < Math.min(text.length, at + REACH); end += 1) {
    if (text[end] === "\\") end += 1;
    else if (text[end] === "[") open += 1;
    else if (text[end] === "]" && --open === 0) return end;
  }
  return 0;
}

const TAGS = { "**": "strong", __: "strong", "*": "em", _: "em", "~~": "s" };

function emphasis(text, at, depth) {
  const run = text[at] === text[at + 1] ? text.slice(at, at + 2) : text[at];
  const tag = TAGS[run];
  const after = text[at + run.length];
  if (!tag || !after || /\s/.test(after)) return { node: run, end: at + run.length };
  if (run[0] === "_" && /[\p{L}\p{N}]/u.test(text[at - 1] ?? "")) return { node: run, end: at + run.length };
  for (let end = at + run.length + 1; end < Math.min(text.length, at + REACH); end += 1) {
    if (text[end] === "`") {
      const skipped = code(text, end);
      end = skipped.end - 1;
    } else if (text.startsWith(run, end) && !/\s/.test(text[end - 1])) {
      if (run.length === 1 && text[end + 1] === run) {
        end += 1;
        continue;
      }
      if (run[0] === "_" && /[\p{L}\p{N}]/u.test(text[end + run.length] ?? "")) continue;
      return { node: h(tag, {}, spans(text.slice(at + run.length, end), depth + 1)), end: end + run.length };
    }
  }
  return { node: run, end: at + run.length };
}
