// The live part of the status page: it is told what is new, or asks; draws only that; folds, keys, pause, wall.
"use strict";
(() => {
  const ASK_MS = 2000, SILENT_MS = 25000, AGAIN_MS = [2000, 5000, 15000, 60000];
  const root = document.documentElement, body = document.body;
  const lost = document.querySelector(".lost"), link = document.querySelector("#link");
  let stream = null, paused = false, tries = 0, heard = 0, asking = null, again = null, since = "";

  // --- what is drawn ---------------------------------------------------------------------------------------------
  const made = (html) => { const box = document.createElement("template"); box.innerHTML = html; return box.content.firstElementChild; };
  const same = (one, two) => one.nodeType === two.nodeType && one.nodeName === two.nodeName;

  function morph(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) { if (old.data !== fresh.data) old.data = fresh.data; return; }
    if (old.isEqualNode(fresh)) return;
    if (old.nodeName === "TIME" && old.dateTime === fresh.dateTime && old.dataset.form === fresh.dataset.form) return;
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "value" && !(name === "open" && old.dataset.keep !== undefined)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && !(name === "tabindex" && old.tabIndex === 0)) old.setAttribute(name, value);
    if (old.dataset.keep !== undefined) return;
    const news = [...fresh.childNodes], olds = [...old.childNodes];
    news.forEach((node, place) => {
      const there = olds[place];
      if (!there) old.append(node);
      else if (same(there, node)) morph(there, node);
      else there.replaceWith(node);
    });
    olds.slice(news.length).forEach((node) => node.remove());
  }

  function region(name, told) {
    const place = document.querySelector(`[data-region="${name}"]`);
    if (!place) return;
    const had = new Map([...place.children].map((node) => [node.dataset.key, node]));
    for (const [key, html] of Object.entries(told.html)) {
      const fresh = made(html), old = had.get(key);
      if (!fresh) continue;
      if (old && same(old, fresh)) morph(old, fresh);
      else { if (old) old.replaceWith(fresh); else if (told.order) place.append(fresh); had.set(key, fresh); }
    }
    if (!told.order) return;
    const wanted = new Set(told.order);
    for (const [key, node] of had) if (!wanted.has(key)) node.remove();
    told.order.forEach((key, at) => {
      const node = had.get(key);
      if (node && place.children[at] !== node) place.insertBefore(node, place.children[at] || null);
    });
  }

  function show(told) {
    Page.clock(told.now);
    for (const [name, news] of Object.entries(told.regions)) region(name, news);
    trouble(told.trouble ? `${told.trouble} What is below was true at ${stamp()}.` : "");
    if (!told.trouble) since = new Date(Page.now()).toISOString().slice(11, 19);
    Page.tick();
  }

  const stamp = () => (since ? `${since} UTC` : "the time it was loaded");

  function trouble(text) {
    lost.hidden = !text;
    Page.write(lost, text);
    body.classList.toggle("stale", Boolean(text));
  }

  function say(state, text) {
    link.dataset.state = state;
    Page.write(link.querySelector("span"), text);
  }

  // --- how it is told --------------------------------------------------------------------------------------------
  function watch() {
    clearTimeout(again);
    const mine = stream = new EventSource(body.dataset.stream);
    heard = Date.now();
    const on = (name, then) => mine.addEventListener(name, (event) => { if (stream === mine) { heard = Date.now(); then(JSON.parse(event.data)); } });
    on("news", (told) => { tries = 0; quiet(); show(told); say("stream", "live, as it happens"); });
    on("beat", (told) => { Page.clock(told.now); });
    on("bye", () => { mine.close(); stream = null; location.reload(); });
    on("full", leave);
    mine.addEventListener("error", () => { if (stream === mine) leave(); });
  }

  function leave() { // the stream is refused or broken: ask instead, and try it again later
    if (stream) stream.close();
    stream = null;
    if (!asking) ask();
    clearTimeout(again);
    again = setTimeout(() => { if (!paused) watch(); }, AGAIN_MS[Math.min(tries++, AGAIN_MS.length - 1)]);
  }

  function quiet() { clearTimeout(asking); asking = null; }

  async function ask() {
    quiet();
    asking = setTimeout(ask, 4 * ASK_MS);
    try {
      const answer = await fetch(body.dataset.live, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(3 * ASK_MS) });
      const told = await answer.json();
      if (paused || !asking) return;
      if (told.login) { location.assign(told.login); return; }
      show(told);
      say("poll", "live, asking every 2 s");
    } catch (error) {
      if (paused || !asking) return;
      const slow = error.name === "TimeoutError";
      trouble(`${slow ? "The web server or its database is slow." : "No contact with the web server."} What is below was true at ${stamp()}.`);
      say("lost", slow ? "no answer in time" : "no contact");
    }
    quiet();
    asking = setTimeout(ask, ASK_MS);
  }

  setInterval(() => { if (stream && Date.now() - heard > SILENT_MS) leave(); }, 1000);

  function pause() {
    paused = !paused;
    pressed("pause", paused);
    if (paused) {
      if (stream) stream.close();
      stream = null;
      quiet();
      clearTimeout(again);
      say("paused", `paused at ${new Date(Page.now()).toISOString().slice(11, 19)} UTC`);
    } else {
      say("wait", "connecting");
      tries = 0;
      watch();
    }
  }

  // --- what people do --------------------------------------------------------------------------------------------
  const pressed = (name, on) => document.querySelector(`[data-do="${name}"]`).setAttribute("aria-pressed", String(on));
  const folds = () => new Set((root.dataset.folded || "").split(" ").filter(Boolean));

  function fold(name) {
    const now = folds();
    if (!now.delete(name)) now.add(name);
    root.dataset.folded = [...now].join(" ");
    Page.keep("folded", root.dataset.folded);
    marks();
  }

  function marks() {
    const now = folds();
    for (const button of document.querySelectorAll("[data-fold]")) button.setAttribute("aria-expanded", String(!now.has(button.dataset.fold)));
    pressed("big", root.dataset.screen === "big");
  }

  function big() {
    root.dataset.screen = root.dataset.screen === "big" ? "" : "big";
    Page.keep("screen", root.dataset.screen);
    marks();
  }

  async function open(details) {
    if (!details.open) return;
    const box = details.querySelector(".fetched");
    if (!box.childElementCount) box.textContent = "…";
    try {
      const answer = await fetch(details.dataset.src, { signal: AbortSignal.timeout(8000) });
      if (answer.ok) box.innerHTML = await answer.text();
      else box.textContent = answer.status === 403 ? "You may not read this." : "It could not be fetched.";
    } catch { box.textContent = "It could not be fetched: no contact with the web server."; }
  }

  const items = () => [...document.querySelectorAll("article[data-key]")].filter((node) => node.offsetParent);

  function step(by) {
    const all = items(), at = all.indexOf(document.activeElement.closest("article[data-key]"));
    choose(all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))]);
  }

  function choose(node) {
    if (!node) return;
    for (const old of document.querySelectorAll('article[tabindex="0"]')) old.tabIndex = -1;
    node.tabIndex = 0;
    node.focus({ preventScroll: true });
    node.scrollIntoView({ block: "nearest" });
  }

  function enter(node) {
    const details = node.querySelector("details"), to = node.querySelector("a");
    if (details) details.open = !details.open;
    else if (to) to.click();
  }

  const dialog = (name) => { const one = document.getElementById(name); if (one && !one.open) one.showModal(); };
  const DEEDS = { pause, big, help: () => dialog("help"), stop: () => dialog("stop"), resume: () => dialog("resume") };
  const KEYS = { p: pause, b: big, t: Page.theme, "?": () => dialog("help"), j: () => step(1), k: () => step(-1) };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.fold) fold(button.dataset.fold);
    if (button.dataset.do === "close") button.closest("dialog").close();
    const deed = DEEDS[button.dataset.do];
    if (deed) deed();
  });
  document.addEventListener("toggle", (event) => { if (event.target.matches("details[data-src]")) open(event.target); }, true);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
    const item = event.target.closest("article[data-key]");
    if (KEYS[event.key]) KEYS[event.key]();
    else if (event.target === item && event.key === "ArrowDown") step(1);
    else if (event.target === item && event.key === "ArrowUp") step(-1);
    else if (event.target === item && event.key === "Enter") enter(item);
    else if (item && event.key === "w" && item.querySelector(".whylink a")) item.querySelector(".whylink a").click();
    else if (event.key === "c" && event.target.closest("section[id]")) fold(event.target.closest("section[id]").id);
    else if (/^[1-5]$/.test(event.key)) document.querySelectorAll("[data-fold]")[Number(event.key) - 1].focus();
    else return;
    event.preventDefault();
  });

  Page.clock(Number(body.dataset.now));
  since = new Date(Page.now()).toISOString().slice(11, 19);
  marks();
  Page.tick();
  watch();
})();
