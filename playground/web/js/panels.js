// The places that are no conversation: the welcome page, the app's home, the git host.

import { act, ask, get } from "./api.js";
import { renderBlocks } from "./blocks.js";
import { toast } from "./dialogs.js";
import { count, fill, h, icon, timeOf, dateOf } from "./dom.js";
import { diffLines } from "./markdown.js";
import { go } from "./routes.js";
import { onArrival, state } from "./store.js";

const WAIT_MS = 60_000;

/** The welcome page: what this is, and the three demonstrations. */
export function welcome(node) {
  const { info } = state;
  const mark = JSON.stringify(["welcome", state.me, state.connections > 0, info.is_scripted, info.repositories]);
  if (node.dataset.mark === mark) return;
  node.dataset.mark = mark;
  fill(node, h("div", { class: "welcome" },
    h("h1", {}, "A thread becomes a coding agent"),
    h("p", { class: "lead" }, "This is a workspace like Slack, on your own machine, with the real bot in it. Each task runs in a container of its own on a real clone; you see it work in a thread."),
    info.is_scripted ? demonstrations(info) : real(info),
    h("div", { class: "facts" },
      fact("What is real", "The bot, the bridge, the containers, every tool that runs in them, the repository, the diff, the push."),
      info.is_scripted
        ? fact("What is scripted", "The model: its words come from a script that knows three stories. Set OPENROUTER_API_KEY for a real one.")
        : fact("The model", `${info.model}, at the address in your settings. It costs what it costs.`),
      fact("From here to Slack", h("code", {}, ".venv/bin/threadsmith setup"), " walks you through it in minutes: the app from its manifest, two tokens, a first agent."))));
}

const fact = (title, ...text) => h("div", {}, h("h3", {}, title), h("p", {}, text));

function demonstrations(info) {
  const off = state.connections === 0;
  return h("div", { class: "demos" }, info.demonstrations.map((demo, index) => h("section", { class: "demo" },
    h("span", { class: "demo-number", "aria-hidden": "true" }, String(index + 1)),
    h("h2", {}, demo.title), h("p", {}, demo.about), h("p", { class: "quiet" }, demo.watch),
    h("code", { class: "command" }, `/agent ${demo.text}`),
    h("button", { type: "button", class: "button primary", disabled: off, data: { demo: demo.id }, onclick: (event) => start(demo, event.currentTarget) },
      off ? "The bot is not connected" : "Start"))));
}

function real(info) {
  const example = info.git_url ? "owner/name" : info.repositories[0];
  return h("section", { class: "demo wide" }, h("h2", {}, "Start with a command"),
    h("p", {}, `Type it in #general. Answers come from ${info.model}.`),
    h("code", { class: "command" }, `/agent ${example} say what should be done`),
    h("button", { type: "button", class: "button primary", onclick: () => go({ place: named("general").id }) }, "Open #general"));
}

const named = (name) => [...state.channels.values()].find((channel) => channel.name === name);

let waiting = null;

/** Send a demonstration's command, go to its channel, and open the thread when it begins. */
async function start(demo, button) {
  const channel = named(demo.channel);
  button.disabled = true;
  waiting = { channel: channel.id, until: Date.now() + WAIT_MS, as: state.route.as };
  go({ place: channel.id });
  try {
    await ask("slash", { command: "/agent", text: demo.text, channel: channel.id });
  } catch (error) {
    waiting = null;
    toast(error.message);
  } finally {
    button.disabled = false;
  }
}

onArrival((message, channel) => {
  const { route } = state;
  if (!waiting || channel !== waiting.channel || message.user !== state.bot || message.thread_ts) return;
  const due = Date.now() < waiting.until && route.as === waiting.as && route.place === channel;
  waiting = null;
  if (due) go({ place: channel, thread: message.ts });
});

const homeTyped = {};

/** The app's home, as it was published for this person. */
export function home(node) {
  const mark = `home:${state.me}:${state.home?.hash ?? ""}`;
  if (node.dataset.mark === mark) return;
  node.dataset.mark = mark;
  const { home: view } = state;
  fill(node, h("div", { class: "home" }, view
    ? renderBlocks(view.blocks, { view, typed: homeTyped })
    : h("div", { class: "empty" }, h("h2", {}, "Nothing published yet"), h("p", {}, "The app shows its home here as soon as it publishes one for you."))));
}

let openedHome = "";

/** Tell the app that its home was opened, once for each time that it is. */
export function openHome(tab) {
  const key = `${state.me}:${tab}`;
  if (openedHome === key) return;
  openedHome = key;
  act("open_home", { tab }).catch((error) => toast(error.message));
}

export const leaveHome = () => { openedHome = ""; };

/** The git host: `git:owner/name` lists branches, `git:owner/name@branch` shows one. */
export async function repository(node, place) {
  const mark = `repository:${place}`;
  if (node.dataset.mark === mark) return;
  const again = node.dataset.mark === `again:${place}`;
  node.dataset.mark = mark;
  const [name, branch] = place.slice(4).split("@");
  if (!again) fill(node, h("div", { class: "repository" }, h("p", { class: "quiet" }, "Reading the repository…")));
  try {
    const shown = h("div", { class: "repository" }, branch ? await branchPage(name, branch) : await branchesPage(name));
    // What did not change stays as it is, under whoever is about to click it.
    if (node.dataset.mark === mark && !node.firstElementChild?.isEqualNode(shown)) fill(node, shown);
  } catch (error) {
    if (node.dataset.mark === mark) fill(node, h("div", { class: "empty" }, h("h2", {}, "That cannot be shown"), h("p", {}, error.message)));
  }
}

/** Read the repository again, after a push. */
export function refreshRepository(node) {
  node.dataset.mark = node.dataset.mark?.replace(/^repository:/, "again:") ?? "";
}

async function branchesPage(name) {
  const { branches, pulls } = await get(`/playground/git/${name}`);
  return [
    h("h1", {}, name),
    h("p", { class: "quiet" }, "A bare repository of the local git host. Agents clone it, and push branches of their own to it."),
    h("ul", { class: "branches" }, branches.map((branch) => h("li", {},
      h("button", { type: "button", class: "branch", onclick: () => go({ place: `git:${name}@${branch.name}` }) },
        icon("branch"), h("strong", {}, branch.name), h("span", { class: "quiet" }, branch.subject),
        h("time", { class: "quiet" }, `${dateOf(branch.at)} ${timeOf(branch.at)}`))))),
    pulls.length ? [h("h2", {}, "Pull requests"), h("ul", { class: "branches" }, pulls.map((pull) => h("li", {},
      h("button", { type: "button", class: "branch pull", onclick: () => go({ place: `git:${name}@${pull.head}` }) },
        h("strong", {}, `#${pull.number} ${pull.title}`), h("span", { class: "quiet" }, `${stateOf(pull)} · ${pull.head} into ${pull.base}`)))))] : null,
  ];
}

const stateOf = (pull) => (pull.merged ? "merged" : pull.state);

async function branchPage(name, branch) {
  const query = `?branch=${encodeURIComponent(branch)}`;
  const [{ commits }, diff, { pulls }] = await Promise.all([
    get(`/playground/git/${name}/commits${query}`), get(`/playground/git/${name}/diff${query}`), get(`/playground/git/${name}`),
  ]);
  const pull = pulls.find((one) => one.head === branch);
  return [
    h("button", { type: "button", class: "link-button", onclick: () => go({ place: `git:${name}` }) }, `← ${name}`),
    h("h1", {}, branch),
    pull ? [
      h("h2", {}, `Pull request #${pull.number}: ${pull.title}`),
      h("p", { class: "quiet" }, `${stateOf(pull)}, into ${pull.base}`),
      h("pre", { class: "code pull-body", tabIndex: 0 }, pull.body),
    ] : null,
    h("h2", {}, branch === "main" ? count(commits.length, "commit") : `${count(commits.length, "commit")} more than main`),
    h("ul", { class: "commits" }, commits.map((commit) => h("li", {}, h("code", {}, commit.commit.slice(0, 8)), h("span", {}, commit.subject), h("span", { class: "quiet" }, commit.author)))),
    branch === "main" ? null : [
      h("h2", {}, "Changes against main"),
      diff.text ? h("pre", { class: "code diff", tabIndex: 0 }, h("code", {}, diffLines(diff.text.trimEnd()))) : h("p", { class: "quiet" }, "None."),
      diff.is_cut ? h("p", { class: "quiet" }, "The rest is too long to be shown here.") : null,
    ],
  ];
}

