// Files of a message: a preview of text, patches and pictures, and the way to save them.

import { diffLines } from "./markdown.js";
import { h, icon } from "./dom.js";

const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const SHOWN_LINES = 12;

export function files(shared) {
  if (!shared?.length) return null;
  return h("div", { class: "files" }, shared.map(file));
}

function size(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  return bytes < 1024 * 1024 ? `${(bytes / 1024).toFixed(1)} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

function file(shared) {
  const address = `/playground/files/${encodeURIComponent(shared.id)}/${encodeURIComponent(shared.name)}`;
  return h("figure", { class: "file" },
    h("figcaption", {}, icon("file"),
      h("span", { class: "file-name", dir: "auto" }, shared.title || shared.name),
      h("span", { class: "quiet" }, size(shared.size)),
      h("a", { href: address, download: shared.name, "aria-label": `Download ${shared.name}` }, "Download")),
    preview(shared, address));
}

function preview(shared, address) {
  if (PICTURES.has(shared.mimetype)) {
    return h("img", { src: `${address}?inline`, alt: shared.alt_txt || shared.title || shared.name, loading: "lazy" });
  }
  if (!isText(shared)) return null;
  const rows = shared.preview.split("\n").slice(0, SHOWN_LINES).join("\n").trimEnd();
  const isPatch = /\.(?:patch|diff)$/.test(shared.name);
  return h("pre", { class: "code preview", tabIndex: 0, "aria-label": `Beginning of ${shared.name}` },
    h("code", {}, isPatch ? diffLines(rows) : rows));
}

function isText(shared) {
  const name = /\.(?:patch|diff|txt|log|md|py|js|ts|json|ya?ml|toml|sh|css|html|go|rs|java|c|h)$/.test(shared.name);
  return shared.preview && !shared.preview.includes("\u0000") && (name || shared.mimetype.startsWith("text/"));
}
