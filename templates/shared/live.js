"use strict";
// Keeps the page as the server has it. `main` carries the revision that is shown; the server answers when it has
// another one. Only what differs is touched: neither the focus, nor a typed word, nor a half-made tap is lost.
const main = document.querySelector("main");
const lost = document.querySelector(".lost");
const again = (ms) => new Promise((done) => setTimeout(done, ms));

// --- What belongs to the script: it counts down, and shows local time.
const ends = new WeakMap();
const spoken = (left) => (left < 60 ? "" : Math.floor(left / 60) + " min ") + (left % 60) + " s";
function tick() {
  for (const shown of main.querySelectorAll("[data-left]")) {
    if (!ends.has(shown)) ends.set(shown, performance.now() + 1000 * shown.dataset.left);
    const left = Math.max(0, Math.ceil((ends.get(shown) - performance.now()) / 1000));
    if (shown instanceof HTMLProgressElement) shown.value = left;
    else if (shown.textContent !== spoken(left)) shown.textContent = spoken(left);
  }
}
const locale = document.documentElement.lang === "en" ? "en-GB" : "fr";
function localise() {
  for (const time of main.querySelectorAll("time[data-own]:not([data-local])")) {
    time.dataset.local = "";
    const form = time.dataset.seconds === undefined ? { hour: "2-digit", minute: "2-digit" } : { timeStyle: "medium" };
    time.textContent = new Date(time.dateTime).toLocaleTimeString(locale, form);
  }
}

// --- What is shown becomes what is fresh.
const keyOf = (node) => node.dataset?.key ?? node.dataset?.own;
const isSame = (shown, fresh) => shown.nodeName === fresh.nodeName && keyOf(shown) === keyOf(fresh);
function become(shown, fresh) {
  if (shown.nodeType !== Node.ELEMENT_NODE) {
    if (shown.nodeValue !== fresh.nodeValue) shown.nodeValue = fresh.nodeValue;
    return;
  }
  if (shown.dataset.own !== undefined) return;
  for (const { name } of [...shown.attributes]) {
    // Whether a part is open is the reader's business.
    if (!fresh.hasAttribute(name) && name !== "open") shown.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (shown.getAttribute(name) !== value && name !== "open") shown.setAttribute(name, value);
  }
  let at = shown.firstChild;
  for (const child of [...fresh.childNodes]) {
    let match = at;
    while (match && !isSame(match, child)) match = match.nextSibling;
    // A node without a key is the one that stands there, or none.
    if (!match || (match !== at && keyOf(child) === undefined)) {
      if (child.dataset?.key !== undefined) child.dataset.arrives = "";
      shown.insertBefore(child, at);
      continue;
    }
    while (at !== match) at = drop(at);
    at = match.nextSibling;
    become(match, child);
  }
  while (at) at = drop(at);
}
function drop(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

// --- A tap or a key that is down is let go first.
let held = 0;
const released = new EventTarget();
const isKey = (event) => event.key === "Enter" || event.key === " ";
const hold = () => { held = performance.now(); };
const release = () => setTimeout(() => { held = 0; released.dispatchEvent(new Event("release")); });
addEventListener("pointerdown", hold, true);
addEventListener("pointerup", release, true);
addEventListener("pointercancel", release, true);
addEventListener("keydown", (event) => { if (isKey(event)) hold(); }, true);
addEventListener("keyup", (event) => { if (isKey(event)) release(); }, true);
addEventListener("blur", release);
async function untilReleased() {
  // At most some seconds: a release may be lost with its target.
  if (held && performance.now() - held < 3000) {
    await Promise.race([new Promise((done) => released.addEventListener("release", done, { once: true })), again(3000)]);
  }
}

async function show(html) {
  await untilReleased();
  // Only this part: the policy judges the style of a whole page, even of one that is never shown.
  const part = html.slice(html.indexOf("<main"), html.indexOf("</main>") + 7);
  const fresh = new DOMParser().parseFromString(part, "text/html").querySelector("main");
  if (!fresh) return location.reload();
  const focused = main.contains(document.activeElement) ? document.activeElement : null;
  document.title = fresh.dataset.title;
  become(main, fresh);
  tick();
  localise();
  if (focused && !focused.isConnected) main.querySelector("[data-heading]")?.focus();
}

// --- The server says when there is something new.
async function follow() {
  for (;;) {
    if (document.hidden) await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
    const stop = new AbortController();
    // A tab that nobody looks at holds no connection: a browser has few of them.
    const leave = () => { if (document.hidden) stop.abort(); };
    document.addEventListener("visibilitychange", leave);
    try {
      const address = new URL(location.href);
      address.searchParams.set("lang", document.documentElement.lang);
      // After a failure it asks for whatever there is, to know at once that somebody answers again.
      address.searchParams.set("seen", lost.hidden ? main.dataset.revision : "");
      const answer = await fetch(address, { cache: "no-store", signal: stop.signal });
      if (answer.status === 410) return location.reload();
      if (answer.status === 200) await show(await answer.text());
      else if (answer.status !== 204) throw new Error(answer.status);
      lost.hidden = true;
    } catch {
      if (!stop.signal.aborted) {
        lost.hidden = false;
        await again(1500);
      }
    } finally {
      document.removeEventListener("visibilitychange", leave);
    }
  }
}

// --- Forms are sent without leaving the page.
let sending = false;
main.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  event.preventDefault();
  if (sending) return;
  sending = true;
  const button = event.submitter;
  button?.setAttribute("aria-disabled", "true");
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form, button)), cache: "no-store" });
    // A desk that has been forgotten: it leads to a new one.
    if (answer.redirected && new URL(answer.url).pathname !== location.pathname) return location.assign(answer.url);
    await show(await answer.text());
  } catch {
    lost.hidden = false;
  } finally {
    sending = false;
    button?.removeAttribute("aria-disabled");
  }
});

document.documentElement.classList.toggle("framed", window.top !== window);
tick();
localise();
setInterval(tick, 250);
follow();
