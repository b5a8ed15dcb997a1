// Says when the page is out of date: a redraw failed, and until the next one that works.
"use strict";
for (const failure of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.addEventListener(failure, () => document.body.classList.add("stale"));
}
document.addEventListener("htmx:afterSwap", () => document.body.classList.remove("stale"));
