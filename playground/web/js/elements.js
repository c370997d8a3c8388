// The elements of Block Kit that a person can click or fill in.

import { act, ask } from "./api.js";
import { h, link, safeAddress } from "./dom.js";
import { textObject } from "./blocks.js";
import { confirmed, toast } from "./dialogs.js";
import { state } from "./store.js";

const DATES = { datepicker: "date", timepicker: "time", datetimepicker: "datetime-local" };
const TEXTS = { plain_text_input: "text", url_text_input: "url", email_text_input: "email", number_input: "number" };

/** An element whose click the app hears of: in actions, beside a section, or in a row of icons. */
export function clickable(element, block, context) {
  switch (element.type) {
    case "button":
      return button(element, context);
    case "icon_button":
      return h("button", {
        type: "button", class: "button quiet-button", "aria-label": element.text?.text ?? "action",
        data: { key: element.action_id }, onclick: (event) => send(event, element, context, element.value),
      }, textObject(element.text));
    case "feedback_buttons":
      return ["positive", "negative"].map((side) => feedback(element, side, context));
    case "overflow":
      return menu(element, context);
    case "image":
      return h("span", { class: "picture" }, "🖼 ", link(element.image_url ?? "", element.alt_text || "image"));
    default:
      return control(element, block, { ...context, sends: true }, { id: `${context.ts ?? context.view?.id}-${element.action_id}` });
  }
}

function button(element, context) {
  const label = element.text?.text ?? "";
  const address = element.url ? safeAddress(element.url) : null;
  return h("button", {
    type: "button", class: `button ${element.style ?? ""}`, "aria-label": element.accessibility_label ?? null,
    data: { key: `${element.action_id}:${element.value ?? ""}` },
    onclick: (event) => {
      if (address) window.open(address, "_blank", "noopener,noreferrer");
      send(event, element, context, element.value);
    },
  }, textObject({ type: "plain_text", text: label }));
}

function feedback(element, side, context) {
  const own = element[`${side}_button`] ?? {};
  return h("button", {
    type: "button", class: "button quiet-button", "aria-label": own.accessibility_label ?? own.text?.text,
    data: { key: `${element.action_id}:${side}` }, onclick: (event) => send(event, element, context, side),
  }, side === "positive" ? "👍" : "👎");
}

function menu(element, context) {
  const options = element.options ?? [];
  return h("select", {
    class: "overflow", "aria-label": "More actions", data: { key: element.action_id },
    onchange: (event) => {
      const { value } = event.target;
      event.target.value = "";
      if (value) send(event, element, context, value);
    },
  }, h("option", { value: "" }, "⋯"), options.map((option) => h("option", { value: option.value }, option.text.text)));
}

/** Send a click; the element is busy until the app has taken it. */
async function send(event, element, context, value) {
  const node = event.currentTarget ?? event.target;
  if (element.confirm && !(await confirmed(element.confirm))) return;
  node.setAttribute("aria-busy", "true");
  node.disabled = true;
  try {
    if (context.view) {
      await ask("click_view", { action_id: element.action_id, value, view_id: context.view.id, values: context.typed ?? {} });
    } else {
      await ask("click", { action_id: element.action_id, channel: context.channel, ts: context.ts, value });
    }
  } catch (error) {
    toast(error.message);
  } finally {
    node.removeAttribute("aria-busy");
    node.disabled = false;
  }
}

/** A field. What is typed is kept in `context.typed` by action_id; with `sends` a choice is sent. */
export function control(element, block, context, parts) {
  const typed = context.typed ?? {};
  const change = (value, event) => {
    typed[element.action_id] = value;
    if (context.sends || block.dispatch_action) send(event, element, context, value);
  };
  const shared = {
    id: parts.id, "aria-describedby": [parts.hint, parts.error].filter(Boolean).join(" ") || null,
    "aria-invalid": parts.error ? "true" : null, "aria-required": block.type === "input" && !block.optional ? "true" : null,
    data: { key: element.action_id },
  };
  const held = typed[element.action_id] ?? heldBy(context.view, block, element);
  if (Object.hasOwn(TEXTS, element.type)) return textField(element, shared, held, typed);
  if (element.type === "radio_buttons" || element.type === "checkboxes") return boxes(element, parts, held, change);
  if (Object.hasOwn(DATES, element.type)) {
    return h("input", { ...shared, type: DATES[element.type], value: held ?? element.initial_date ?? element.initial_time ?? "",
      onchange: (event) => change(event.target.value, event) });
  }
  if (element.type === "external_select") return suggested(element, shared, held, change, context);
  if (element.type?.includes("select")) return select(element, shared, held, change, !context.sends);
  return h("span", { class: "quiet" }, `A field of the kind “${element.type}” is not shown here.`);
}

/** What the server holds for a field from an earlier act on the same view. */
function heldBy(view, block, element) {
  const value = view?.state?.values?.[block.block_id]?.[element.action_id];
  if (!value) return undefined;
  if ("selected_option" in value) return value.selected_option?.value;
  if ("selected_options" in value) return value.selected_options.map((option) => option.value);
  return value.value ?? value.selected_user ?? value.selected_conversation ?? value.selected_date ?? undefined;
}

function textField(element, shared, held, typed) {
  const properties = {
    ...shared, dir: "auto", value: held ?? element.initial_value ?? "", placeholder: element.placeholder?.text ?? null,
    maxlength: element.max_length ?? (element.type === "plain_text_input" ? 3000 : null), minlength: element.min_length ?? null,
    autofocus: element.focus_on_load ?? null, autocomplete: "off",
    oninput: (event) => { typed[element.action_id] = event.target.value; },
  };
  if (element.multiline) return h("textarea", { ...properties, rows: 4 });
  return h("input", { ...properties, type: TEXTS[element.type], step: element.is_decimal_allowed ? "any" : null,
    min: element.min_value ?? null, max: element.max_value ?? null });
}

function boxes(element, parts, held, change) {
  const many = element.type === "checkboxes";
  const initial = many ? (element.initial_options ?? []).map((option) => option.value) : [element.initial_option?.value];
  const chosen = new Set(held === undefined ? initial : [held].flat());
  return h("div", { class: "boxes", id: parts.id }, (element.options ?? []).map((option, index) =>
    h("label", { class: "box" },
      h("input", {
        type: many ? "checkbox" : "radio", name: parts.id, value: option.value, checked: chosen.has(option.value),
        data: { key: `${element.action_id}:${index}` },
        onchange: (event) => {
          if (!many) chosen.clear();
          if (event.target.checked) chosen.add(option.value);
          else chosen.delete(option.value);
          change(many ? [...chosen] : option.value, event);
        },
      }),
      h("span", {}, textObject(option.text), option.description ? h("span", { class: "hint" }, textObject(option.description)) : null))));
}

/** The options of a menu, whichever kind it is: its own, the people, or the conversations. */
function optionsOf(element) {
  const own = [...(element.options ?? []), ...(element.option_groups ?? []).flatMap((group) => group.options)];
  if (own.length) return own.map((option) => [option.value, option.text.text]);
  if (element.type.includes("users_select")) {
    return [...state.users.values()].filter((user) => !user.is_bot).map((user) => [user.id, user.real_name]);
  }
  return [...state.channels.values()].map((place) => [place.id, place.kind === "im" ? "Threadsmith" : `#${place.name}`]);
}

function select(element, shared, held, change, isField) {
  const many = element.type.startsWith("multi_");
  const initial = element.initial_option?.value ?? element.initial_user ?? element.initial_conversation ?? element.initial_channel;
  const several = (element.initial_options ?? []).map((option) => option.value);
  const chosen = new Set([held ?? (many ? element.initial_users ?? element.initial_conversations ?? several : initial)].flat());
  const hint = element.placeholder?.text ?? "Choose…";
  return h("select", {
    ...shared, multiple: many, "aria-label": isField ? null : hint,
    onchange: (event) => {
      const values = [...event.target.selectedOptions].map((option) => option.value);
      change(many ? values : values[0], event);
    },
  }, many ? null : h("option", { value: "", disabled: true, selected: !chosen.size || chosen.has(undefined) }, hint),
  optionsOf(element).map(([value, label]) => h("option", { value, selected: chosen.has(value) }, label)));
}

/** A menu whose options the app gives while one types. */
function suggested(element, shared, held, change, context) {
  const list = h("datalist", { id: `${shared.id}-list` });
  let options = [];
  let asked = 0;
  const look = async (event) => {
    const value = event.target.value;
    const chosen = options.find((option) => option.text.text === value || option.value === value);
    if (chosen) return change(chosen.value, event);
    if (value.length < (element.min_query_length ?? 3)) return null;
    const mine = ++asked;
    const answer = await act("suggest", { action_id: element.action_id, value, channel: context.channel ?? "", ts: context.ts ?? "" })
      .catch((error) => toast(error.message));
    if (mine !== asked) return null;
    options = [...(answer?.options ?? []), ...(answer?.option_groups ?? []).flatMap((group) => group.options)].slice(0, 100);
    list.replaceChildren(...options.map((option) => h("option", { value: option.text.text })));
    // Who knows the name types it whole, before the answer is here.
    const typed = event.target.value;
    const meant = options.find((option) => option.text.text === typed || option.value === typed);
    return meant ? change(meant.value, event) : null;
  };
  const initial = element.initial_option?.text?.text ?? "";
  return [h("input", { ...shared, type: "text", list: list.id, autocomplete: "off", value: held ?? initial,
    placeholder: element.placeholder?.text ?? "Type to search", oninput: look }), list];
}
