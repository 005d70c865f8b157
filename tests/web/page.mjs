// The overview and the page of a service, as a person sees them.
import { ask, assert, close, looks, open, phone, picture, run, until, wide } from "./lib.mjs";

const places = { overview: "/", service: "/services/web", day: "/services/postgresql?span=24h", problem: "/none" };

async function looked() {
  await looks(places, { missing: ["problem"] });
}

async function live() {
  const page = await open({ viewport: phone });
  await until("the page follows along", async () => (await ask("followers")) === "1");
  const link = page.locator("#service-redis .who a").first();
  await link.focus();
  await page.evaluate(() => {
    document.querySelector("#service-redis").marked = true;
    scrollTo(0, 900);
  });
  const before = await page.evaluate(() => [scrollY, document.querySelector("#service-redis").getBoundingClientRect().top]);
  assert.ok(before[0] > 100);
  const start = Date.now();
  await ask("worse");
  await page.getByRole("heading", { name: /^4 of 14 services are in trouble/ }).waitFor();
  assert.ok(Date.now() - start < 5000, "told, not found by looking now and then");
  const after = await page.evaluate(() => ({
    marked: document.querySelector("#service-redis").marked,
    focus: document.activeElement.textContent,
    title: document.title,
  }));
  assert.deepEqual(after, { marked: true, focus: "redis", title: "(4) web1.example.org – minder" });
  await close(page);

  const service = await open({ viewport: wide }, "/services/web");
  await until("the page follows along", async () => (await ask("followers")) === "1");
  await service.locator("details summary").first().click();
  const old = await service.locator(".events li").count();
  await ask("worse");
  await until("the new event is shown", async () => (await service.locator(".events li").count()) === old + 1);
  assert.ok(await service.evaluate(() => document.querySelector("details").open), "what was opened stays open");
  await close(service);
}

async function lost() {
  const page = await open({ viewport: phone, colorScheme: "dark" });
  await until("the page follows along", async () => (await ask("followers")) === "1");
  const notice = page.getByRole("status");
  assert.ok(await notice.isHidden());
  await ask("break");
  await notice.waitFor();
  assert.match(await notice.textContent(), /^Connection lost, showing \d\d:\d\d:\d\d\./);
  await picture(page, "lost-phone-dark");
  await ask("mend");
  await notice.waitFor({ state: "hidden" });
  await until("the page follows along again", async () => (await ask("followers")) === "1");
  // Refused connections are what we asked for here; nothing else may be complained of.
  page.complaints = page.complaints.filter((text) => !/ERR_(CONNECTION|INCOMPLETE|EMPTY)/.test(text));
  await close(page);
}

async function hidden() {
  const page = await open({});
  await until("the page follows along", async () => (await ask("followers")) === "1");
  const turn = (hidden) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await turn(true);
  await until("a hidden page rests", async () => (await ask("followers")) === "0");
  await turn(false);
  await until("it wakes again", async () => (await ask("followers")) === "1");
  await close(page);
}

async function keyboard() {
  const page = await open({ viewport: wide });
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "To the content");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  const focused = await page.evaluate(() => {
    const style = getComputedStyle(document.activeElement);
    return { where: document.activeElement.getAttribute("href"), outline: parseFloat(style.outlineWidth), style: style.outlineStyle };
  });
  assert.deepEqual(focused, { where: "/services/mail-queue", outline: 3, style: "solid" });
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "mail-queue" }).waitFor();
  await close(page);
}

async function withoutScript() {
  const page = await open({ javaScriptEnabled: false }, "/");
  assert.match(await page.locator("h1").textContent(), /services are in trouble/);
  await page.locator("#service-web .who a").first().click();
  assert.match(await page.locator("ol.events").textContent(), /restart done/);
  await page.context().close();
}

await run(looked, live, lost, hidden, keyboard, withoutScript);
