// The field in which one writes: Enter sends, Shift+Enter breaks the line, `/` and `@` complete.

import { act, ask } from "./api.js";
import { complete } from "./completion.js";
import { toast } from "./dialogs.js";
import { h, icon, iconButton } from "./dom.js";
import { ofChannel, state } from "./store.js";

const MAX_FILE_BYTES = 5 * 1024 * 1024;

/** A composer. `update(place)` points it at a channel or a thread; drafts stay with their place. */
export class Composer {
  constructor(id) {
    this.id = id;
    this.place = null;
    this.list = h("ul", { class: "completion", role: "listbox", id: `${id}-list`, hidden: true, "aria-label": "Suggestions" });
    this.field = h("textarea", {
      id, rows: 1, dir: "auto", role: "combobox", "aria-expanded": "false", "aria-controls": `${id}-list`, "aria-autocomplete": "list",
      autocomplete: "off", spellcheck: "true", maxlength: 40000,
      oninput: () => this.typed(), onkeydown: (event) => this.pressed(event), onblur: () => setTimeout(() => this.left(), 150),
      onpaste: (event) => this.paste(event),
    });
    this.file = h("input", { type: "file", class: "unseen", tabIndex: -1, "aria-hidden": "true", onchange: () => this.attach([...this.file.files]) });
    this.send = h("button", { type: "submit", class: "send", title: "Send", "aria-label": "Send" }, icon("send"));
    this.node = h("form", { class: "composer", onsubmit: (event) => { event.preventDefault(); this.submit(); } },
      this.list, this.field,
      h("div", { class: "composer-row" },
        iconButton("clip", "Attach a file", () => this.file.click()),
        iconButton("at", "Mention @threadsmith", () => this.insert("@threadsmith ")),
        h("span", { class: "composer-hint" }, "Enter sends · Shift+Enter breaks the line"), this.send, this.file));
    this.suggestions = [];
    this.chosen = 0;
  }

  update(place, placeholder) {
    const key = `draft:${state.me}:${place.channel}:${place.thread ?? ""}`;
    this.place = place;
    this.field.placeholder = placeholder;
    this.field.setAttribute("aria-label", placeholder);
    if (key === this.key) return;
    this.key = key;
    this.field.value = sessionStorage.getItem(key) ?? "";
    this.close();
    this.fit();
  }

  focus() {
    this.field.focus({ preventScroll: true });
  }

  insert(text) {
    this.field.setRangeText(text, this.field.selectionStart, this.field.selectionEnd, "end");
    this.focus();
    this.typed();
  }

  fit() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight, innerHeight * 0.4)}px`;
    this.send.disabled = !this.field.value.trim();
  }

  typed() {
    sessionStorage.setItem(this.key, this.field.value);
    this.fit();
    this.suggestions = complete(this.field.value.slice(0, this.field.selectionStart), Boolean(this.place.thread));
    this.chosen = 0;
    this.show();
  }

  show() {
    const open = this.suggestions.length > 0;
    this.list.hidden = !open;
    this.field.setAttribute("aria-expanded", String(open));
    this.list.replaceChildren(...this.suggestions.map((suggestion, index) => h("li", {
      role: "option", id: `${this.id}-option-${index}`, "aria-selected": String(index === this.chosen),
      onpointerdown: (event) => { event.preventDefault(); this.take(suggestion); },
    }, h("strong", {}, suggestion.label), h("span", { class: "quiet" }, suggestion.about))));
    if (open) this.field.setAttribute("aria-activedescendant", `${this.id}-option-${this.chosen}`);
    else this.field.removeAttribute("aria-activedescendant");
    this.list.children[this.chosen]?.scrollIntoView({ block: "nearest" });
  }

  close() {
    this.suggestions = [];
    this.show();
  }

  /** Close when the field is left, unless it was entered again at once. */
  left() {
    if (document.activeElement !== this.field) this.close();
  }

  take(suggestion) {
    const end = this.field.selectionStart;
    this.field.setRangeText(`${suggestion.insert} `, end - suggestion.typed.length, end, "end");
    this.typed();
  }

  pressed(event) {
    const open = this.suggestions.length > 0;
    if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.chosen = (this.chosen + step + this.suggestions.length) % this.suggestions.length;
      this.show();
    } else if (open && event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.close();
    } else if (open && event.key === "Tab" && !event.shiftKey) {
      event.preventDefault();
      this.take(this.suggestions[this.chosen]);
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      // A whole word that is typed out is sent as it is; a part of one is completed first.
      const suggestion = this.suggestions[this.chosen];
      if (open && suggestion.typed !== suggestion.insert && suggestion.enters) this.take(suggestion);
      else this.submit();
    } else if (event.key === "ArrowUp" && !this.field.value) {
      this.editLast(event);
    }
  }

  /** Arrow up in an empty field edits the last message of one's own, as people expect. */
  editLast(event) {
    const { channel, thread } = this.place;
    const own = [...ofChannel(channel).values()].filter((m) => m.user === state.me && (m.thread_ts ?? "") === (thread ?? m.thread_ts ?? ""));
    const row = own.length && this.node.parentElement.querySelector(`.message[data-ts="${own.at(-1).ts}"]`);
    if (!row) return;
    event.preventDefault();
    row.focus();
  }

  async submit() {
    const text = this.field.value.trim();
    if (!text) return;
    const { channel, thread } = this.place;
    this.clear();
    try {
      if (text.startsWith("/")) await command(text, channel, thread);
      else await act("say", { text: asSent(text), channel, thread_ts: thread || null });
    } catch (error) {
      toast(error.message);
      if (!this.field.value) this.put(text);
    }
  }

  put(text) {
    this.field.value = text;
    sessionStorage.setItem(this.key, text);
    this.fit();
  }

  clear() {
    this.put("");
    sessionStorage.removeItem(this.key);
    this.close();
  }

  paste(event) {
    const pasted = [...(event.clipboardData?.files ?? [])];
    if (!pasted.length) return;
    event.preventDefault();
    this.attach(pasted);
  }

  async attach(chosen) {
    this.file.value = "";
    const { channel, thread } = this.place;
    for (const file of chosen) {
      if (file.size > MAX_FILE_BYTES) {
        toast(`${file.name} is larger than 5 MB.`);
        continue;
      }
      try {
        const bytes = new Uint8Array(await file.arrayBuffer());
        await act("upload", { name: file.name, content_base64: base64(bytes), text: asSent(this.field.value.trim()), channel, thread_ts: thread || null });
        this.clear();
      } catch (error) {
        toast(error.message);
      }
    }
  }
}

function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** Send a command; `/invite` is the client's own, as in Slack. */
async function command(text, channel, thread) {
  const [, name, rest] = /^(\S+)\s*([\s\S]*)$/.exec(text);
  if (name === "/invite") return act("invite", { channel });
  if (!state.info.commands.some((known) => known.command === name)) {
    throw new Error(`${name} is not a command here. There are /agent and /invite.`);
  }
  return ask("slash", { command: name, text: rest, channel, thread_ts: thread || null });
}

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

/** What Slack's client makes of typed text: entities, mentions, links in angle brackets. */
export function asSent(text) {
  return text.split(/(```[\s\S]*?```|`[^`\n]*`)/).map((part, index) => {
    const escaped = part.replace(/[&<>]/g, (char) => ESCAPES[char]);
    return index % 2 ? escaped : linked(escaped);
  }).join("");
}

function linked(text) {
  return text
    .replace(/(^|[\s(])(https?:\/\/[^\s<>]+)/g, (_, before, address) => `${before}<${address}>`)
    .replace(/(^|[\s(])@([a-z0-9_.-]+)/g, (whole, before, name) => {
      const user = [...state.users.values()].find((someone) => someone.name === name);
      return user ? `${before}<@${user.id}>` : whole;
    })
    .replace(/(^|[\s(])#([a-z0-9_-]+)/g, (whole, before, name) => {
      const place = [...state.channels.values()].find((channel) => channel.name === name);
      return place ? `${before}<#${place.id}|${name}>` : whole;
    });
}
