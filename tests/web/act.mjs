// What each role does by the page, signed in with a password: each action once, with what is said before and what comes of it.
import { accessible, address, ask, assert, close, open, phone, run, session, signIn, until, wide } from "./lib.mjs";

const verdict = (page) => page.locator(".verdict");
const where = (page) => page.url().slice(address.length);
const count = async () => parseInt((await ask("asked")) || "0");
let oscar, alice, vera;

// From the place where it is offered: what the confirmation says, what is filled in, who is told to do what, and the end.
const actions = [
  { from: "/services/web", offer: "Acknowledge web", words: [/Incident\s+41: The process is down/, /no reminders and no escalation/], fill: { "What is done about it": "on it" }, confirm: "Acknowledge the incident of web", told: /oscar Acknowledge .*"on it"/ },
  { from: "/", says: /oscar looks after it since/ },
  { from: "/services/web", offer: "Take back acknowledgement web", words: [/oscar looks after it: on it/, /Reminders and escalation go on/], confirm: "Take back the acknowledgement of web", told: /oscar Unacknowledge/ },
  { from: "/", offer: "Start web", words: [/“\/usr\/sbin\/shop --port 8080” is run as www-data/, /ops heard of its trouble/], confirm: "Start web", told: /oscar Start .*"web"/, end: /web is up as pid 4711/ },
  { from: "/services/web", offer: "Restart web", words: [/TERM, then KILL after 10 s/, /Needed by\s+worker: without it until it is up again/], confirm: "Restart web", told: /oscar Restart/ },
  { from: "/services/web", offer: "Stop web", words: [/stopped on purpose/, /nobody but a person starts it again/], confirm: "Stop web", told: /oscar Stop/, end: /web is down/ },
  { from: "/services/redis", offer: "Pause redis", words: [/no rule fires/], confirm: "Pause redis", told: /oscar Pause/ },
  { from: "/services/redis", offer: "Resume redis", words: [/Its rules judge again/], confirm: "Resume redis", told: /oscar Resume/ },
  { from: "/services/redis", offer: "Silence redis", words: [], fill: { Why: "a new disk" }, confirm: "Silence redis", told: /oscar Silence .*"a new disk"/ },
  { from: "/messages", offer: "End the silence of redis", words: [/a new disk/], confirm: "End the silence of redis", told: /oscar Unsilence/ },
  { from: "/messages/9", offer: "Send again", words: [/404 Not Found/, /tried at once/], confirm: "Send message 9 again", end: /sent again for oscar/ },
  { from: "/messages", offer: "Test chat", words: [/webhook at chat\.example\.org/, /marked as a test/], confirm: "Test chat", told: /oscar NotifyTest/, end: /delivered/ },
  { from: "/incidents/29", offer: /^Write/, words: [/Who reads it\s+Everybody who may look/], fill: { "What is to be known": "It was the disk." }, confirm: "Write about incident 29", told: /oscar Write .*"It was the disk\."/ },
  { from: "/", offer: "Let them go ahead", words: [/Waiting\s+web, worker/], confirm: "Let held restarts go ahead", told: /oscar Release/ },
];

async function act(page, { from, offer, words, fill = {}, confirm, told, end, says, failed }) {
  await page.goto(address + from);
  if (says) return assert.match(await page.locator("main").innerText(), says);
  const before = await count();
  await page.getByRole("link", { name: offer }).first().click();
  await page.getByRole("heading", { level: 1, name: confirm }).waitFor();
  const said = await page.locator("main").innerText();
  for (const word of words) assert.match(said, word);
  assert.equal(await count(), before, "to ask does nothing");
  for (const [label, text] of Object.entries(fill)) await page.getByLabel(label).fill(text);
  await page.getByRole("button", { name: confirm, exact: true }).click();
  await page.waitForURL(/\/outcomes\/\d+$/);
  const verb = failed ? /^Not done/ : /^Done/;
  await until(`${confirm} is over`, async () => verb.test(await verdict(page).textContent()));
  if (end) assert.match(await page.locator("main").innerText(), end);
  if (told) assert.match(await ask("asked"), told);
}

async function anOperatorDoesEverything() {
  oscar = await session("oscar");
  const page = await open({ viewport: wide, storageState: oscar });
  for (const action of actions) await act(page, action);
  // What was done is seen at once where it was done.
  await page.goto(address + "/services/web");
  assert.match(await page.locator("main").innerText(), /stopped/);
  await page.goto(address + "/rules");
  assert.equal(await page.getByRole("link", { name: /^Reload/ }).count(), 0, "that is for admins");
  assert.equal((await page.goto(address + "/do/reload")).status(), 403);
  page.complaints = page.complaints.filter((text) => !text.includes("403"));
  await close(page);
}

async function anAdminReloads() {
  alice = await session("alice");
  const page = await open({ viewport: wide, storageState: alice });
  await act(page, { from: "/rules", offer: /^Reload|^Read/, words: [/nothing changes and it is shown/], confirm: "Reload the rules", failed: true, end: /unknown key `chekcs`/ });
  await page.goto(address + "/audit");
  const audit = await page.locator("main").innerText();
  for (const words of [/oscar/, /alice/, /reload the rules/, /127\.0\.0\.1/]) assert.match(audit, words);
  await close(page);
}

const pages = ["/", "/?status=trouble", "/services/redis", "/services/mail-queue", "/incidents", "/incidents/29", "/incidents/40", "/messages", "/messages/9", "/rules", "/machine", "/sessions"];

async function aViewerIsOfferedNothing() {
  vera = await session("vera");
  const page = await open({ viewport: phone, storageState: vera });
  const before = await count();
  for (const place of pages) {
    await page.goto(address + place);
    assert.equal(await page.locator("a[href*='/do/']").count(), 0, place);
    const forms = await page.locator("form[method=post]").evaluateAll((all) => all.map((form) => form.getAttribute("action")));
    assert.deepEqual(forms.filter((to) => !/^\/(sign-out|sessions)/.test(to)), [], place);
  }
  for (const verb of ["restart?service=web", "silence", "release", "reload"]) {
    assert.equal((await page.goto(`${address}/do/${verb}`)).status(), 403, verb);
    assert.match(await page.locator("main").innerText(), /vera has the role viewer/);
  }
  // A form made by hand, with the word that shows it is meant.
  const csrf = await page.goto(address + "/").then(() => page.locator("input[name=csrf]").first().inputValue());
  const answer = await page.request.post(`${address}/do/restart`, { form: { csrf, service: "redis", form: 1, seen: 0 }, maxRedirects: 0 });
  assert.equal(answer.status(), 403);
  assert.equal(await count(), before);
  page.complaints = page.complaints.filter((text) => !text.includes("403"));
  await close(page);
}

// From nothing to a restart, with the keyboard alone; the focus is always seen.
async function byKeyboard() {
  const page = await open({ viewport: wide }, "/services/postgresql");
  const focused = () =>
    page.evaluate(() => {
      const it = document.activeElement;
      const style = getComputedStyle(it);
      const seen = it === document.body || it.id === "main" || (parseFloat(style.outlineWidth) >= 2 && style.outlineStyle !== "none");
      return { words: it.getAttribute("name") ?? it.textContent.trim().replace(/\s+/g, " "), seen };
    });
  const tabTo = async (what) => {
    for (let i = 0; i < 60; i++) {
      const { words, seen } = await focused();
      assert.ok(seen, `the focus on ${words} is not seen`);
      if (words === what) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`the keyboard does not come to ${what}`);
  };
  await tabTo("user");
  await page.keyboard.type("oscar");
  await tabTo("password");
  await page.keyboard.type("oscar!");
  await page.keyboard.press("Enter");
  await page.waitForURL(address + "/services/postgresql");
  await tabTo("Restart postgresql");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Restart postgresql?" }).waitFor();
  await tabTo("Restart postgresql");
  await page.keyboard.press("Space");
  await until("it is done", async () => /^Done/.test(await verdict(page).textContent().catch(() => "")));
  await tabTo("Go on to postgresql");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "postgresql" }).waitFor();
  await close(page);
}

// Every page, and an action, of an operator whose browser runs no script.
async function withoutScript() {
  const page = await open({ viewport: phone, storageState: oscar, javaScriptEnabled: false });
  const places = [...pages, "/services/web?span=90d", "/do/silence"];
  for (const place of places) {
    const answer = await page.goto(address + place);
    assert.equal(answer.status(), 200, place);
    assert.ok((await page.locator("main").innerText()).length > 40, place);
    assert.equal(await page.locator("#lost:visible").count(), 0, place);
  }
  await act(page, { from: "/services/postgresql", offer: "Restart postgresql", words: [/systemd is told to restart/], confirm: "Restart postgresql", told: /oscar Restart .*"postgresql"/ });
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.goto(address + "/services/web");
  assert.match(where(page), /^\/sign-in\?to=/);
  page.complaints.length = 0;
  await close(page);
}

// The session ends while a form is filled in, and while pages are open: nothing is done, and no page says that the connection is lost.
async function theSessionEnds() {
  oscar = await session("oscar");
  const options = { viewport: phone, storageState: oscar };
  const open_pages = await Promise.all(["/", "/services/redis", "/incidents"].map((place) => open(options, place)));
  const form = await open(options, "/do/silence?service=redis");
  await form.getByLabel("Why").fill("a new disk");
  const before = await count();
  await ask("expire");
  await form.getByRole("button", { name: "Silence redis" }).click();
  await form.getByRole("heading", { name: "Sign in" }).waitFor();
  await accessible(form, "after the session has ended");
  assert.equal(await count(), before, "nothing is done");
  await signIn(form, "oscar");
  await form.getByRole("button", { name: "Sign out" }).waitFor();
  assert.equal(await count(), before, "nor after he is back");
  await close(form);
  for (const page of open_pages) {
    await page.waitForURL(/\/sign-in/, { timeout: 40000 });
    page.complaints = page.complaints.filter((text) => !/\b401\b/.test(text));
    await close(page);
  }
}

await run(anOperatorDoesEverything, anAdminReloads, aViewerIsOfferedNothing, byKeyboard, withoutScript, theSessionEnds);
