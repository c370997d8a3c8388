// The inspector: every call and event between the bot and its servers, with its JSON on demand.

import { get } from "./api.js";
import { fill, h, iconButton } from "./dom.js";
import { state } from "./store.js";

const SHOWN = 300;
const FAMILIES = {
  all: () => true,
  calls: (entry) => ["api_call", "fault", "response_url_refused"].includes(entry.kind),
  events: (entry) => ["delivery", "acknowledged", "delivery_failed", "event_lost", "event_given_up", "late_acknowledgement", "dispatch_failed"].includes(entry.kind),
  servers: (entry) => ["model_request", "model_reader_gone", "git_request"].includes(entry.kind),
  refused: (entry) => isRefused(entry),
};
const NAMES = { all: "All", calls: "API calls", events: "Events", servers: "Model and git", refused: "Refused" };

const isRefused = ({ kind, data }) =>
  data.ok === false || data.status >= 400 || Boolean(data.error) ||
  ["delivery_failed", "event_lost", "event_given_up", "dispatch_failed", "fault", "response_url_refused"].includes(kind);

/** The panel; `update` adds rows to what is there. */
export class Inspector {
  constructor(onclose) {
    this.family = "all";
    this.opened = 0;
    this.list = h("ol", { class: "entries", tabIndex: 0, "aria-label": "Calls and events, the newest first" });
    this.filter = h("input", { type: "search", placeholder: "Filter, for example chat.update", "aria-label": "Filter", oninput: () => this.update(true) });
    this.detail = h("div", { class: "detail", hidden: true });
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "Kinds" });
    this.tally = h("p", { class: "tally" });
    this.node = h("aside", { class: "inspector", "aria-label": "Inspector", hidden: true },
      h("div", { class: "pane-head" }, h("h2", {}, "Inspector"), iconButton("close", "Close the inspector", onclose)),
      h("div", { class: "inspector-tools" }, this.filter, this.chips, this.tally), this.list, this.detail);
    this.drawChips();
  }

  drawChips() {
    fill(this.chips, Object.keys(FAMILIES).map((family) => h("button", {
      type: "button", class: "chip", "aria-pressed": String(family === this.family),
      onclick: () => { this.family = family; this.drawChips(); this.update(true); this.chips.querySelector("[aria-pressed=true]").focus(); },
    }, NAMES[family])));
  }

  update(again = false) {
    if (this.node.hidden) return;
    if (!again && this.last === state.seq && this.instance === state.instance) return;
    Object.assign(this, { last: state.seq, instance: state.instance });
    const words = this.filter.value.trim().toLowerCase();
    const found = state.entries.filter((entry) => FAMILIES[this.family](entry) && (!words || described(entry).toLowerCase().includes(words)));
    const limited = state.entries.filter((entry) => entry.data.status === 429).length;
    this.tally.textContent = `${found.length} of the last ${state.entries.length} entries · ${state.entries.filter(isRefused).length} refused · ${limited} rate limited`;
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    fill(this.list, found.slice(-SHOWN).reverse().map((entry) => this.row(entry)));
    if (!found.length) this.list.append(h("li", { class: "empty" }, "Nothing of this kind yet."));
    if (focused) this.list.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  row(entry) {
    const refused = isRefused(entry);
    return h("li", {}, h("button", {
      type: "button", class: `entry${refused ? " refused" : ""}`, data: { key: String(entry.seq) }, "aria-expanded": String(this.opened === entry.seq),
      onclick: () => this.open(entry),
    },
    h("time", {}, new Date(entry.at * 1000).toLocaleTimeString([], { hour12: false })),
    h("span", { class: `kind ${direction(entry)}` }, direction(entry)),
    h("span", { class: "about" }, described(entry))));
  }

  async open(entry) {
    this.opened = entry.seq;
    this.detail.hidden = false;
    let shown;
    try {
      const { text, is_cut: isCut } = await get(`/playground/feed/${entry.seq}`);
      shown = isCut ? `${text}\n… the rest is too long to be shown.` : text;
    } catch (error) {
      shown = error.message;
    }
    if (this.opened !== entry.seq) return;
    fill(this.detail,
      h("div", { class: "detail-head" }, h("strong", {}, `${entry.seq} · ${entry.kind}`), iconButton("close", "Close the entry", () => this.shut())),
      h("pre", { tabIndex: 0, "aria-label": "The entry as JSON" }, shown));
    this.update(true);
  }

  shut() {
    this.detail.hidden = true;
    this.opened = 0;
    this.update(true);
    this.list.focus();
  }
}

const INBOUND = new Set(["api_call", "acknowledged", "model_request", "git_request", "socket_opened", "response_url_refused"]);

/** From the bot to a server, from Slack to the bot, or something that happened here. */
function direction({ kind }) {
  if (INBOUND.has(kind)) return "in";
  return kind.startsWith("delivery") || kind.startsWith("event_") || kind === "socket_disconnect_sent" ? "out" : "here";
}

function described({ kind, data }) {
  switch (kind) {
    case "api_call":
      return `${data.method} ${data.ok === false ? `→ ${data.error}${data.status === 200 ? "" : ` (${data.status})`}` : "→ ok"}`;
    case "delivery":
      return `${data.kind === "events_api" ? "event" : data.kind} ${data.type ?? ""} ${data.name ?? ""}${data.attempt ? ` · attempt ${data.attempt + 1}` : ""}`.trim();
    case "delivery_failed":
      return `not delivered: ${data.reason}`;
    case "acknowledged":
      return `acknowledged ${data.event_id ?? data.kind ?? ""}`;
    case "fault":
      return `planned fault: ${data.fault} on ${data.method}`;
    case "model_request":
      return `model ${data.model}${data.fault ? ` → ${data.fault}` : ""}`;
    case "git_request":
      return `git ${data.service} ${data.repository} → ${data.status}`;
    case "message": case "message_changed": case "message_deleted":
      return `${kind.replace("_", " ")} ${data.text ?? ""}`;
    default:
      return `${kind.replaceAll("_", " ")} ${data.reaction ?? data.error ?? data.place ?? ""}`.trim();
  }
}
