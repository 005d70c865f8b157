// Looks at the page as a person would: node page.mjs ADDRESS PICTURES MODULES
// A line on standard output that is one word asks the test to change the world; it answers with a line.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import path from "node:path";

const [address, pictures, modules] = process.argv.slice(2);
const require = createRequire(path.join(modules, "here.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function ask(word) {
  process.stdout.write(`${word}\n`);
  return (await lines.next()).value;
}

const bound = setTimeout(() => {
  console.error("the browser test took longer than a minute");
  process.exit(2);
}, 60000);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: process.getuid() === 0 ? ["--no-sandbox"] : [],
});

// A page, and all that it complains of.
async function open(options, where = "/") {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(8000);
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  await page.goto(address + where);
  return page;
}

async function close(page) {
  assert.deepEqual(page.complaints, []);
  await page.context().close();
}

const wide = { width: 1280, height: 900 };
const phone = { width: 360, height: 740 };

const places = { overview: "/", service: "/services/web", day: "/services/postgresql?span=24h", problem: "/none" };

async function looks() {
  for (const [name, where] of Object.entries(places)) {
    const kinds = Object.entries({ wide, phone }).flatMap(([size, viewport]) =>
      ["light", "dark"].map(async (colorScheme) => {
        const page = await open({ viewport, colorScheme, isMobile: size === "phone", hasTouch: size === "phone" }, where);
        // A missing page is a failed resource to the console.
        if (name === "problem") page.complaints.length = 0;
        const [needed, given] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
        assert.ok(needed <= given, `${name} on a ${size} screen scrolls sideways: ${needed} > ${given}`);
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => window.axe.run());
        const found = violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html} ${n.failureSummary}`));
        assert.deepEqual(found, [], `${name}, ${size}, ${colorScheme}`);
        await page.screenshot({ path: path.join(pictures, `${name}-${size}-${colorScheme}.png`), fullPage: true });
        await close(page);
      }),
    );
    await Promise.all(kinds);
  }
}

async function until(what, condition) {
  for (let i = 0; i < 80; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`it never came to be: ${what}`);
}

async function live() {
  const page = await open({ viewport: phone });
  await until("the page follows along", async () => (await ask("followers")) === "1");
  const link = page.locator("#service-redis a");
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
  await page.screenshot({ path: path.join(pictures, "lost-phone-dark.png") });
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
  await page.locator("#service-web a").click();
  assert.match(await page.locator("#events ~ ol").textContent(), /restart done/);
  await page.context().close();
}

try {
  for (const part of [looks, live, lost, hidden, keyboard, withoutScript]) {
    const start = Date.now();
    await part();
    console.log(`${part.name}: good, ${Date.now() - start} ms`);
  }
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser.close();
  clearTimeout(bound);
  process.stdin.destroy();
}
