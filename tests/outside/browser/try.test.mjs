// The practice's software beside the phone: every ending, two tabs, a reload in the middle, both languages.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import {
  PHONE, assertAccessible, clear, close, focused, heard, launch, listen, open, requestOf, requests, settings, sim, start, tab,
} from "./browser.mjs";

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser?.close(); });
beforeEach(clear);

const DESK = { viewport: { width: 1280, height: 900 } };
const heading = (page, name) => page.locator(".window").getByRole("heading", { name, exact: true });
const phone = (page) => page.frameLocator("iframe");
const shows = (page, name) => heading(page, name).waitFor();

/** Signs in as `person`: one of the named, or anything typed. */
async function signIn(page, person, { typed = false, channel = "MOBILE" } = {}) {
  if (typed) await page.locator("#login_hint").fill(person);
  else {
    await page.locator("#login_hint").fill("");
    await page.locator("#person").selectOption(person);
  }
  await page.locator(`input[type=radio][value=${channel}]`).check();
  await page.locator("form[aria-labelledby=sign-in] button").click();
}

const decide = async (hint, decision, body) =>
  sim("POST", `requests/${(await requestOf(hint)).auth_req_id}/${decision}`, body);

test("a session: digits on both sides, who it is, a choice, until when, and sign-out", async () => {
  const page = await open(browser, "/try?lang=fr", DESK);
  await signIn(page, "899700000001", { channel: "CARD" });
  await shows(page, "Confirmez la connexion");
  const digits = await page.locator(".window .digits").innerText();
  assert.match(digits, /^\d\d$/);
  await phone(page).locator(".digits", { hasText: digits }).waitFor();
  assert.match(await page.locator(".window .message").innerText(), new RegExp(`CPS-Gestion que le code affiché est bien ${digits}`));
  assert.match(await page.locator(".window").getByRole("timer").innerText(), /^(2 min 0|1 min \d+) s$/);
  assert.equal((await requestOf("899700000001")).channel, "CARD");
  assert.match((await focused(page)).name, /Confirmez/, "the focus follows the scene");
  await phone(page).getByRole("button", { name: "Approuver" }).click();
  await shows(page, "CLAIRE LEROY-TEST");
  const session = await page.locator(".window").innerText();
  for (const text of ["Session ouverte", "Médecin", "899700000001", "CABINET DU DR LEROY TEST", "Fin au plus tard", "Fin sans activité"]) {
    assert.ok(session.includes(text), text);
  }
  assert.match(session, /\d\d:\d\d/);
  const hospital = page.getByRole("radio", { name: /CENTRE HOSPITALIER/ });
  await hospital.check();
  await page.getByRole("button", { name: "Choisir cette situation" }).click();
  await page.locator(".window dd", { hasText: "CENTRE HOSPITALIER DE TEST" }).waitFor();
  assert.ok(await hospital.isChecked());
  await page.getByRole("button", { name: "Se déconnecter" }).click();
  await shows(page, "Déconnexion effectuée");
  assert.equal(await page.locator(".calls .method").first().innerText(), "DELETE");
  await close(page);
});

test("the panel shows each call, and no token", async () => {
  const page = await open(browser, "/try?lang=en", DESK);
  assert.ok(await page.getByText("No call yet.").isVisible());
  await signIn(page, "899700000002");
  await shows(page, "Confirm the sign-in");
  const waiting = page.locator(".calls li", { hasText: "waiting" });
  await waiting.waitFor();
  await waiting.locator("summary").click();
  assert.match(await waiting.locator("pre").first().innerText(), /prefer: wait=25[^]*if-none-match: "\d+"/);
  const element = await waiting.elementHandle();
  await decide("899700000002", "approve");
  await shows(page, "KARIM BENALI-TEST");
  assert.ok(await element.evaluate((row) => row.isConnected && row.querySelector("details").open), "what is open stays open");
  assert.match(await element.innerText(), /200 OK[^]*"status": "approved"/);
  const calls = await page.locator(".calls summary").allInnerTexts();
  const lines = calls.map((call) => call.split(/\s+/).slice(0, 4).join(" ")).reverse();
  const id = "[0-9a-f-]{36}";
  for (const [place, line] of [
    `^POST /v1/logins 201 Created`, `^GET /v1/logins/${id} 200 OK`, `^POST /v1/logins/${id}/session 201 Created`,
    `^GET /v1/session 200 OK`, `^GET /v1/session/events 200 OK`,
  ].entries()) assert.match(lines[place], new RegExp(line));
  assert.equal(lines.length, 5, "no polling storm");
  const html = await page.content();
  assert.ok(html.includes("rlt_••••••") && html.includes("rsh_••••••"));
  assert.doesNotMatch(html, /r(lt|sh)_[^•]/);
  await close(page);
});

const ENDINGS = [
  ["denied", "Demande refusée", "Request denied", async (page) => {
    await signIn(page, "899700000003");
    await phone(page).getByRole("button", { name: /^(Refuser|Deny)/ }).click();
  }],
  ["expired", "Aucune réponse à temps", "No answer in time", async (page) => {
    await settings({ expires_in: 1 });
    await signIn(page, "899700000004");
  }],
  ["cancelled", "Demande annulée", "Request cancelled", async (page) => {
    await signIn(page, "899700000005");
    await page.getByRole("button", { name: /^(Annuler|Cancel)/ }).click();
  }],
  ["unknown person", "Identifiant inconnu", "Unknown person", (page) => signIn(page, "unknown-1", { typed: true })],
  ["malformed identifier", "Identifiant mal formé", "Malformed identifier", (page) => signIn(page, "810123456789", { typed: true })],
  ["somebody else", "Une autre personne a confirmé", "Someone else confirmed", async (page) => {
    await signIn(page, "899700000006");
    await page.locator(".window .digits").waitFor();
    await decide("899700000006", "approve", { as: "899700000002" });
  }],
  ["provider unavailable", "Service d’authentification indisponible", "Authentication service unavailable", async (page) => {
    await sim("POST", "faults", { endpoint: "backchannel", status: 503, body: { error: "temporarily_unavailable" } });
    await signIn(page, "899700000007");
  }],
];

test("every other ending, one after the other at one desk", async (t) => {
  const page = await open(browser, "/try?lang=fr", DESK);
  for (const [name, french, english, bringAbout] of ENDINGS) {
    await t.test(name, async () => {
      await clear();
      await listen(page);
      await bringAbout(page);
      await shows(page, french);
      const banner = page.locator(".banner");
      assert.ok((await banner.locator("p").first().innerText()).length > 20, "a sentence of Relais");
      assert.match(await banner.innerText(), /Code d’assistance \w{4}-\w{4}/);
      assert.ok((await heard(page)).at(-1).startsWith(french), "it is heard");
      // The focus goes there, unless it is on the phone.
      const at = await focused(page);
      assert.ok(at.tag === "IFRAME" || at.name === french, JSON.stringify(at));
      assert.ok((await page.title()).startsWith(french));
      assert.ok(await page.locator("form[aria-labelledby=sign-in]").isVisible(), "the next attempt is open");
      await page.getByRole("link", { name: "English" }).click();
      await shows(page, english);
      await page.getByRole("link", { name: "Français" }).click();
      await shows(page, french);
    });
  }
  await close(page);
});

test("another login is under way: how long to wait, and how to replace it", async () => {
  const page = await open(browser, "/try?lang=fr", DESK);
  await start("899700000001");
  await signIn(page, "899700000001");
  await shows(page, "Une demande est déjà en cours");
  const timer = page.locator(".banner").getByRole("timer");
  const shown = await timer.innerText();
  await page.waitForFunction((before) => document.querySelector(".banner [role=timer]").textContent !== before, shown);
  await page.getByRole("button", { name: "Réessayer" }).click();
  await page.waitForTimeout(300);
  await shows(page, "Une demande est déjà en cours");
  await page.getByRole("button", { name: "Remplacer la demande en cours" }).click();
  await shows(page, "Confirmez la connexion");
  assert.equal((await requests()).filter((request) => request.status === "pending").length, 2, "a provider cannot be told to forget");
  await close(page);
});

test("two tabs know nothing of each other, but for the person's one request", async () => {
  const page = await open(browser, "/try?lang=fr", DESK);
  const other = await tab(page.context(), "/try?lang=en");
  assert.notEqual(page.url(), other.url());
  await signIn(page, "899700000001");
  await shows(page, "Confirmez la connexion");
  await signIn(other, "899700000002");
  await shows(other, "Confirm the sign-in");
  await decide("899700000002", "approve");
  await shows(other, "KARIM BENALI-TEST");
  await shows(page, "Confirmez la connexion");
  await other.getByRole("button", { name: "Sign out" }).click();
  await shows(other, "Signed out");
  await signIn(other, "899700000001");
  await other.getByRole("button", { name: "Replace the request under way" }).click();
  await shows(page, "Demande remplacée");
  await decide("899700000001", "approve");
  await shows(other, "CLAIRE LEROY-TEST");
  assert.deepEqual(other.complaints, []);
  await close(page);
});

test("a reload, another language and a way back in the middle lose nothing", async () => {
  const page = await open(browser, "/try?lang=fr", DESK);
  await signIn(page, "899700000001");
  await shows(page, "Confirmez la connexion");
  const digits = await page.locator(".window .digits").innerText();
  await page.reload();
  await shows(page, "Confirmez la connexion");
  assert.equal(await page.locator(".window .digits").innerText(), digits);
  await page.getByRole("link", { name: "English" }).first().click();
  await shows(page, "Confirm the sign-in");
  assert.equal(await page.locator(".window .digits").innerText(), digits);
  assert.match(await page.locator(".message").innerText(), new RegExp(`the code shown is ${digits}`));
  assert.equal(await page.locator(".message").getAttribute("lang"), "en");
  await phone(page).getByRole("button", { name: "Approve" }).waitFor();
  await page.goBack();
  await shows(page, "Confirmez la connexion");
  await decide("899700000001", "approve");
  await shows(page, "CLAIRE LEROY-TEST");
  await page.reload();
  await shows(page, "CLAIRE LEROY-TEST");
  await close(page);
});

test("by keyboard alone, from the sign-in box to the end", async () => {
  const page = await open(browser, "/try?lang=fr", DESK);
  const until = async (wanted) => {
    for (let step = 0; step < 30; step += 1) {
      await page.keyboard.press("Tab");
      const at = await focused(page);
      if (at.name === wanted) return assert.ok(at.outline >= 2, JSON.stringify(at));
    }
    return assert.fail(`never reached: ${wanted}`);
  };
  await page.locator("#login_hint").focus();
  await page.keyboard.type("899700000007");
  await page.keyboard.press("Enter");
  await shows(page, "Confirmez la connexion");
  await until("Annuler la demande");
  const cancel = await page.evaluateHandle(() => document.activeElement);
  // Whatever comes in meanwhile, the focus stays.
  await page.waitForFunction(() => document.querySelectorAll(".calls > li").length === 2);
  assert.ok(await cancel.evaluate((button) => button === document.activeElement));
  await decide("899700000007", "approve");
  await shows(page, "LOUISE SANSEXERCICE-TEST");
  assert.ok(await page.getByText("aucune situation d’exercice").isVisible());
  assert.equal((await focused(page)).name, "LOUISE SANSEXERCICE-TEST");
  await until("Se déconnecter");
  await page.keyboard.press("Enter");
  await shows(page, "Déconnexion effectuée");
  await close(page);
});

test("without script, by forms", async () => {
  const page = await open(browser, "/try?lang=fr", { ...DESK, javaScriptEnabled: false });
  await signIn(page, "899700000002");
  await shows(page, "Confirmez la connexion");
  await phone(page).getByRole("link", { name: "Actualiser" }).click();
  await phone(page).getByRole("button", { name: "Approuver" }).click();
  await shows(page, "KARIM BENALI-TEST");
  await page.getByRole("button", { name: "Se déconnecter" }).click();
  await shows(page, "Déconnexion effectuée");
  await close(page);
});

test("a desk that has been forgotten becomes a new one", async () => {
  const page = await open(browser, "/try?lang=fr", DESK);
  const before = page.url();
  for (let desk = 0; desk < 33; desk += 1) await (await fetch(`${PHONE}/try`)).text();
  await page.locator("form[aria-labelledby=sign-in] button").click();
  await page.waitForURL((url) => !before.includes(url.pathname));
  await signIn(page, "899700000003");
  await shows(page, "Confirmez la connexion");
  await close(page, (complaint) => complaint.includes("410"));
});

test("the phone may be framed here and nowhere else", async () => {
  const page = await open(browser, "/try?lang=fr", DESK);
  assert.match(await phone(page).locator("h1").innerText(), /Téléphone simulé/);
  assert.equal(await phone(page).getByRole("link").count(), 0, "the links are those of the page around it");
  await close(page);
  const elsewhere = await browser.newPage();
  await elsewhere.setContent(`<iframe src="${PHONE}/"></iframe>`);
  await elsewhere.waitForTimeout(500);
  const framed = await elsewhere.frames()[1].evaluate(() => document.querySelector("main") !== null).catch(() => false);
  assert.equal(framed, false);
  await elsewhere.close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`names, headings, contrast and no scrolling to the side in each scene, ${colorScheme}`, async () => {
    const page = await open(browser, "/try?lang=fr", { ...DESK, colorScheme, reducedMotion: "reduce" });
    await page.locator(".recipes summary").click();
    await assertAccessible(page, "fr");
    await signIn(page, "899700000001");
    await shows(page, "Confirmez la connexion");
    await page.locator(".calls summary").first().click();
    await assertAccessible(page, "fr");
    await decide("899700000001", "approve");
    await shows(page, "CLAIRE LEROY-TEST");
    await assertAccessible(page, "fr");
    await page.getByRole("button", { name: "Se déconnecter" }).click();
    await shows(page, "Déconnexion effectuée");
    await assertAccessible(page, "fr");
    await start("899700000001");
    await signIn(page, "899700000001");
    await shows(page, "Une demande est déjà en cours");
    await assertAccessible(page, "fr");
    await decide("899700000001", "deny");
    await signIn(page, "unknown-1", { typed: true });
    await shows(page, "Identifiant inconnu");
    await assertAccessible(page, "fr");
    await close(page);
  });
}
