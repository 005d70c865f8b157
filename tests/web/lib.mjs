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

// A script takes some ten seconds on a quiet machine with two cores; this is for one that is busy. nextest bounds it, a little later.
const bound = setTimeout(() => {
  console.error("the browser test took longer than two and a half minutes");
  process.exit(2);
}, 150000);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: process.getuid() === 0 ? ["--no-sandbox"] : [],
});

// A page, and all that it complains of: what breaks the content security policy among it.
export async function open(options, where = "/") {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, timezoneId: "UTC", ...options });
  // As on the second visit: on the first, the page is fetched anew in the reader's zone, under the hands of a test.
  if (!options.timezoneId) await context.addCookies([{ name: "zone", value: "UTC", url: address }]);
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (e) => console.error(`against the policy: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
  });
  return visit(await context.newPage(), where);
}

export async function visit(page, where) {
  page.setDefaultTimeout(15000);
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

// axe-core finds nothing. `rules`: these alone.
export async function accessible(page, what, rules) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
  const options = { resultTypes: ["violations"], ...(rules && { runOnly: rules }) };
  const { violations } = await page.evaluate((options) => window.axe.run(options), options);
  assert.deepEqual(violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html} ${n.failureSummary}`)), [], what);
}

// For those who name a place for pictures.
export async function picture(page, name, options = {}) {
  if (pictures) await page.screenshot({ path: path.join(pictures, `${name}.png`), ...options });
}

// Each of these places, wide and on a phone, light and dark: nothing to scroll sideways, nothing that axe-core finds, a picture.
// `missing`: those that are answered with an error, which the console takes for a failed resource. `options`: of every context.
export async function looks(places, { missing = [], options = {} } = {}) {
  const sizes = Object.entries({ wide, phone }).map(async ([size, viewport]) => {
    // Colours that are on their way are nobody's choice.
    const small = { viewport, isMobile: size === "phone", hasTouch: size === "phone", reducedMotion: "reduce" };
    const page = await open({ ...small, colorScheme: "light", ...options }, Object.values(places)[0]);
    for (const [name, where] of Object.entries(places)) {
      if (page.url() !== address + where) await page.goto(address + where);
      if (missing.includes(name)) page.complaints.length = 0;
      await fits(page, `${name} on a ${size} screen`);
      await accessible(page, `${name}, ${size}, light`);
      await picture(page, `${name}-${size}-light`, { fullPage: true });
      // What a screen shows of it, for the README.
      if (size === "wide") await picture(page, name);
      // The same elements in other colours.
      await page.emulateMedia({ colorScheme: "dark" });
      await accessible(page, `${name}, ${size}, dark`, ["color-contrast"]);
      await picture(page, `${name}-${size}-dark`, { fullPage: true });
      await page.emulateMedia({ colorScheme: "light" });
    }
    await close(page);
  });
  await Promise.all(sizes);
}

export async function until(what, condition) {
  for (let i = 0; i < 150; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`it never came to be: ${what}`);
}

// The name and the password of a user, who is one of `auth.rs`.
export async function signIn(page, user, password = `${user}!`) {
  await page.getByLabel("Name").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

// What a context needs to be this user from the beginning.
export async function session(user) {
  const page = await open({}, "/sign-in");
  await signIn(page, user);
  await page.getByRole("button", { name: "Sign out" }).waitFor();
  const storageState = await page.context().storageState();
  await close(page);
  return storageState;
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
