// What the page knows: the snapshot, and every entry of the feed applied to it.

const KEPT_MESSAGES = 3000;
const KEPT_ENTRIES = 1000;

export const state = {
  ready: false, live: false, failure: "", me: "", bot: "", seq: 0, instance: "", connections: 0,
  users: new Map(), channels: new Map(), messages: new Map(), deleted: new Map(), sessions: new Map(),
  ephemerals: [], views: [], home: null, reads: {}, notifications: [], threads: {}, entries: [], info: {},
  route: { as: "", place: "", thread: "" },
};

const listeners = new Set();
let due = 0;

/** Call `listener` soon after each change, many changes at once. */
export function subscribe(listener) {
  listeners.add(listener);
}

export function changed() {
  if (due) return;
  due = setTimeout(() => {
    due = 0;
    for (const listener of listeners) listener();
  }, 10);
}

/** Take over a whole snapshot. The entries of the inspector stay. */
export function load(snapshot) {
  const { users, channels, messages, attention, ...rest } = snapshot;
  if (state.instance && state.instance !== snapshot.instance) state.entries = [];
  state.users = new Map(users.map((user) => [user.id, user]));
  state.channels = new Map(channels.map((channel) => [channel.id, channel]));
  state.messages = new Map(Object.entries(messages).map(([id, list]) => [id, new Map(list.map((m) => [m.ts, m]))]));
  state.deleted = new Map();
  state.sessions = new Map(Object.entries(snapshot.sessions ?? {}));
  Object.assign(state, {
    me: rest.me, bot: rest.bot, seq: rest.seq, instance: rest.instance, connections: rest.connections,
    ephemerals: rest.ephemerals, views: rest.views, home: rest.home, info: rest, ready: true,
    reads: attention.reads, notifications: attention.notifications, threads: attention.threads,
  });
  changed();
}

const arrivals = new Set();

/** Call `listener` with every message that comes in live. */
export function onArrival(listener) {
  arrivals.add(listener);
}

const HANDLERS = {
  message(data, entry) {
    const messages = ofChannel(data.channel);
    messages.set(data.ts, data.message);
    if (messages.size > KEPT_MESSAGES) messages.delete(messages.keys().next().value);
    const counted = threadCount(data.message, data.channel);
    if (data.message.user === state.bot) counted.posts += 1;
    const notified = (data.notifies ?? []).includes(state.me);
    if (notified) {
      counted.notified += 1;
      state.notifications.push({ channel: data.channel, ts: data.ts, thread_ts: data.message.thread_ts });
      if (state.notifications.length > 500) state.notifications.shift();
    }
    for (const listener of arrivals) listener(data.message, data.channel, notified, entry);
  },
  message_changed(data) {
    ofChannel(data.channel).set(data.ts, data.message);
    if (data.message.user === state.bot) threadCount(data.message, data.channel).edits += 1;
  },
  message_deleted(data) {
    const messages = ofChannel(data.channel);
    const gone = messages.get(data.ts);
    if (gone) state.deleted.set(`${data.channel}:${data.ts}`, gone);
    messages.delete(data.ts);
  },
  reaction_added(data) {
    const message = ofChannel(data.channel).get(data.ts);
    if (!message) return;
    const reactions = structuredClone(message.reactions ?? []);
    let found = reactions.find((reaction) => reaction.name === data.reaction);
    if (!found) reactions.push((found = { name: data.reaction, users: [], count: 0 }));
    if (!found.users.includes(data.user)) found.users.push(data.user);
    found.count = found.users.length;
    ofChannel(data.channel).set(data.ts, { ...message, reactions });
  },
  reaction_removed(data) {
    const message = ofChannel(data.channel).get(data.ts);
    if (!message) return;
    const reactions = (message.reactions ?? [])
      .map((r) => (r.name === data.reaction ? { ...r, users: r.users.filter((u) => u !== data.user) } : r))
      .filter((r) => r.users.length)
      .map((r) => ({ ...r, count: r.users.length }));
    ofChannel(data.channel).set(data.ts, { ...message, reactions });
  },
  ephemeral(data) {
    state.ephemerals.push(data);
    if (state.ephemerals.length > 100) state.ephemerals.shift();
  },
  ephemeral_gone(data) {
    state.ephemerals = state.ephemerals.filter((shown) => shown.ts !== data.ts);
  },
  view(data) {
    if (data.view.type === "home") {
      state.home = data.view;
      return;
    }
    const at = state.views.findIndex((view) => view.id === data.view.id);
    if (at < 0) state.views.push(data.view);
    else state.views[at] = data.view;
  },
  view_closed(data) {
    state.views = state.views.filter((view) => data.open_views.includes(view.id));
  },
  read(data) {
    state.reads[data.place] = data.ts;
  },
  session(data) {
    state.sessions.set(`${data.channel}:${data.thread_ts}`, data.status);
  },
  members(data) {
    const channel = state.channels.get(data.channel);
    if (channel) Object.assign(channel, { members: data.members, has_app: data.members.includes(state.bot) });
  },
  socket_opened(data) {
    state.connections = data.open;
  },
  socket_closed(data) {
    state.connections = data.open;
  },
};

/** Apply one entry of the feed; what is seen already is passed over. */
export function apply(entry) {
  if (entry.seq <= state.seq) return;
  state.seq = entry.seq;
  if (Object.hasOwn(HANDLERS, entry.kind)) HANDLERS[entry.kind](entry.data, entry);
  state.entries.push(short(entry));
  if (state.entries.length > KEPT_ENTRIES) state.entries.shift();
  changed();
}

/** The inspector keeps a line of each entry; the whole is fetched when it is opened. */
function short(entry) {
  const { message, view, blocks, ...data } = entry.data;
  if (message) data.text = String(message.text ?? "").slice(0, 120);
  return { seq: entry.seq, at: entry.at, kind: entry.kind, data };
}

export function ofChannel(id) {
  if (!state.messages.has(id)) state.messages.set(id, new Map());
  return state.messages.get(id);
}

export function threadCount(message, channel) {
  const key = `${channel}:${message.thread_ts ?? message.ts}`;
  state.threads[key] ??= { posts: 0, edits: 0, notified: 0 };
  return state.threads[key];
}

export const isReply = (message) => Boolean(message.thread_ts) && message.thread_ts !== message.ts;

/** The direct messages with the app. */
export const direct = () => [...state.channels.values()].find((channel) => channel.kind === "im");

/** Replies by the ts of their thread, oldest first. */
export function replies(channel) {
  const found = new Map();
  for (const message of ofChannel(channel).values()) {
    if (!isReply(message)) continue;
    if (!found.has(message.thread_ts)) found.set(message.thread_ts, []);
    found.get(message.thread_ts).push(message);
  }
  return found;
}

/** Whether a channel has news, and how many of them were worth a notification. */
export function unread(id) {
  const read = state.reads[id] ?? "";
  let news = false;
  for (const message of ofChannel(id).values()) {
    if (message.ts > read && message.user !== state.me && (!isReply(message) || message.subtype === "thread_broadcast")) news = true;
  }
  const badge = state.notifications.filter((note) => note.channel === id && isNew(note)).length;
  return { news, badge };
}

const isNew = (note) => {
  const reply = note.thread_ts && note.thread_ts !== note.ts;
  return note.ts > (state.reads[reply ? `${note.channel}:${note.thread_ts}` : note.channel] ?? "");
};

/** How many notifications of a thread nobody has looked at yet. */
export const newInThread = (channel, ts) =>
  state.notifications.filter((note) => note.channel === channel && note.thread_ts === ts && note.ts !== ts && isNew(note)).length;
