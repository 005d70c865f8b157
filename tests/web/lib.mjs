// What the scripts of the browser share. A script is started as: node NAME.mjs ADDRESS PICTURES MODULES
// A line on standard output that begins with `>` asks the test to change the world; it answers with a line.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import path from "node:path";

export { assert };
export const [address, pictures, modules] = process.argv.slice(2);
const require = createRequire(path.join(modules, "here.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
export async function ask(word) {
  process.stdout.write(`>${word}\n`);
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

// A page, and all that it complains of: what breaks the content security policy among it.
export async function open(options, where = "/") {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  return visit(await context.newPage(), where);
}

export async function visit(page, where) {
  page.setDefaultTimeout(8000);
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  await page.goto(address + where);
  return page;
}

export async function close(page) {
  assert.deepEqual(page.complaints, []);
  await page.context().close();
}

export const wide = { width: 1280, height: 900 };
export const phone = { width: 360, height: 740 };

export async function fits(page, what) {
  const [needed, given] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(needed <= given, `${what} scrolls sideways: ${needed} > ${given}`);
}

// axe-core finds nothing.
export async function accessible(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  assert.deepEqual(violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html} ${n.failureSummary}`)), [], what);
}

// Each of these places, wide and on a phone, light and dark: nothing to scroll sideways, nothing that axe-core finds, a picture.
// `missing`: those that are answered with an error, which the console takes for a failed resource. `options`: of every context.
export async function looks(places, { missing = [], options = {} } = {}) {
  for (const [name, where] of Object.entries(places)) {
    const kinds = Object.entries({ wide, phone }).flatMap(([size, viewport]) =>
      ["light", "dark"].map(async (colorScheme) => {
        const page = await open({ viewport, colorScheme, isMobile: size === "phone", hasTouch: size === "phone", ...options }, where);
        if (missing.includes(name)) page.complaints.length = 0;
        await fits(page, `${name} on a ${size} screen`);
        await accessible(page, `${name}, ${size}, ${colorScheme}`);
        await page.screenshot({ path: path.join(pictures, `${name}-${size}-${colorScheme}.png`), fullPage: true });
        // What a screen shows of it, for the README.
        if (size === "wide" && colorScheme === "light") await page.screenshot({ path: path.join(pictures, `${name}.png`) });
        await close(page);
      }),
    );
    await Promise.all(kinds);
  }
}

export async function until(what, condition) {
  for (let i = 0; i < 80; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`it never came to be: ${what}`);
}

// Runs these one after the other, says of each how long it took, and ends.
export async function run(...parts) {
  try {
    for (const part of parts) {
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
}
