// The left side: who acts, channels, direct messages, repositories, and what is unread.

import { avatar } from "./message.js";
import { count, fill, h, icon } from "./dom.js";
import { go } from "./routes.js";
import { direct, state, unread } from "./store.js";

/** The sidebar; `update` fills it again and keeps the focus where it was. */
export class Sidebar {
  constructor() {
    this.node = h("nav", { class: "sidebar", "aria-label": "Workspace", onkeydown: (event) => this.step(event) });
    this.mark = "";
  }

  update() {
    const mark = JSON.stringify([state.me, state.route, state.info.repositories, state.connections, [...state.channels.keys()].map((id) => [id, unread(id)])]);
    if (mark === this.mark) return;
    this.mark = mark;
    const key = this.node.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    fill(this.node, this.parts());
    if (key) [...this.node.querySelectorAll("[data-key]")].find((node) => node.dataset.key === key)?.focus();
  }

  parts() {
    const im = direct();
    const channels = [...state.channels.values()].filter((channel) => channel.kind !== "im");
    return [
      h("div", { class: "brand" }, h("img", { src: "/web/icon.svg", alt: "" }), h("span", {}, "Threadsmith", h("small", {}, "playground"))),
      entry("welcome", icon("home"), "Start here"),
      h("h2", {}, "Channels"),
      h("ul", {}, channels.map((channel) => h("li", {}, place(channel.id, icon("hash"), channel.name)))),
      h("h2", {}, "App"),
      h("ul", {}, im ? h("li", {}, place(im.id, avatar(state.users.get(state.bot)), "Threadsmith")) : null),
      state.info.git_url ? null : [h("h2", {}, "Git host"), h("ul", {}, state.info.repositories.map((name) => h("li", {}, entry(`git:${name}`, icon("branch"), name))))],
      h("div", { class: "who" }, h("h2", { id: "who" }, "You act as"),
        h("div", { class: "people", role: "radiogroup", "aria-labelledby": "who" }, people().map(personButton))),
    ];
  }

  /** The arrows walk through the entries. */
  step(event) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const entries = [...this.node.querySelectorAll("[data-key]")];
    const at = entries.indexOf(document.activeElement);
    if (at < 0) return;
    event.preventDefault();
    entries[(at + (event.key === "ArrowDown" ? 1 : -1) + entries.length) % entries.length].focus();
  }
}

const people = () => [...state.users.values()].filter((user) => !user.is_bot);

function personButton(user) {
  const own = user.id === state.me;
  return h("button", {
    type: "button", role: "radio", "aria-checked": String(own), class: "person", data: { key: `person:${user.name}` },
    onclick: () => go({ as: user.name, place: state.route.place.startsWith("D") ? "welcome" : state.route.place }),
  }, avatar(user), h("span", {}, user.real_name, user.is_guest ? h("small", {}, "guest") : null));
}

function place(id, face, name) {
  const { news, badge } = unread(id);
  const label = badge ? `${name}, ${count(badge, "notification")}` : news ? `${name}, unread` : name;
  return entry(id, face, name, { news: news || badge > 0, badge, label });
}

function entry(id, face, name, about = {}) {
  const here = state.route.place === id || (id.startsWith("git:") && state.route.place.startsWith(`${id}@`));
  return h("button", {
    type: "button", class: `place${about.news ? " news" : ""}`, "aria-current": here ? "page" : null, "aria-label": about.label ?? name,
    data: { key: id }, onclick: () => { document.body.classList.remove("drawer"); go({ place: id }); },
  }, face, h("span", { class: "name" }, name), about.badge ? h("span", { class: "badge" }, String(about.badge)) : null);
}
