// Before anything is drawn: what this browser remembers of how the pages should look, so that nothing jumps.
"use strict";
(() => {
  const root = document.documentElement;
  const kept = (name) => { try { return localStorage.getItem(`sww-${name}`) || ""; } catch { return ""; } };
  root.dataset.theme = kept("theme") || "dark";
  root.dataset.folded = kept("folded");
  if (!root.dataset.screen && kept("screen") === "big" && root.hasAttribute("data-screen")) root.dataset.screen = "big";
})();
