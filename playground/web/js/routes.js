// Where the page is: `#/person/place/thread` in the address, so that a reload comes back to it.

import { changed, state } from "./store.js";

const read = () => location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);

/** Take the address over; "-" as the person means whoever acted last in this window. */
export function readRoute() {
  let [as, place, thread] = [""];
  try {
    [as, place, thread] = read();
  } catch {
    as = "";
  }
  const last = sessionStorage.getItem("as") || localStorage.getItem("as") || "ana";
  state.route = { as: !as || as === "-" ? last : as, place: place || "welcome", thread: thread || "" };
  sessionStorage.setItem("as", state.route.as);
  localStorage.setItem("as", state.route.as);
  changed();
}

/** Go somewhere; what is not named stays as it is, but a new place closes the thread. */
export function go(where) {
  const { as, place, thread } = { ...state.route, thread: "", ...where };
  const parts = [as, place, thread].filter(Boolean).map(encodeURIComponent);
  const hash = `#/${parts.join("/")}`;
  if (location.hash === hash) readRoute();
  else location.hash = hash;
}
