// Block Kit: each kind of block as nodes. A context says where the block is and what a click does.

import { codeBlock, markdown } from "./markdown.js";
import { count, h, link } from "./dom.js";
import { control, clickable } from "./elements.js";
import { channel, group, person, withEmoji } from "./inline.js";
import { emoji } from "./emoji.js";
import { mrkdwn } from "./mrkdwn.js";

const TASK_MARKS = { pending: "○", in_progress: "◐", complete: "✓", error: "✗" };
const TASK_WORDS = { pending: "to do", in_progress: "in progress", complete: "done", error: "failed" };

/** The blocks of a message or a view. */
export function renderBlocks(blocks, context) {
  return (blocks ?? []).map((block) => renderBlock(block, context));
}

export function renderBlock(block, context) {
  const render = Object.hasOwn(RENDERERS, block.type) ? RENDERERS[block.type] : unknown;
  return h("div", { class: `block ${block.type}`, dir: "auto" }, render(block, context));
}

/** A text object, plain or mrkdwn. */
export function textObject(text) {
  if (!text) return [];
  if (typeof text === "string") return withEmoji(text);
  return text.type === "mrkdwn" ? mrkdwn(text.text) : withEmoji(String(text.text ?? ""));
}

function unknown(block) {
  return h("span", { class: "quiet" }, `A block of the kind “${block.type}” is not shown here.`);
}

function section(block, context) {
  const text = block.text ? h("div", { class: "text" }, textObject(block.text)) : null;
  const fields = block.fields
    ? h("div", { class: "fields" }, block.fields.map((field) => h("div", {}, textObject(field)))) : null;
  const accessory = block.accessory
    ? h("div", { class: "accessory" }, clickable(block.accessory, block, context)) : null;
  return [h("div", { class: "section-text" }, text, fields), accessory];
}

function contextBlock(block) {
  return (block.elements ?? []).map((element) =>
    element.type === "image" ? picture(element) : h("span", {}, textObject(element)));
}

function actions(block, context) {
  return (block.elements ?? []).map((element) => clickable(element, block, context));
}

/** An image of another address is not loaded: this page takes nothing from outside. */
function picture(image) {
  const address = image.slack_file?.url ?? image.image_url ?? "";
  const own = String(address).startsWith(`${location.origin}/`);
  if (own) return h("img", { src: address, alt: image.alt_text ?? "", loading: "lazy" });
  return h("span", { class: "picture" }, "🖼 ", link(address, image.alt_text || "image"));
}

function plan(block) {
  const tasks = block.tasks ?? [];
  return h("details", { open: true },
    h("summary", {}, h("strong", {}, textObject(block.title))),
    tasks.map((task) => h("div", { class: "task_card" }, taskCard(task))));
}

function taskCard(task) {
  const status = Object.hasOwn(TASK_MARKS, task.status) ? task.status : "pending";
  const sources = (task.sources ?? []).map((source) => link(source.url, source.text ?? source.url));
  return [
    h("div", { class: `task-title ${status}` },
      h("span", { class: "mark", role: "img", "aria-label": TASK_WORDS[status] }, TASK_MARKS[status]),
      h("span", {}, textObject(task.title))),
    task.details ? h("div", { class: "task-part" }, richText(task.details)) : null,
    task.output ? h("div", { class: "task-part" }, richText(task.output)) : null,
    sources.length ? h("div", { class: "task-part sources" }, sources) : null,
  ];
}

function table(block) {
  const [head, ...rows] = block.rows ?? [];
  const cell = (value, tag) => h(tag, {}, value?.type === "rich_text" ? richText(value) : textObject(value?.text ?? value));
  return h("div", { class: "table", tabIndex: 0, role: "region", "aria-label": "Table" }, h("table", {},
    h("thead", {}, h("tr", {}, (head ?? []).map((value) => cell(value, "th")))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((value) => cell(value, "td")))))));
}

function input(block, context) {
  const id = `field-${context.view?.id ?? context.ts}-${block.block_id}`;
  const error = context.errors?.[block.block_id];
  const parts = { id, hint: block.hint ? `${id}-hint` : "", error: error ? `${id}-error` : "" };
  const many = ["checkboxes", "radio_buttons"].includes(block.element?.type);
  const label = [textObject(block.label), block.optional ? h("span", { class: "quiet" }, " (optional)") : null];
  return [
    many ? null : h("label", { for: id }, label),
    many ? h("fieldset", {}, h("legend", {}, label), control(block.element, block, context, parts)) : control(block.element, block, context, parts),
    block.hint ? h("div", { class: "hint", id: parts.hint }, textObject(block.hint)) : null,
    error ? h("div", { class: "field-error", id: parts.error, role: "alert" }, error) : null,
  ];
}

/** Rich text, whatever its nesting. */
export function richText(block) {
  return (block.elements ?? []).map(richPart);
}

function richPart(part) {
  switch (part.type) {
    case "rich_text_list": {
      const items = part.elements.map((item) => h("li", {}, richInline(item.elements)));
      return h(part.style === "ordered" ? "ol" : "ul", { class: `indent${part.indent ?? 0}` }, items);
    }
    case "rich_text_preformatted":
      return codeBlock(part.elements.map((element) => element.text ?? element.url ?? "").join(""));
    case "rich_text_quote":
      return h("blockquote", {}, richInline(part.elements));
    default:
      return h("div", {}, richInline(part.elements));
  }
}

function richInline(elements = []) {
  return elements.flatMap((element) => styled(element, richElement(element)));
}

function richElement(element) {
  switch (element.type) {
    case "user": return [person(element.user_id)];
    case "channel": return [channel(element.channel_id)];
    case "usergroup": return [group(element.usergroup_id)];
    case "broadcast": return [group(element.range)];
    case "emoji": return [emoji(element.name) ?? `:${element.name}:`];
    case "link": return [link(element.url, element.text || element.url)];
    case "text": return broken(element.text ?? "");
    default: return [String(element.text ?? "")];
  }
}

const broken = (text) => text.split("\n").flatMap((row, at) => (at ? [h("br"), ...withEmoji(row)] : withEmoji(row)));

function styled(element, nodes) {
  const style = element.style ?? {};
  for (const [name, tag] of [["code", "code"], ["bold", "strong"], ["italic", "em"], ["strike", "s"]]) {
    if (style[name]) nodes = [h(tag, {}, nodes)];
  }
  return nodes;
}

const RENDERERS = {
  section,
  context: contextBlock,
  actions,
  context_actions: actions,
  header: (block) => h("h3", {}, textObject(block.text)),
  divider: () => h("hr"),
  markdown: (block) => markdown(block.text),
  image: (block) => [block.title ? h("div", { class: "quiet" }, textObject(block.title)) : null, picture(block)],
  plan,
  task_card: taskCard,
  rich_text: richText,
  table,
  input,
  file: (block) => h("span", { class: "quiet" }, `A file: ${block.external_id ?? count(1, "file")}`),
};
