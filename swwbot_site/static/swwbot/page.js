// What every page of ours does: tells moments as distances from now, copies texts, changes colours.
"use strict";
const Page = (() => {
  const THEMES = ["dark", "light", "terminal"];
  let ahead = 0; // the server's clock minus ours, ms

  const keep = (name, value) => { try { localStorage.setItem(`sww-${name}`, value); } catch { /* a browser that remembers nothing */ } };
  const now = () => Date.now() + ahead;

  function span(ms) {
    const s = ms / 1000;
    if (s < 9.95) return `${Math.floor(s)} s`;
    if (s < 120) return `${Math.round(s)} s`;
    if (s < 7200) return `${Math.round(s / 60)} min`;
    if (s < 172800) return `${Math.round(s / 3600)} h`;
    return `${Math.round(s / 86400)} d`;
  }

  const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };

  function tick(within = document) {
    const at = now();
    for (const node of within.querySelectorAll("time[data-form]")) {
      const past = at - Date.parse(node.dateTime), text = span(Math.abs(past));
      if (node.dataset.form === "age") write(node, text);
      else write(node, Math.abs(past) < 1000 ? "now" : past > 0 ? `${text} ago` : `in ${text}`);
    }
    for (const node of within.querySelectorAll("[data-left]")) {
      const left = Date.parse(node.dataset.left) - at;
      write(node, left >= 0 ? `about ${span(left)} left` : `${span(-left)} longer than usual`);
    }
    for (const node of within.querySelectorAll("progress[data-from]")) {
      const whole = Number(node.dataset.span) * 1000;
      node.value = whole > 0 ? Math.min(0.99, Math.max(0, (at - Date.parse(node.dataset.from)) / whole)) : 0.99;
    }
  }

  function theme() {
    const root = document.documentElement;
    root.dataset.theme = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
    keep("theme", root.dataset.theme);
  }

  async function copy(button) {
    const text = button.closest(".turn").querySelector("pre").textContent;
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else { // not served over TLS: browsers have no clipboard there
      const area = document.createElement("textarea");
      area.value = text;
      button.parentNode.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-do]");
    if (button && button.dataset.do === "theme") theme();
    if (button && button.dataset.do === "copy") copy(button);
  });
  tick();
  setInterval(tick, 1000);

  return { keep, now, tick, theme, write, clock: (theirs) => { ahead = theirs - Date.now(); } };
})();
