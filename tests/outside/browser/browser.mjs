// What the browser tests stand on: headless Chromium, the demo's control interface, and a page that remembers whatever
// a browser complains about.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { chromium } = createRequire(`${process.env.RELAIS_TOOLS}/`)("playwright-core");

export const RELAIS = process.env.RELAIS_URL;
export const PHONE = process.env.RELAIS_PHONE;
assert.ok(RELAIS && PHONE, "scripts/outside browser starts a demo and says where it is");

export const launch = () =>
  chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });

// --- The demo, steered from behind.

export async function sim(method, path, body) {
  const answer = await fetch(`${PHONE}/_sim/${path}`, { method, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}

export const settings = (change) => sim("PUT", "settings", change);

// Somebody whom no other test signs in.
let drawn = 0;
export const somebody = () => `8997${String(process.pid % 1000).padStart(3, "0")}${String(++drawn).padStart(5, "0")}`;

/** Starts a login; its login object. */
export async function start(login_hint, more = {}) {
  const answer = await fetch(`${RELAIS}/v1/logins`, {
    method: "POST",
    headers: { authorization: `Basic ${btoa("demo:demo")}`, "content-type": "application/json" },
    body: JSON.stringify({ login_hint, ...more }),
  });
  assert.equal(answer.status, 201);
  return answer.json();
}

export const requests = () => sim("GET", "requests");
export const requestOf = async (hint) => (await requests()).findLast((request) => request.login_hint === hint);

/** Denies whatever waits, so that the phone is empty. */
export async function clear() {
  await settings({ interval: 1, expires_in: 120, auto: null });
  await sim("DELETE", "faults");
  for (const request of await requests()) {
    if (request.status === "pending") await sim("POST", `requests/${request.auth_req_id}/deny`);
  }
}

// --- Pages.

/** A page in a context of its own. `page.complaints` are the console's errors, exceptions and violations of the policy. */
export async function open(browser, address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, ...options });
  return tab(context, address);
}

export async function tab(context, address) {
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  await page.goto(`${PHONE}${address}`);
  return page;
}

/** Closes the page's context; fails if the browser complained. */
export async function close(page, allowed = () => false) {
  await page.context().close();
  assert.deepEqual(page.complaints.filter((complaint) => !allowed(complaint)), []);
}

export const focused = (page) =>
  page.evaluate(() => {
    const active = document.activeElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(active);
    const name = active.getAttribute("aria-label") ?? active.textContent.trim();
    return { tag: active.tagName, name, outline: outlineStyle === "none" ? 0 : parseFloat(outlineWidth) };
  });

/** Text whose contrast is below what WCAG 2.2 AA asks for (1.4.3), and edges of controls below 3 (1.4.11). */
export const faint = (page) =>
  page.evaluate(() => {
    const rgb = (text) => {
      const parts = text.match(/[\d.]+/g).map(Number);
      return { r: parts[0], g: parts[1], b: parts[2], a: parts[3] ?? 1 };
    };
    const over = (top, below) => {
      const mixed = (channel) => top[channel] * top.a + below[channel] * (1 - top.a);
      return { r: mixed("r"), g: mixed("g"), b: mixed("b"), a: 1 };
    };
    const background = (element) => {
      const layers = [];
      for (let at = element; at; at = at.parentElement) layers.push(rgb(getComputedStyle(at).backgroundColor));
      return layers.reverse().reduce((below, top) => over(top, below), { r: 255, g: 255, b: 255, a: 1 });
    };
    const luminance = ({ r, g, b }) => {
      const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
      return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    };
    const contrast = (one, other) => {
      const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
      return (light + 0.05) / (dark + 0.05);
    };
    const found = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let looked = 0;
    for (let text = texts.nextNode(); text; text = texts.nextNode()) {
      const element = text.parentElement;
      if (!text.data.trim() || !element.checkVisibility() || element.closest(".heard, script, noscript, style")) continue;
      looked += 1;
      const style = getComputedStyle(element);
      const size = parseFloat(style.fontSize);
      const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
      const behind = background(element);
      const ratio = contrast(over(rgb(style.color), behind), behind);
      if (ratio < (isLarge ? 3 : 4.5)) found.push(`${text.data.trim()}: ${ratio.toFixed(2)}`);
    }
    if (looked < 5) found.push(`only ${looked} texts`);
    for (const control of document.querySelectorAll("button, input[type=text], select, .option")) {
      if (!control.checkVisibility()) continue;
      const around = background(control.parentElement);
      const style = getComputedStyle(control);
      const edge = contrast(rgb(style.borderTopColor), around);
      if (edge < 3) found.push(`the edge of ${control.textContent.trim().slice(0, 30)}: ${edge.toFixed(2)}`);
    }
    return found;
  });

/** What a screen reader is given: nodes with a role that need a name and have none, and the roles that there are. */
export async function accessibility(page) {
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  const shown = nodes.filter((node) => !node.ignored);
  const needsName = ["button", "link", "textbox", "combobox", "radio", "heading", "Iframe", "article", "region"];
  const nameless = shown
    .filter((node) => needsName.includes(node.role?.value) && !node.name?.value?.trim())
    .map((node) => node.role.value);
  return { nameless, roles: new Set(shown.map((node) => node.role?.value)), nodes: shown };
}

/** The headings in order, each as its level and text. */
export const headings = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll("h1, h2, h3, h4")]
      .filter((heading) => heading.checkVisibility())
      .map((heading) => [Number(heading.tagName[1]), heading.textContent.trim()]),
  );

export async function assertAccessible(page, lang) {
  assert.equal(await page.getAttribute("html", "lang"), lang);
  assert.ok((await page.title()).trim());
  const { nameless, roles } = await accessibility(page);
  assert.deepEqual(nameless, []);
  for (const role of ["banner", "main", "status"]) assert.ok(roles.has(role), `no ${role}`);
  const bare = await page.locator("fieldset").evaluateAll((all) => all.filter((one) => !one.querySelector("legend")?.textContent.trim()).length);
  assert.equal(bare, 0, "a fieldset without a legend");
  const levels = (await headings(page)).map(([level]) => level);
  assert.equal(levels.filter((level) => level === 1).length, 1, "one h1");
  levels.reduce((before, level) => (assert.ok(level <= before + 1, `h${level} below h${before}`), level), 0);
  assert.deepEqual(await faint(page), []);
  const usual = page.viewportSize();
  for (const width of [320, 390, 768, 1280]) {
    await page.setViewportSize({ width, height: 800 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(wide, 0, `nothing to scroll to the side at ${width} px`);
  }
  await page.setViewportSize(usual);
}

/** Counts what live regions say from now on. */
export const listen = (page) =>
  page.evaluate(() => {
    window.said = [];
    for (const region of document.querySelectorAll("[role=status], [role=alert], [aria-live]")) {
      new MutationObserver(() => window.said.push(region.textContent)).observe(region, {
        childList: true, characterData: true, subtree: true,
      });
    }
  });
export const heard = (page) => page.evaluate(() => window.said);
