// What is done by the page, as a person does it.
import { accessible, ask, assert, close, fits, looks, open, phone, until, run, wide } from "./lib.mjs";

const places = { silence: "/do/silence?service=web", messages: "/messages" };

async function looked() {
  await looks(places);
}

const verdict = (page) => page.locator(".verdict");

// From the trouble on the first page to the true outcome, which comes by itself.
async function restart() {
  const page = await open({ viewport: phone, isMobile: true, hasTouch: true });
  await page.locator("#trouble-web").getByRole("link", { name: "Start web" }).waitFor();
  await page.goto(page.url() + "do/restart?service=slow");
  await page.getByRole("heading", { level: 1, name: "Restart slow?" }).waitFor();
  await accessible(page, "a confirmation");
  const before = Number(await ask("asked"));
  // Twice, as impatient people do.
  await page.getByRole("button", { name: "Restart slow" }).dblclick();
  await page.waitForURL(/\/outcomes\/\d+$/);
  assert.match(await verdict(page).textContent(), /^Under way/);
  await fits(page, "an outcome on a phone");
  await page.reload();
  assert.match(await verdict(page).textContent(), /^Under way/);
  await ask("ends");
  await until("the outcome is shown", async () => /^Done/.test(await verdict(page).textContent()));
  assert.match(await page.getByRole("status").filter({ hasText: "Done" }).textContent(), /slow is up as pid 4712/);
  assert.equal(Number(await ask("asked")), before + 1, "neither a second click nor a reload does it twice");
  await accessible(page, "an outcome");
  await page.getByRole("link", { name: "Go on to slow" }).click();
  await page.getByRole("heading", { level: 1, name: "slow" }).waitFor();
  await close(page);
}

async function silence() {
  const page = await open({ viewport: wide }, "/messages");
  await page.getByRole("link", { name: "Silence something" }).click();
  await page.getByLabel("Services").fill("redis");
  await page.getByRole("button", { name: /^Silence/ }).click();
  await page.getByText("Write why: whoever finds the silence wants to know.").waitFor();
  assert.equal(await page.getByLabel("Services").inputValue(), "redis");
  await page.getByLabel("Why").fill("a <b>new</b> disk");
  await page.getByLabel("For how long").selectOption("2h");
  await page.getByRole("button", { name: "Silence redis" }).click();
  await until("the silence is made", async () => /^Done/.test(await verdict(page).textContent()));
  await page.goto(new URL("/messages", page.url()).href);
  const made = page.locator("#silence-4");
  assert.match(await made.textContent(), /redis until .*, for another 2 h\s.*by root.*a <b>new<\/b> disk/s);
  await made.getByRole("link", { name: "End the silence of redis" }).click();
  await page.getByRole("button", { name: "End the silence of redis" }).click();
  await until("the silence is ended", async () => /^Done/.test(await verdict(page).textContent()));
  await page.getByRole("link", { name: "Go on to Silences" }).click();
  await page.getByRole("heading", { name: "Silences" }).waitFor();
  assert.equal(await page.locator("#silence-4").count(), 0);
  // A form with a mistake is answered with 422, which the console takes for a failure.
  page.complaints = page.complaints.filter((text) => !/status of 422/.test(text));
  await close(page);
}

async function resend() {
  const page = await open({ viewport: wide }, "/messages");
  await page.locator("#message-9 a").first().click();
  await page.getByRole("heading", { name: "Its way" }).waitFor();
  await accessible(page, "a message");
  await page.getByRole("link", { name: "Send again" }).click();
  await page.getByRole("button", { name: "Send message 9 again" }).click();
  await until("it is sent again", async () => /^Done/.test(await verdict(page).textContent()));
  await close(page);
}

async function keyboard() {
  const page = await open({ viewport: wide }, "/services/web");
  const press = async (key, times = 1) => {
    for (let i = 0; i < times; i++) await page.keyboard.press(key);
  };
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim());
  const tabTo = async (what) => {
    for (let i = 0; i < 40; i++) {
      if ((await focused()) === what) return;
      await press("Tab");
    }
    assert.fail(`the keyboard does not come to ${what}`);
  };
  await tabTo("Acknowledge web");
  await press("Enter");
  await page.getByRole("heading", { name: "Acknowledge the incident of web?" }).waitFor();
  for (let i = 0; i < 40 && (await page.evaluate(() => document.activeElement.id)) !== "reason"; i++) await press("Tab");
  await page.keyboard.type("on it");
  await tabTo("Acknowledge the incident of web");
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineWidth);
  assert.equal(outline, "3px");
  await press("Enter");
  await page.waitForURL(/\/outcomes\//);
  assert.match(await verdict(page).textContent(), /^Not done/);
  await close(page);
}

async function withoutScript() {
  const page = await open({ javaScriptEnabled: false, viewport: phone }, "/do/restart?service=slow");
  await page.getByRole("button", { name: "Restart slow" }).click();
  await page.waitForURL(/\/outcomes\//);
  assert.match(await verdict(page).textContent(), /^Under way/);
  await ask("ends");
  // The page asks again by itself.
  await until("the outcome is shown", async () => /^Done/.test(await verdict(page).textContent().catch(() => "")));
  await page.goto(new URL("/messages?state=dead", page.url()).href);
  await page.getByLabel("State").selectOption("waiting");
  await page.getByRole("button", { name: "Find" }).click();
  await page.getByRole("link", { name: "root-disk: filesystem.used" }).waitFor();
  await page.context().close();
}

await run(looked, restart, silence, resend, keyboard, withoutScript);
