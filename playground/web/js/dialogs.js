// Small things above the page: short notices, a question before a click, menus.

import { announce, h } from "./dom.js";
import { textObject } from "./blocks.js";

const NOTICE_MS = 7000;

/** A short notice that goes away by itself. */
export function toast(text) {
  const layer = document.getElementById("layer");
  let shelf = layer.querySelector(".toasts");
  if (!shelf) layer.append((shelf = h("div", { class: "toasts" })));
  // An open dialog covers everything else, so a notice goes into it.
  const top = [...document.querySelectorAll("dialog[open]")].at(-1);
  if (top) top.append(shelf);
  else layer.append(shelf);
  const notice = h("div", { class: "toast", role: "alert" }, text);
  shelf.append(notice);
  while (shelf.childElementCount > 3) shelf.firstElementChild.remove();
  setTimeout(() => notice.remove(), NOTICE_MS);
}

/** Ask before a click that has a `confirm` object; true when the person agrees. */
export function confirmed(question) {
  return new Promise((resolve) => {
    const done = (answer) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    const dialog = h("dialog", { class: "sheet small", "aria-labelledby": "confirm-title", oncancel: () => done(false) },
      h("h2", { id: "confirm-title" }, textObject(question.title)),
      h("div", { class: "sheet-body" }, textObject(question.text)),
      h("div", { class: "sheet-end" },
        h("button", { type: "button", class: "button", onclick: () => done(false) }, question.deny?.text ?? "Cancel"),
        h("button", { type: "button", class: `button ${question.style ?? "primary"}`, onclick: () => done(true) }, question.confirm?.text ?? "Yes")));
    document.getElementById("layer").append(dialog);
    dialog.showModal();
  });
}

let openMenu = null;

/** Close the menu that is open; focus returns to what opened it. */
export function closeMenu(refocus = false) {
  if (!openMenu) return;
  const { node, opener } = openMenu;
  openMenu = null;
  node.remove();
  opener.setAttribute("aria-expanded", "false");
  if (refocus) opener.focus();
}

/** A menu below `opener`: items {label, onclick, face?}; `grid` lays faces out in rows. */
export function showMenu(opener, name, items, grid = false) {
  const again = openMenu?.opener === opener;
  closeMenu();
  if (again) return;
  const buttons = items.map((item) => h("button", {
    type: "button", role: "menuitem", tabIndex: -1, class: item.danger ? "danger-text" : "", title: grid ? item.label : null,
    "aria-label": item.label, onclick: () => { closeMenu(true); item.onclick(); },
  }, item.face ?? item.label));
  const node = h("div", { class: `menu${grid ? " grid" : ""}`, role: "menu", "aria-label": name }, buttons);
  document.getElementById("layer").append(node);
  place(node, opener.getBoundingClientRect());
  opener.setAttribute("aria-expanded", "true");
  openMenu = { node, opener };
  node.addEventListener("keydown", (event) => step(event, buttons, grid));
  buttons[0]?.focus();
  announce(`${name}: ${buttons.length} entries`);
}

function place(node, anchor) {
  const { offsetWidth: width, offsetHeight: height } = node;
  const left = Math.max(8, Math.min(anchor.right - width, innerWidth - width - 8));
  const below = anchor.bottom + 4 + height < innerHeight;
  node.style.left = `${left}px`;
  node.style.top = `${below ? anchor.bottom + 4 : Math.max(8, anchor.top - height - 4)}px`;
}

function step(event, buttons, grid) {
  const at = buttons.indexOf(document.activeElement);
  const moves = { ArrowDown: grid ? 5 : 1, ArrowUp: grid ? -5 : -1, ArrowRight: 1, ArrowLeft: -1 };
  if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    event.stopPropagation();
    closeMenu(true);
  } else if (event.key in moves) {
    event.preventDefault();
    buttons[(at + moves[event.key] + buttons.length) % buttons.length].focus();
  } else if (event.key === "Home" || event.key === "End") {
    event.preventDefault();
    buttons.at(event.key === "Home" ? 0 : -1).focus();
  }
}

document.addEventListener("pointerdown", (event) => {
  if (openMenu && !openMenu.node.contains(event.target) && !openMenu.opener.contains(event.target)) closeMenu();
});
addEventListener("resize", () => closeMenu());
