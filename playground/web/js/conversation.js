// The list of messages of a channel or of a thread, kept in step without jumps.

import { act } from "./api.js";
import { count, dateOf, h } from "./dom.js";
import { messageRow } from "./message.js";
import { isReply, newInThread, ofChannel, replies, state, unread } from "./store.js";

const GROUPED_SECONDS = 300;
const NEAR_END = 80;

/** A list that follows its place. `update(place)` shows it; place is {channel, thread?}. */
export class MessageList {
  constructor(name) {
    this.node = h("div", { class: "messages", role: "feed", "aria-label": name, tabIndex: 0, onkeydown: (event) => this.step(event) });
    this.rows = new Map();
    this.key = "";
    this.atEnd = true;
    this.node.addEventListener("scroll", () => { this.atEnd = this.isAtEnd(); }, { passive: true });
    // What grows (a card, a picture) must not push the end out of sight.
    this.observer = new ResizeObserver(() => { if (this.atEnd) this.toEnd(); });
    this.inner = h("div", { class: "messages-inner" });
    this.node.append(this.inner);
    this.observer.observe(this.inner);
    this.observer.observe(this.node);
  }

  isAtEnd() {
    return this.node.scrollHeight - this.node.scrollTop - this.node.clientHeight < NEAR_END;
  }

  toEnd() {
    this.node.scrollTop = this.node.scrollHeight;
  }

  update(place, empty) {
    const key = `${state.me}:${place.channel}:${place.thread ?? ""}`;
    if (key !== this.key) {
      this.key = key;
      this.rows.clear();
      this.inner.replaceChildren();
      this.atEnd = true;
      this.readTo = state.reads[placeKey(place)] ?? "";
    }
    this.place = place;
    const wanted = this.wanted(place);
    if (!wanted.length) wanted.push({ key: "empty", mark: state.me, make: empty });
    this.reconcile(wanted);
    if (this.atEnd) this.toEnd();
    this.markRead();
  }

  /** The rows that there should be: {key, mark, make}; a row is made again when its mark changes. */
  wanted(place) {
    const shown = place.thread ? threadMessages(place) : channelMessages(place);
    const threads = place.thread ? null : replies(place.channel);
    const wanted = [];
    let previous = null;
    let day = "";
    let isNewShown = false;
    for (const { message, isPrivate } of shown) {
      if (!place.thread && day !== dateOf(message.ts)) {
        day = dateOf(message.ts);
        wanted.push({ key: `day:${day}`, mark: "", make: () => h("div", { class: "day", role: "separator" }, h("span", {}, dateOf(message.ts))) });
        previous = null;
      }
      if (!isNewShown && this.readTo && message.ts > this.readTo && message.user !== state.me) {
        isNewShown = true;
        wanted.push({ key: "new", mark: "", make: () => h("div", { class: "new-line", role: "separator" }, h("span", {}, "New")) });
        previous = null;
      }
      const grouped = isGrouped(previous, message, isPrivate);
      const about = { channel: place.channel, inThread: Boolean(place.thread), grouped, isPrivate, thread: threads ? threadOf(threads, place.channel, message) : null };
      wanted.push({ key: `${isPrivate ? "private:" : ""}${message.ts}`, mark: JSON.stringify([message, about]), make: () => messageRow(message, about) });
      if (place.thread && message.ts === place.thread) wanted.push(countRow(shown.length - 1));
      previous = isPrivate || message.ts === place.thread ? null : message;
    }
    return wanted;
  }

  reconcile(wanted) {
    const keep = new Set(wanted.map((row) => row.key));
    for (const [key, row] of this.rows) {
      if (keep.has(key)) continue;
      row.node.remove();
      this.rows.delete(key);
    }
    let after = null;
    for (const { key, mark, make } of wanted) {
      let row = this.rows.get(key);
      if (!row || row.mark !== mark) {
        const node = make();
        if (row) replace(row.node, node);
        row = { node, mark };
        this.rows.set(key, row);
      }
      const expected = after ? after.nextSibling : this.inner.firstChild;
      if (expected !== row.node) this.inner.insertBefore(row.node, expected);
      after = row.node;
    }
  }

  /** The arrows walk through the messages; the buttons of one are reached by Tab. */
  step(event) {
    if (!["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) return;
    // Fields, and what scrolls by itself, have another use for these keys.
    if (event.target.closest("textarea, input, select, pre, .table")) return;
    const own = event.target.closest(".message");
    event.preventDefault();
    const rows = [...this.inner.querySelectorAll(".message")];
    const at = rows.indexOf(own);
    const next = { ArrowDown: at + 1, ArrowUp: at < 0 ? rows.length - 1 : at - 1, Home: 0, End: rows.length - 1 }[event.key];
    rows[Math.max(0, Math.min(rows.length - 1, next))]?.focus();
  }

  markRead() {
    if (!this.place || document.visibilityState !== "visible" || !this.atEnd) return;
    const key = placeKey(this.place);
    const last = lastShown(this.place);
    if (!last || last <= (state.reads[key] ?? "")) return;
    const due = this.place.thread ? newInThread(this.place.channel, this.place.thread) > 0 : unread(this.place.channel).news;
    state.reads[key] = last;
    if (due) act("read", { place: key, ts: last }).catch(() => null); // the next message marks it again
  }
}

const placeKey = (place) => (place.thread ? `${place.channel}:${place.thread}` : place.channel);

function lastShown(place) {
  const list = place.thread ? threadMessages(place) : channelMessages(place);
  return list.filter(({ isPrivate }) => !isPrivate).at(-1)?.message.ts;
}

function countRow(number) {
  return {
    key: "count", mark: String(number),
    make: () => h("div", { class: "reply-count" }, number ? count(number, "reply").replace("replys", "replies") : "No reply yet"),
  };
}

function privates(place) {
  return state.ephemerals
    .filter((shown) => shown.channel === place.channel && (shown.thread_ts ?? "") === (place.thread ?? ""))
    .map((shown) => ({ message: { ...shown, user: state.bot }, isPrivate: true }));
}

const inOrder = (list) => list.sort((a, b) => (a.message.ts < b.message.ts ? -1 : 1));

function channelMessages(place) {
  const public_ = [...ofChannel(place.channel).values()]
    .filter((message) => !isReply(message) || message.subtype === "thread_broadcast")
    .map((message) => ({ message, isPrivate: false }));
  return inOrder([...public_, ...privates(place), ...tombstones(place)]);
}

function threadMessages(place) {
  const all = [...ofChannel(place.channel).values()].filter((message) => message.ts === place.thread || message.thread_ts === place.thread);
  return inOrder([...all.map((message) => ({ message, isPrivate: false })), ...privates(place), ...tombstones(place)]);
}

/** What was deleted while the page was open leaves a line, so that one sees that it was. */
function tombstones(place) {
  return [...state.deleted]
    .filter(([key, message]) => key.startsWith(`${place.channel}:`) && (place.thread ? message.thread_ts === place.thread : !isReply(message)))
    .map(([, message]) => ({
      message: { ...message, blocks: [], files: null, reactions: null, edited: null, text: "_This message was deleted._" }, isPrivate: false,
    }));
}

function threadOf(threads, channel, message) {
  const found = threads.get(message.ts);
  if (!found) return null;
  const users = [...new Set(found.map((reply) => reply.user))];
  return { count: found.length, last: found.at(-1).ts, users, news: newInThread(channel, message.ts) };
}

function isGrouped(previous, message, isPrivate) {
  return Boolean(previous) && !isPrivate && previous.user === message.user && message.ts - previous.ts < GROUPED_SECONDS && message.subtype !== "thread_broadcast";
}

/** Put a new row in the place of an old one; whatever had the focus has it again. */
function replace(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.dataset.key;
  const open = old.querySelector(".content.open");
  if (open) fresh.querySelector(".content.long + .link-button")?.click();
  const editing = old.querySelector(".edit-field");
  old.replaceWith(fresh);
  if (editing) return;
  if (focused === old) fresh.focus({ preventScroll: true });
  else if (key) [...fresh.querySelectorAll("[data-key]")].find((node) => node.dataset.key === key)?.focus({ preventScroll: true });
}

