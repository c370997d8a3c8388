// Modals: the top view of the person's stack, with what was typed kept over updates.

import { ask } from "./api.js";
import { renderBlocks, textObject } from "./blocks.js";
import { toast } from "./dialogs.js";
import { fill, h } from "./dom.js";
import { state } from "./store.js";

const typed = new Map();
let shown = null;

/** Show the top view, or none. */
export function updateModal() {
  const view = state.views.at(-1);
  if (shown && shown.view.id === view?.id) {
    if (shown.view.hash !== view.hash) renew(view);
    return;
  }
  if (shown) close();
  if (view) open(view);
}

const valuesOf = (view) => {
  if (!typed.has(view.id)) typed.set(view.id, {});
  if (typed.size > 20) typed.delete(typed.keys().next().value);
  return typed.get(view.id);
};

function open(view) {
  const body = h("div", { class: "sheet-body" });
  const dialog = h("dialog", {
    class: "sheet", "aria-labelledby": "sheet-title", data: { view: view.id },
    oncancel: (event) => { event.preventDefault(); cancel(); },
  });
  shown = { view, dialog, body, opener: document.activeElement, errors: {} };
  document.getElementById("layer").append(dialog);
  draw();
  dialog.showModal();
  dialog.querySelector("[autofocus], .sheet-body input, .sheet-body textarea, .sheet-body select, .sheet-body button")?.focus();
}

function draw() {
  const { view, dialog, body, errors } = shown;
  fill(body, renderBlocks(view.blocks, { view, typed: valuesOf(view), errors }));
  const form = h("form", { novalidate: true, onsubmit: (event) => { event.preventDefault(); submit(); } },
    h("div", { class: "sheet-head" }, h("img", { src: "/web/icon.svg", alt: "" }),
      h("h2", { id: "sheet-title", dir: "auto" }, textObject(view.title)),
      h("button", { type: "button", class: "icon-button", "aria-label": "Close", onclick: cancel }, "✕")),
    body,
    h("div", { class: "sheet-end" },
      h("button", { type: "button", class: "button", onclick: cancel }, view.close ? textObject(view.close) : "Cancel"),
      view.submit ? h("button", { type: "submit", class: "button primary" }, textObject(view.submit)) : null));
  fill(dialog, form);
}

function renew(view) {
  const key = document.activeElement?.dataset?.key;
  Object.assign(shown, { view, errors: {} });
  draw();
  if (key) [...shown.dialog.querySelectorAll("[data-key]")].find((node) => node.dataset.key === key)?.focus();
}

function close() {
  const { dialog, opener } = shown;
  shown = null;
  dialog.close();
  dialog.remove();
  if (opener?.isConnected) opener.focus();
}

async function cancel() {
  try {
    await ask("close_view", {});
  } catch (error) {
    toast(error.message);
  }
}

/** What Slack's client checks before it sends a form: required fields, and their lengths. */
function missing(view) {
  const values = valuesOf(view);
  const errors = {};
  for (const block of view.blocks) {
    if (block.type !== "input") continue;
    const element = block.element;
    const field = shown.body.querySelector(`[data-key="${CSS.escape(element.action_id)}"]`);
    const boxes = [...shown.body.querySelectorAll(`[data-key^="${CSS.escape(element.action_id)}:"]`)];
    const value = boxes.length ? boxes.some((box) => box.checked) : (values[element.action_id] ?? field?.value ?? "");
    const empty = !value || (typeof value === "string" && !value.trim()) || value.length === 0;
    if (empty && !block.optional) errors[block.block_id] = "Please complete this required field.";
    else if (!empty && field?.validity && !field.validity.valid) errors[block.block_id] = field.validationMessage;
    else if (!empty && element.min_length > String(value).length) errors[block.block_id] = `At least ${element.min_length} characters are needed.`;
  }
  return errors;
}

function refuse(errors) {
  shown.errors = errors;
  draw();
  shown.dialog.querySelector("[aria-invalid=true]")?.focus();
}

async function submit() {
  const { view } = shown;
  const errors = missing(view);
  if (Object.keys(errors).length) {
    refuse(errors);
    return;
  }
  const button = shown.dialog.querySelector("[type=submit]");
  button.disabled = true;
  try {
    const outcome = await ask("submit_view", { values: valuesOf(view) });
    const answer = outcome?.answer;
    if (answer?.response_action === "errors") refuse(answer.errors ?? {});
  } catch (error) {
    toast(error.message);
  } finally {
    button.disabled = false;
  }
}
