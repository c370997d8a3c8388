// Standard markdown, as models write it, as nodes: blocks here, lines in spans.js.

import { h } from "./dom.js";
import { spans } from "./spans.js";

const FENCE = /^( {0,3})(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(?:\s+(.*))?$/;
const DIVIDER = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
const DEEPEST = 12;

/** A whole text as nodes. */
export function markdown(text) {
  return blocks(String(text ?? "").replaceAll("\t", "    ").split("\n"), 0);
}

function blocks(rows, depth) {
  const nodes = [];
  let at = 0;
  while (at < rows.length) {
    const taken = depth > DEEPEST ? paragraph(rows, at) : block(rows, at, depth);
    if (taken.node) nodes.push(taken.node);
    at = Math.max(taken.end, at + 1);
  }
  return nodes;
}

/** The block that begins at row `at`: {node, end}. */
function block(rows, at, depth) {
  const row = rows[at];
  if (!row.trim()) return { node: null, end: at + 1 };
  if (FENCE.test(row)) return fenced(rows, at);
  const heading = HEADING.exec(row);
  if (heading) return { node: h(`h${Math.min(6, heading[1].length + 2)}`, {}, spans(heading[2] ?? "")), end: at + 1 };
  if (RULE.test(row)) return { node: h("hr"), end: at + 1 };
  if (/^ {0,3}>/.test(row)) return quote(rows, at, depth);
  if (row.includes("|") && DIVIDER.test(rows[at + 1] ?? "") && (rows[at + 1] ?? "").includes("-")) return table(rows, at);
  if (ITEM.test(row)) return list(rows, at, depth);
  if (/^ {4}/.test(row)) return indented(rows, at);
  return paragraph(rows, at);
}

function fenced(rows, at) {
  const [, , fence, language] = FENCE.exec(rows[at]);
  let end = at + 1;
  const closes = (row) => row.trim().startsWith(fence) && !row.trim().replaceAll(fence[0], "");
  while (end < rows.length && !closes(rows[end])) end += 1;
  return { node: codeBlock(rows.slice(at + 1, end).join("\n"), language.trim()), end: end + 1 };
}

/** A block of code; the lines of a diff get their colours. */
export function codeBlock(text, language = "") {
  const diff = /^(?:diff|patch)$/.test(language) || /^(?:diff --git |--- a\/)/.test(text);
  const body = diff ? diffLines(text) : text;
  const name = language && /^[\w+#.-]{1,20}$/.test(language) ? language : null;
  return h("pre", { class: "code", tabIndex: 0, data: name ? { language: name } : {} }, h("code", {}, body));
}

/** The rows of a diff, each with its class. */
export function diffLines(text) {
  return text.split("\n").map((row) => {
    const kind = /^(?:\+\+\+|---|diff |index )/.test(row) ? "head" : { "+": "add", "-": "del", "@": "at" }[row[0]];
    return h("span", { class: `row ${kind ?? ""}` }, `${row}\n`);
  });
}

function indented(rows, at) {
  let end = at;
  while (end < rows.length && (/^ {4}/.test(rows[end]) || !rows[end].trim())) end += 1;
  const text = rows.slice(at, end).map((row) => row.slice(4)).join("\n").trimEnd();
  return { node: codeBlock(text), end };
}

function quote(rows, at, depth) {
  let end = at;
  while (end < rows.length && /^ {0,3}>/.test(rows[end])) end += 1;
  const inner = rows.slice(at, end).map((row) => row.replace(/^ {0,3}> ?/, ""));
  return { node: h("blockquote", {}, blocks(inner, depth + 1)), end };
}

function list(rows, at, depth) {
  const first = ITEM.exec(rows[at]);
  const indent = first[1].length;
  const ordered = /\d/.test(first[2]);
  const items = [];
  let loose = false;
  let end = at;
  while (end < rows.length) {
    const item = ITEM.exec(rows[end]);
    if (!item || item[1].length > indent + 1 || item[1].length < indent || /\d/.test(item[2]) !== ordered) break;
    const width = item[1].length + item[2].length + 1;
    const inner = [item[3] ?? ""];
    end += 1;
    while (end < rows.length) {
      const row = rows[end];
      const deeper = row.search(/\S/) >= Math.min(width, indent + 2);
      const lazy = row.trim() && !ITEM.test(row) && rows[end - 1].trim() && !FENCE.test(row);
      if (row.trim() ? !(deeper || lazy) : !isContinued(rows, end, indent)) break;
      if (!row.trim()) loose = true;
      inner.push(row.slice(Math.min(width, Math.max(0, row.search(/\S/)))));
      end += 1;
    }
    items.push(inner);
  }
  const start = ordered ? Number.parseInt(first[2], 10) : null;
  const nodes = items.map((inner) => listItem(inner, depth, loose));
  return { node: h(ordered ? "ol" : "ul", { start: start > 1 ? start : null }, nodes), end };
}

/** Whether the list goes on after an empty row. */
function isContinued(rows, at, indent) {
  const next = rows.slice(at + 1).find((row) => row.trim());
  return next !== undefined && next.search(/\S/) > indent;
}

function listItem(rows, depth, loose) {
  const task = /^\[([ xX])\]\s+/.exec(rows[0]);
  if (task) rows = [rows[0].slice(task[0].length), ...rows.slice(1)];
  const nodes = blocks(rows, depth + 1);
  const first = nodes[0];
  const inner = !loose && first?.tagName === "P" ? [...first.childNodes, ...nodes.slice(1)] : nodes;
  if (!task) return h("li", {}, inner);
  const done = task[1] !== " ";
  return h("li", { class: "task" }, h("span", { role: "img", "aria-label": done ? "done" : "open" }, done ? "☑ " : "☐ "), inner);
}

function table(rows, at) {
  const aligned = cells(rows[at + 1]).map((cell) =>
    cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : "left");
  let end = at + 2;
  while (end < rows.length && rows[end].includes("|") && rows[end].trim()) end += 1;
  const line = (row, tag) => {
    const found = cells(row);
    return h("tr", {}, aligned.map((side, index) => h(tag, { class: side }, spans(found[index] ?? ""))));
  };
  const body = rows.slice(at + 2, end).map((row) => line(row, "td"));
  const node = h("div", { class: "table", tabIndex: 0, role: "region", "aria-label": "Table" },
    h("table", {}, h("thead", {}, line(rows[at], "th")), h("tbody", {}, body)));
  return { node, end };
}

/** The cells of a row; a bar in code or after a backslash belongs to its cell. */
function cells(row) {
  const found = [""];
  let code = false;
  const inner = row.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  for (let at = 0; at < inner.length; at += 1) {
    if (inner[at] === "\\" && inner[at + 1] === "|") {
      found[found.length - 1] += "|";
      at += 1;
    } else if (inner[at] === "|" && !code) {
      found.push("");
    } else {
      if (inner[at] === "`") code = !code;
      found[found.length - 1] += inner[at];
    }
  }
  return found.map((cell) => cell.trim());
}

function paragraph(rows, at) {
  let end = at + 1;
  const begins = (row) => FENCE.test(row) || HEADING.test(row) || RULE.test(row) || /^ {0,3}>/.test(row) || /^\s*(?:[-*+]|1[.)])\s/.test(row);
  while (end < rows.length && rows[end].trim() && !begins(rows[end])) end += 1;
  const text = rows.slice(at, end).map((row) => row.replace(/^\s+/, "")).join("\n").trimEnd();
  return { node: h("p", {}, spans(text)), end };
}
