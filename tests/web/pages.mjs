// The pages of incidents, of the rules in effect and of the machine, as a person sees them.
import { accessible, assert, close, looks, open, phone, run, until, wide } from "./lib.mjs";

const places = {
  incidents: "/incidents",
  incident: "/incidents/29",
  rules: "/rules",
  machine: "/machine",
};

async function looked() {
  await looks(places);
}

async function chosen() {
  const page = await open({ viewport: phone }, "/incidents");
  await page.getByLabel("Severity").selectOption("warning");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByRole("heading", { level: 1, name: "One incident of these is open" }).waitFor();
  assert.match(page.url(), /severity=warning/);
  await page.getByRole("link", { name: "7 days" }).click();
  await page.getByRole("heading", { name: "The last 7 days" }).waitFor();
  assert.match(page.url(), /severity=warning/);
  await page.locator("#past ~ ol a").first().click();
  await page.getByRole("heading", { level: 1, name: /^worker: process.memory/ }).waitFor();
  await close(page);
}

// All that can be opened is, and is as good.
async function opened() {
  for (const where of ["/incidents", "/incidents/29", "/rules"]) {
    const page = await open({ viewport: phone, colorScheme: "dark" }, where);
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    await accessible(page, `${where}, opened`);
    const [needed, given] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert.ok(needed <= given, `${where} scrolls sideways when opened: ${needed} > ${given}`);
    await close(page);
  }
}

async function keyboard() {
  const page = await open({ viewport: wide }, "/incidents");
  await page.locator("#open-41 h2 a").focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: /^web: The process is down/ }).waitFor();
  await page.goBack();
  await page.locator("#by-day summary").focus();
  await page.keyboard.press("Enter");
  await until("the days are told in words", () => page.locator("#by-day li").first().isVisible());
  await close(page);
}

async function live() {
  const page = await open({ viewport: wide }, "/machine");
  await page.evaluate(() => (document.querySelector("#disks").marked = true));
  const fetched = page.waitForResponse((response) => response.url().endsWith("/machine"), { timeout: 15000 });
  await fetched;
  assert.ok(await page.evaluate(() => document.querySelector("#disks").marked), "what is the same is not touched");
  await close(page);
}

async function withoutScript() {
  const page = await open({ javaScriptEnabled: false }, "/incidents");
  await page.locator("#open-41 h2 a").click();
  assert.match(await page.locator("#fired ~ ul").textContent(), /process\.down/);
  await page.goto(new URL("/machine", page.url()).href);
  assert.match(await page.locator("#network ~ div").textContent(), /eth0/);
  await page.context().close();
}

await run(looked, chosen, opened, keyboard, live, withoutScript);
