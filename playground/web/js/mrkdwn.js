// Slack's own markup (`*bold*`, `<url|label>`, `&lt;`) as nodes; nothing in it becomes HTML.

import { h, link } from "./dom.js";
import { channel, group, person, withEmoji } from "./inline.js";

const STYLES = { "*": "strong", _: "em", "~": "s" };
const REACH = 3000;

const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">" };

/** The three entities of mrkdwn, resolved. */
export const unescape = (text) => text.replace(/&(?:amp|lt|gt);/g, (entity) => ENTITIES[entity]);

/** A whole text: fences, quotes, lines. */
export function mrkdwn(text) {
  const nodes = [];
  const pieces = String(text ?? "").split("```");
  pieces.forEach((piece, index) => {
    // An odd fence at the end is no fence.
    const fenced = index % 2 === 1 && index < pieces.length - 1;
    if (fenced) nodes.push(h("pre", { class: "code" }, h("code", {}, unescape(piece.replace(/^\n/, "")))));
    else nodes.push(...paragraphs(index % 2 === 1 ? `\`\`\`${piece}` : piece));
  });
  return nodes;
}

function paragraphs(text) {
  const nodes = [];
  let quote = [];
  const flush = () => {
    if (quote.length) nodes.push(h("blockquote", {}, broken(quote)));
    quote = [];
  };
  let plain = [];
  const end = () => {
    if (plain.length) nodes.push(...broken(plain));
    plain = [];
  };
  for (const line of text.split("\n")) {
    const quoted = /^(?:&gt;|>) ?(.*)$/.exec(line);
    if (quoted) {
      end();
      quote.push(quoted[1]);
    } else {
      flush();
      plain.push(line);
    }
  }
  end();
  flush();
  return nodes;
}

function broken(rows) {
  return rows.flatMap((row, index) => (index ? [h("br"), ...inline(row)] : inline(row)));
}

/** One line of mrkdwn as nodes. */
export function inline(text) {
  const nodes = [];
  let plain = "";
  const flush = () => {
    if (plain) nodes.push(...withEmoji(unescape(plain)));
    plain = "";
  };
  for (let at = 0; at < text.length; ) {
    const found = special(text, at);
    if (found) {
      flush();
      nodes.push(found.node);
      at = found.end;
    } else {
      plain += text[at];
      at += 1;
    }
  }
  flush();
  return nodes;
}

/** The marked-up thing that begins at `at`, if one does: {node, end}. */
function special(text, at) {
  const char = text[at];
  if (char === "`") {
    const end = text.indexOf("`", at + 1);
    if (end > at + 1) return { node: h("code", {}, unescape(text.slice(at + 1, end))), end: end + 1 };
  } else if (char === "<") {
    const end = text.indexOf(">", at + 1);
    if (end > at + 1 && end - at < REACH) return { node: reference(text.slice(at + 1, end)), end: end + 1 };
  } else if (STYLES[char] && /^$|[\s([{"'.,;:!?·*_~-]/.test(text[at - 1] ?? "")) {
    const end = closing(text, at, char);
    if (end) return { node: h(STYLES[char], {}, inline(text.slice(at + 1, end))), end: end + 1 };
  }
  return null;
}

/** Where the style that `char` opens at `at` ends; 0 when it does not. */
function closing(text, at, char) {
  if (!text[at + 1] || /\s/.test(text[at + 1]) || text[at + 1] === char) return 0;
  for (let end = at + 2; end < Math.min(text.length, at + REACH); end += 1) {
    if (text[end] === "`") {
      const code = text.indexOf("`", end + 1);
      if (code > 0) end = code;
    } else if (text[end] === char && !/\s/.test(text[end - 1]) && !/[\p{L}\p{N}]/u.test(text[end + 1] ?? "")) {
      return end;
    }
  }
  return 0;
}

/** What stands between angle brackets: a person, a channel, a special word or a link. */
function reference(inside) {
  const [target, label] = split(inside);
  if (/^@[UW][A-Z0-9]+$/.test(target)) return person(target.slice(1), label);
  if (/^#[CG][A-Z0-9]+$/.test(target)) return channel(target.slice(1), label);
  if (target.startsWith("!date^")) return h("time", {}, dated(target) || unescape(label));
  if (target.startsWith("!")) return group(unescape(label || target.slice(1).split("^")[0]));
  return link(unescape(target), label ? inline(label) : unescape(target));
}

const DATE_PARTS = {
  time: { hour: "2-digit", minute: "2-digit" },
  date: { year: "numeric", month: "long", day: "numeric" },
  date_short: { year: "numeric", month: "short", day: "numeric" },
};

/** `!date^SECONDS^{time}` where the reader is; "" when it cannot be read. */
function dated(target) {
  const [, seconds, format] = target.split("^");
  const at = new Date(Number(seconds) * 1000);
  if (!format || Number.isNaN(at.getTime())) return "";
  return unescape(format).replace(/\{(\w+)\}/g, (found, name) =>
    Object.hasOwn(DATE_PARTS, name) ? at.toLocaleString(undefined, DATE_PARTS[name]) : found);
}

function split(inside) {
  const bar = inside.indexOf("|");
  return bar < 0 ? [inside, ""] : [inside.slice(0, bar), inside.slice(bar + 1)];
}
