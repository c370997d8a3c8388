// Talking to the playground: requests of the person who acts, and the socket that brings news.

import { apply, changed, load, state } from "./store.js";

const WAITS = [300, 600, 1200, 2500, 5000];

/** A JSON answer; throws an Error with words for a person. */
export async function get(path) {
  try {
    return await read(await fetch(path, { cache: "no-store" }));
  } catch (error) {
    // Browsers drop what they load while the machine's network changes, as it does for a container.
    if (!(error instanceof TypeError)) throw error;
    return read(await reach(path));
  }
}

export async function post(path, body) {
  return read(await reach(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  }));
}

async function reach(path, options) {
  try {
    return await fetch(path, { cache: "no-store", ...options });
  } catch {
    throw new Error("The playground does not answer. Is it still running?");
  }
}

async function read(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    throw new Error(`The playground answered ${response.status} without an explanation.`);
  }
  if (!response.ok) throw new Error(body.error ?? `The playground answered ${response.status}.`);
  return body;
}

/** Do something as the person; returns what it came to. */
export async function act(name, body) {
  const answer = await post(`/playground/people/${encodeURIComponent(state.route.as)}/${name}`, body);
  return answer.result;
}

/** The same for what asks the app; throws when the app did not take it. */
export async function ask(name, body) {
  const outcome = await act(name, body);
  if (outcome?.error) throw new Error(explain(outcome.error));
  return outcome;
}

function explain(error) {
  const down = state.connections === 0;
  if (error === "dispatch_failed" || error === "operation_timeout") {
    return `The app did not answer (${error}).${down ? " The bot is not connected." : ""}`;
  }
  return `Slack would refuse this: ${error}.`;
}

let socket = null;
let failures = 0;
let timer = 0;

/** Load everything as `name` and follow; called again it changes the person. */
export async function follow(name) {
  clearTimeout(timer);
  stop();
  try {
    const snapshot = await get(`/playground/page?as=${encodeURIComponent(name)}`);
    if (state.route.as !== name) return;
    load(snapshot);
    open(name);
  } catch (error) {
    lost(name, error.message);
  }
}

function open(name) {
  const query = new URLSearchParams({ as: name, after: String(state.seq), instance: state.instance });
  const own = new WebSocket(`ws://${location.host}/playground/live?${query}`);
  socket = own;
  own.onmessage = ({ data }) => {
    const entry = JSON.parse(data);
    if (entry.kind === "hello") {
      failures = 0;
      Object.assign(state, { live: true, failure: "" });
      changed();
    } else if (entry.kind === "reset") {
      follow(name);
    } else {
      apply(entry);
    }
  };
  own.onclose = () => {
    if (socket === own) lost(name, "");
  };
}

function lost(name, failure) {
  socket = null;
  Object.assign(state, { live: false, failure: failure || "The connection to the playground is gone." });
  changed();
  timer = setTimeout(() => (state.ready ? open(name) : follow(name)), WAITS[Math.min(failures++, WAITS.length - 1)]);
}

function stop() {
  const old = socket;
  socket = null;
  old?.close();
}
