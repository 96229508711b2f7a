// The simulated phone: seen, heard, by keyboard, without script, while things change.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import {
  assertAccessible, clear, close, focused, heard, launch, listen, open, requestOf, settings, sim, somebody, start,
} from "./browser.mjs";

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser?.close(); });
beforeEach(clear);

const article = (page, hint) => page.locator("article", { hasText: hint });
const entry = (page, hint) => page.locator(".history li", { hasText: hint }).first();

const LANGUAGES = {
  fr: { first: /^Ceci est un simulateur/, none: "Aucune demande en attente.", approve: "Approuver", deny: "Refuser", approved: "Approuvée", denied: "Refusée", expired: "Expirée", history: "Historique" },
  en: { first: /^This is a simulator/, none: "No request is waiting.", approve: "Approve", deny: "Deny", approved: "Approved", denied: "Denied", expired: "Expired", history: "History" },
};

for (const [lang, words] of Object.entries(LANGUAGES)) {
  test(`approve, deny, expire and the history, in ${lang}`, async () => {
    const page = await open(browser, "/", { locale: lang === "fr" ? "fr-FR" : "en-GB" });
    assert.match((await page.innerText("body")).trim(), words.first);
    await page.getByText(words.none).first().waitFor();
    const [approved, denied, expired] = [somebody(), somebody(), somebody()];
    const { binding_message: digits } = await start(approved);
    // It comes by itself, with everything that the person is to look at.
    await article(page, approved).waitFor();
    assert.equal(await article(page, approved).locator(".digits").innerText(), digits);
    assert.match(await article(page, approved).innerText(), /Relais Demo[^]*relais-demo/);
    assert.match(await page.title(), /^\(1\) /);
    const size = await article(page, approved).locator(".digits").evaluate((shown) => parseFloat(getComputedStyle(shown).fontSize));
    assert.ok(size >= 60, `digits of ${size} px`);
    await article(page, approved).getByRole("button", { name: words.approve }).click();
    await entry(page, approved).waitFor();
    assert.match(await entry(page, approved).innerText(), new RegExp(words.approved));
    assert.equal((await requestOf(approved)).status === "pending", false);
    await start(denied, { channel: "CARD" });
    await article(page, denied).getByRole("button", { name: words.deny }).click();
    await entry(page, denied).waitFor();
    assert.equal((await requestOf(denied)).status, "denied");
    await settings({ expires_in: 1 });
    await start(expired);
    await entry(page, expired).waitFor();
    assert.match(await entry(page, expired).innerText(), new RegExp(words.expired));
    const order = await page.locator(".history li").allInnerTexts();
    for (const [place, hint] of [expired, denied, approved].entries()) assert.ok(order[place].includes(hint), order[place]);
    assert.equal(await page.locator("article").count(), 0);
    assert.equal(await page.getByRole("heading", { name: words.history }).count(), 1);
    await close(page);
  });
}

test("by keyboard alone, with a focus that is seen and never lost", async () => {
  const page = await open(browser, "/?lang=fr");
  const [first, second] = [somebody(), somebody()];
  await start(first);
  await article(page, first).waitFor();
  const seen = [];
  for (let step = 0; step < 3; step += 1) {
    await page.keyboard.press("Tab");
    seen.push(await focused(page));
  }
  assert.deepEqual(seen.map(({ tag }) => tag), ["A", "BUTTON", "BUTTON"]);
  assert.match(seen[1].name, /^Approuver la demande \d\d$/);
  assert.match(seen[2].name, /^Refuser la demande \d\d$/);
  assert.ok(seen.every(({ outline }) => outline >= 2), JSON.stringify(seen));
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await entry(page, first).waitFor();
  assert.match(await entry(page, first).innerText(), /Approuvée/);
  assert.deepEqual((await focused(page)).name, "En attente", "the focus goes to the heading, not to the top");
  await start(second);
  await article(page, second).waitFor();
  await page.keyboard.press("Tab");
  assert.match((await focused(page)).name, /^Approuver/);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  await entry(page, second).waitFor();
  assert.match(await entry(page, second).innerText(), /Refusée/);
  await close(page);
});

test("an update touches neither the focus nor a half-made tap", async () => {
  const page = await open(browser, "/?lang=fr");
  const [first, second, third] = [somebody(), somebody(), somebody()];
  await start(first);
  const approve = article(page, first).getByRole("button", { name: "Approuver" });
  await approve.focus();
  const button = await approve.elementHandle();
  await start(second);
  await article(page, second).waitFor();
  assert.ok(await button.evaluate((node) => node.isConnected && node === document.activeElement), "it is the same button");
  // A finger is down while another request comes and while the one above ends.
  const deny = article(page, second).getByRole("button", { name: "Refuser" });
  await deny.scrollIntoViewIfNeeded();
  const { x, y, width, height } = await deny.boundingBox();
  await page.mouse.move(x + width / 2, y + height / 2);
  await page.mouse.down();
  await sim("POST", `requests/${(await requestOf(first)).auth_req_id}/deny`);
  await start(third);
  await page.waitForTimeout(700);
  assert.equal(await article(page, first).count(), 1, "nothing moves below a finger");
  await page.mouse.up();
  await entry(page, second).waitFor();
  assert.equal((await requestOf(second)).status, "denied");
  await article(page, third).waitFor();
  assert.equal((await requestOf(third)).status, "pending", "the tap did not go to another request");
  assert.equal(await article(page, first).count(), 0);
  await close(page);
});

test("who hears the page is told what comes, and no countdown", async () => {
  const page = await open(browser, "/?lang=en");
  await listen(page);
  const hint = somebody();
  const { binding_message: digits } = await start(hint);
  await article(page, hint).waitFor();
  const told = await heard(page);
  assert.equal(told.length, 1, JSON.stringify(told));
  assert.match(told[0], new RegExp(`Request from Relais Demo for .+, number ${digits}\\.$`));
  const timer = article(page, hint).getByRole("timer");
  const shown = await timer.innerText();
  await page.waitForFunction((before) => document.querySelector("[role=timer]").textContent !== before, shown);
  await page.waitForTimeout(2200);
  assert.equal((await heard(page)).length, 1, "the countdown is not heard");
  const bar = await page.locator("progress").evaluate((progress) => progress.value);
  assert.ok(bar < 120 && bar > 100, `${bar} s left`);
  await sim("POST", `requests/${(await requestOf(hint)).auth_req_id}/deny`);
  await entry(page, hint).waitFor();
  assert.equal((await heard(page)).at(-1), "Request denied. No request is waiting.");
  await close(page);
});

test("without script, by forms", async () => {
  const page = await open(browser, "/?lang=fr", { javaScriptEnabled: false });
  assert.equal(await page.locator("noscript meta[http-equiv=refresh]").count(), 1);
  assert.match(await page.locator("footer").innerText(), /se recharge d’elle-même/);
  const [approved, denied] = [somebody(), somebody()];
  await start(approved);
  await page.getByRole("link", { name: "Actualiser" }).click();
  await article(page, approved).getByRole("button", { name: "Approuver" }).click();
  await entry(page, approved).waitFor();
  assert.match(await entry(page, approved).innerText(), /Approuvée/);
  assert.match(await entry(page, approved).innerText(), /\d\d:\d\d UTC/);
  await start(denied);
  await page.reload();
  await page.getByRole("link", { name: "English" }).click();
  await article(page, denied).getByRole("button", { name: "Deny" }).click();
  await entry(page, denied).waitFor();
  assert.equal((await requestOf(denied)).status, "denied");
  // It reloads by itself while nothing waits: the next request appears without a hand.
  const next = somebody();
  await start(next);
  await article(page, next).waitFor();
  await close(page);
});

test("a decision that comes too late is told", async () => {
  const page = await open(browser, "/?lang=fr", { javaScriptEnabled: false });
  const hint = somebody();
  await start(hint);
  await page.reload();
  await sim("POST", `requests/${(await requestOf(hint)).auth_req_id}/deny`);
  await article(page, hint).getByRole("button", { name: "Approuver" }).click();
  await page.getByRole("alert").waitFor();
  assert.match(await page.getByRole("alert").innerText(), /n’est plus en attente/);
  await close(page, (complaint) => complaint.includes("409"));
});

test("a simulator that is away is told, and found again", async () => {
  const page = await open(browser, "/?lang=fr");
  assert.equal(await page.locator(".lost").isVisible(), false);
  await page.route("**/*", (route) => route.abort());
  const hint = somebody();
  await start(hint);
  await page.locator(".lost").waitFor({ state: "visible" });
  await page.unroute("**/*");
  await page.locator(".lost").waitFor({ state: "hidden" });
  await article(page, hint).waitFor();
  await close(page, (complaint) => complaint.includes("ERR_FAILED"));
});

test("a tab that nobody looks at holds no connection", async () => {
  const page = await open(browser, "/?lang=fr");
  const hidden = async (value) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }, value);
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  await hidden(true);
  const hint = somebody();
  await start(hint);
  await page.waitForTimeout(600);
  assert.deepEqual([asked.length, await article(page, hint).count()], [0, 0]);
  await hidden(false);
  await article(page, hint).waitFor();
  await close(page);
});

for (const colorScheme of ["light", "dark"]) {
  test(`names, headings, contrast and no scrolling to the side, ${colorScheme}`, async () => {
    await start(somebody());
    await start("500000001815646/CPAT00045", { channel: "CARD", if_pending: "replace" });
    const denied = somebody();
    await start(denied);
    await sim("POST", `requests/${(await requestOf(denied)).auth_req_id}/deny`);
    for (const lang of ["fr", "en"]) {
      const page = await open(browser, `/?lang=${lang}`, { colorScheme });
      await assertAccessible(page, lang);
      const small = await page.getByRole("button").evaluateAll((all) => all.filter((one) => one.offsetHeight < 44).length);
      assert.equal(small, 0, "targets for a thumb");
      await close(page);
    }
    // The paper is what the scheme says.
    const page = await open(browser, "/", { colorScheme });
    const paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number)[0]);
    assert.ok(colorScheme === "dark" ? paper < 60 : paper > 200, `${paper}`);
    await close(page);
  });
}

test("on a desktop it is framed as a phone, and it moves only for who wants that", async () => {
  for (const [reducedMotion, moves] of [["reduce", false], ["no-preference", true]]) {
    const page = await open(browser, "/?lang=fr", { viewport: { width: 1280, height: 900 }, reducedMotion });
    const frame = await page.locator(".device").evaluate((device) => getComputedStyle(device).borderTopWidth);
    assert.ok(parseFloat(frame) > 4, frame);
    await page.evaluate(() => {
      window.moved = 0;
      document.addEventListener("animationstart", () => { window.moved += 1; });
    });
    const hint = somebody();
    await start(hint);
    await article(page, hint).waitFor();
    await page.waitForTimeout(100);
    assert.equal((await page.evaluate(() => window.moved)) > 0, moves);
    await close(page);
  }
});
