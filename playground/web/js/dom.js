// Building the document: elements from names, properties and children; text is always text.

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "selected", "multiple", "tabIndex"]);

/** An element. `on…` are listeners, `data` goes to the data set, null children are left out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child);
  }
  return element;
}

/** Put `children` in the place of what `element` holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  return append(element, children);
}

/** A link when the address is one that may be followed; otherwise its words alone. */
export function link(url, ...children) {
  const address = safeAddress(url);
  if (!address) return h("span", { class: "nolink", title: "This address cannot be followed" }, children);
  const own = new URL(address, location.href).origin === location.origin;
  return h("a", { href: address, rel: "noopener noreferrer", target: own ? null : "_blank" }, children);
}

/** `url` when it is http, https or mailto, without user names in it; null otherwise. */
export function safeAddress(url) {
  try {
    const parsed = new URL(String(url).trim());
    return ["http:", "https:", "mailto:"].includes(parsed.protocol) ? parsed.href : null;
  } catch {
    return null;
  }
}

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = {
  hash: "M6 3 4.5 15M13.5 3 12 15M3 6.5h13M2 11.5h13",
  thread: "M3 4h12v8H8l-3.5 3v-3H3z",
  smile: "M9 2.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M6 11c1.5 2 4.5 2 6 0M6.5 7v.5M11.5 7v.5",
  more: "M4 9h.01M9 9h.01M14 9h.01",
  close: "m4.5 4.5 9 9m0-9-9 9",
  send: "m3 3 12 6-12 6 2-6zm2 6h5",
  clip: "m12.5 6-5.5 5.5a1.5 1.5 0 0 0 2.200 2.200L15 8a3 3 0 0 0-4.300-4.300L5 9.5a4.600 4.600 0 0 0 6.5 6.5",
  home: "M3 8.5 9 3l6 5.5V15h-4v-4H7v4H3z",
  branch: "M5 3v12M5 12c0-4 8-2 8-6M13 6a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3M5 15.5v.01",
  eye: "M1.5 9s2.800-5 7.5-5 7.5 5 7.5 5-2.800 5-7.5 5-7.5-5-7.5-5M9 11a2 2 0 1 0 0-4 2 2 0 0 0 0 4",
  menu: "M3 5h12M3 9h12M3 13h12",
  sun: "M9 12.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M9 1.5v1M9 15.5v1M1.5 9h1M15.5 9h1M3.700 3.700l.7.7M13.600 13.600l.7.7M14.300 3.700l-.7.7M4.400 13.600l-.7.7",
  edit: "m3 15 1-4 8-8 3 3-8 8zM10.5 4.5l3 3",
  back: "m11 3.5-5.5 5.5 5.5 5.5",
  file: "M4.5 2h6l3.5 3.5V16h-9.5zM10.5 2v3.5H14",
  at: "M9 11.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5m2.5-5V10c0 2 3.5 2 3.5-1.5A6 6 0 1 0 12 14",
};

/** A small line drawing; decoration, so nothing reads it out. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 18 18");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon and a name for those who do not see it. */
export function iconButton(name, label, onclick, properties = {}) {
  return h("button", { type: "button", class: "icon-button", title: label, "aria-label": label, onclick, ...properties }, icon(name));
}

/** `5 files`, `1 file`. */
export const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

export const timeOf = (ts) =>
  new Date(Number(ts) * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

/** The same without "AM" and "PM", for where there is little room. */
export const shortTimeOf = (ts) => timeOf(ts).replace(/[^\d:.]/g, "");

export const dateOf = (ts) =>
  new Date(Number(ts) * 1000).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });

/** Say something to a screen reader. */
export function announce(text) {
  const log = document.getElementById("polite");
  log.append(h("p", {}, text.slice(0, 400)));
  while (log.childElementCount > 5) log.firstElementChild.remove();
}
