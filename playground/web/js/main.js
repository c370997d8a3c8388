// The page put together: sidebar, conversation, thread, inspector; what is shown where.

import { act, follow } from "./api.js";
import { Composer } from "./composer.js";
import { MessageList } from "./conversation.js";
import { closeMenu, toast } from "./dialogs.js";
import { announce, count, fill, h, icon, iconButton } from "./dom.js";
import { Inspector } from "./inspector.js";
import { mrkdwn } from "./mrkdwn.js";
import { updateModal } from "./modal.js";
import { home, leaveHome, openHome, refreshRepository, repository, welcome } from "./panels.js";
import { go, readRoute } from "./routes.js";
import { Sidebar } from "./sidebar.js";
import { direct, onArrival, state, subscribe, unread } from "./store.js";

const sidebar = new Sidebar();
const list = new MessageList("Messages of the channel");
const threadList = new MessageList("Messages of the thread");
const composer = new Composer("composer-channel");
const threadComposer = new Composer("composer-thread");
const inspector = new Inspector(() => toggleInspector(false));

const banner = h("div", { class: "banner", role: "status", hidden: true });
const head = h("header", { class: "main-head" });
const page = h("div", { class: "page", hidden: true, tabIndex: -1 });
const talk = h("div", { class: "talk" }, list.node, composer.node);
const main = h("main", { class: "main" }, head, banner, page, talk);
const threadHead = h("header", { class: "pane-head" });
const thread = h("aside", { class: "thread", "aria-label": "Thread", hidden: true }, threadHead, threadList.node, threadComposer.node);
const shade = h("div", { class: "shade", onclick: () => document.body.classList.remove("drawer") });

document.getElementById("app").append(sidebar.node, shade, main, thread, inspector.node);

const channelOf = (id) => state.channels.get(id);
const isHome = () => state.route.place === "home";
const isPage = () => isHome() || state.route.place === "welcome" || state.route.place.startsWith("git:");

function render() {
  if (!state.ready) {
    drawBanner();
    return;
  }
  const { place, thread: ts } = state.route;
  if (!isPage() && !channelOf(place)) {
    go({ place: "welcome" });
    return;
  }
  sidebar.update();
  drawHead();
  drawBanner();
  drawPlace();
  drawThread(isPage() ? "" : ts);
  inspector.update();
  updateModal();
  drawTitle();
}

function drawPlace() {
  const { place } = state.route;
  page.hidden = !isPage();
  talk.hidden = isPage();
  if (place === "welcome") welcome(page);
  else if (isHome()) home(page);
  else if (place.startsWith("git:")) repository(page, place);
  else {
    const channel = channelOf(place);
    list.update({ channel: place }, () => emptyChannel(channel));
    composer.update({ channel: place }, channel.kind === "im" ? "Message Threadsmith" : `Message #${channel.name}, or /agent owner/repo task`);
  }
  const im = direct();
  if (isHome()) openHome("home");
  else if (im && place === im.id) openHome("messages");
  else leaveHome();
}

function emptyChannel(channel) {
  const text = channel.kind === "im"
    ? "Between you and Threadsmith. “owner/repo task” starts an agent here."
    : channel.has_app ? "Type /agent owner/repo and a task, or pick a demonstration." : "Threadsmith is not in this channel yet.";
  return h("div", { class: "empty" }, h("h2", {}, channel.kind === "im" ? "Nothing said yet" : `#${channel.name} is quiet`), h("p", {}, text));
}

let headMark = "";

function drawHead() {
  const { place } = state.route;
  const channel = channelOf(place);
  const im = direct();
  const mark = JSON.stringify([state.me, place, channel?.members, channel?.topic, inspector.node.hidden, state.info.is_scripted, document.documentElement.dataset.theme, im?.id]);
  if (mark === headMark) return;
  headMark = mark;
  const focused = head.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const isApp = isHome() || (im && place === im.id);
  const scripted = state.info.is_scripted
    ? h("span", { class: "tag scripted", title: "The model's words come from a script; its tools really run." }, "Scripted model")
    : h("span", { class: "tag", title: "A real model answers" }, state.info.model);
  fill(head,
    iconButton("menu", "Channels", () => document.body.classList.toggle("drawer"), { class: "icon-button drawer-button" }),
    h("div", { class: "main-title" }, h("h1", {}, title(channel, isApp)), channel?.topic ? h("span", { class: "quiet topic" }, channel.topic) : null),
    isApp ? h("div", { class: "tabs", role: "tablist", "aria-label": "Threadsmith" },
      tab("home", "Home", isHome()), tab(im.id, "Messages", !isHome())) : null,
    channel && channel.kind !== "im" && !channel.has_app
      ? h("button", { type: "button", class: "button", onclick: () => act("invite", { channel: channel.id }).catch((error) => toast(error.message)) }, "Add Threadsmith") : null,
    h("div", { class: "head-end" }, scripted,
      iconButton("sun", "Light or dark", toggleTheme, { data: { key: "theme" } }),
      h("button", { type: "button", class: "button inspector-button", "aria-pressed": String(!inspector.node.hidden), data: { key: "inspector" }, onclick: () => toggleInspector(inspector.node.hidden) }, icon("eye"), h("span", {}, "Inspector"))));
  if (focused) [...head.querySelectorAll("[data-key]")].find((node) => node.dataset.key === focused)?.focus();
}

const tab = (place, name, here) => h("button", { type: "button", role: "tab", class: "tab", "aria-selected": String(here), data: { key: `tab:${place}` }, onclick: () => go({ place }) }, name);

function title(channel, isApp) {
  if (isApp) return "Threadsmith";
  if (state.route.place === "welcome") return "Start here";
  if (state.route.place.startsWith("git:")) return "Git host";
  return channel ? `#${channel.name}` : "";
}

function drawBanner() {
  let text = "";
  if (!state.live && state.failure) text = `${state.failure} Trying again; what you see may be old.`;
  else if (state.ready && state.connections === 0) text = "The bot is not connected. Start it with make run; this page notices when it is there.";
  if (banner.textContent === text) return;
  banner.textContent = text;
  banner.hidden = !text;
}

let threadMark = "";

function drawThread(ts) {
  const { place } = state.route;
  thread.hidden = !ts;
  document.body.classList.toggle("has-thread", Boolean(ts));
  if (!ts) {
    threadMark = "";
    return;
  }
  const counted = state.threads[`${place}:${ts}`] ?? { posts: 0, edits: 0, notified: 0 };
  const session = state.sessions.get(`${place}:${ts}`);
  const mark = JSON.stringify([place, ts, counted, session, state.me]);
  if (mark !== threadMark) {
    threadMark = mark;
    fill(threadHead,
      iconButton("back", "Back to the channel", closeThread, { class: "icon-button back-button" }),
      h("div", { class: "main-title" }, h("h2", {}, "Thread"), quietness(counted)),
      session === "processing" ? h("button", { type: "button", class: "button danger", onclick: () => act("stop_session", { channel: place, thread_ts: ts }).catch((error) => toast(error.message)) }, "Stop") : null,
      iconButton("close", "Close the thread", closeThread, { class: "icon-button close-button" }));
  }
  threadList.update({ channel: place, thread: ts }, () => h("div", { class: "empty" }, h("p", {}, "This thread is not there any more.")));
  threadComposer.update({ channel: place, thread: ts }, "Reply to steer or continue");
}

/** How much of what the app did called for anybody's attention. */
function quietness({ posts, edits, notified }) {
  if (!posts) return null;
  return h("span", { class: "quiet quietness", title: "What the app did in this thread, and how often it called you" },
    `${count(posts, "post")} · ${count(edits, "silent edit")} · notified you `, h("strong", {}, notified === 1 ? "once" : `${notified} times`));
}

function closeThread() {
  const { place, thread: ts } = state.route;
  go({ place });
  requestAnimationFrame(() => (list.node.querySelector(`.message[data-ts="${ts}"]`) ?? list.node).focus());
}

function drawTitle() {
  const total = [...state.channels.keys()].reduce((sum, id) => sum + unread(id).badge, 0);
  document.title = `${total ? `(${total}) ` : ""}Threadsmith playground`;
}

function toggleInspector(open) {
  inspector.node.hidden = !open;
  sessionStorage.setItem("inspector", open ? "open" : "");
  document.body.classList.toggle("has-inspector", open);
  render();
  if (open) inspector.filter.focus({ preventScroll: true });
}

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  render();
}

onArrival((message, channel) => {
  const here = channel === state.route.place && (!message.thread_ts || message.thread_ts === state.route.thread);
  if (here && message.user !== state.me) announce(`${state.users.get(message.user)?.real_name ?? "Somebody"}: ${h("span", {}, mrkdwn(message.text)).textContent}`);
  refreshRepository(page);
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
  closeMenu(true);
  if (document.body.classList.contains("drawer")) document.body.classList.remove("drawer");
  else if (state.route.thread) closeThread();
});
document.addEventListener("visibilitychange", () => render());

let following = "";

function route() {
  readRoute();
  document.body.classList.remove("drawer");
  if (following !== state.route.as) {
    following = state.route.as;
    state.ready = false;
    follow(following);
    return;
  }
  const { place, thread: ts } = state.route;
  render();
  if (isPage()) page.focus({ preventScroll: true });
  else (ts ? threadComposer : composer).focus();
  document.body.dataset.place = `${place}/${ts}`;
}

subscribe(render);
addEventListener("hashchange", route);
if (sessionStorage.getItem("inspector") === "open") {
  inspector.node.hidden = false;
  document.body.classList.add("has-inspector");
}
route();
