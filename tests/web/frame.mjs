// What is around every page: light and dark by a switch, times in the reader's zone, the icon, reduced motion, print.
import { assert, ask, close, open, phone, picture, run, until, wide } from "./lib.mjs";

const paper = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

async function theme() {
  const page = await open({ viewport: wide, colorScheme: "light" });
  const light = await paper(page);
  const button = page.getByRole("button", { name: /^Theme/ });
  await button.click();
  assert.equal(await button.textContent(), "Theme: light");
  await button.click();
  const dark = await paper(page);
  assert.notEqual(dark, light);
  await page.reload();
  // It comes dark, before any script has run.
  assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
  assert.equal(await paper(page), dark);
  await button.click();
  assert.equal(await paper(page), light);
  await page.reload();
  assert.equal(await page.locator("html").getAttribute("data-theme"), null);
  await close(page);
}

async function zone() {
  const page = await open({ viewport: wide, timezoneId: "Asia/Tokyo" });
  await page.locator("html[data-zone='Asia/Tokyo']").waitFor();
  assert.match(await page.locator(".top .quiet").textContent(), /at 21:03:10/);
  await page.goto(page.url());
  assert.match(await page.locator(".top .quiet").textContent(), /at 21:03:10/);
  await close(page);
  // Without cookies it stays as the machine has it, and is not fetched over and over.
  const without = await open({ viewport: wide, timezoneId: "Asia/Tokyo", storageState: undefined }, "/services/web");
  assert.ok(await without.locator("time").first().getAttribute("title"));
  await close(without);
}

async function icon() {
  const page = await open({ viewport: phone });
  const shown = () => page.evaluate(() => document.getElementById("icon").getAttribute("href"));
  assert.match(await shown(), /icon-critical\.svg/);
  await until("the page follows along", async () => (await ask("followers")) === "1");
  await ask("break");
  await page.getByRole("status").waitFor();
  await until("the icon says that nothing is known", async () => /icon-unknown/.test(await shown()));
  await ask("mend");
  await page.getByRole("status").waitFor({ state: "hidden" });
  await until("the icon is back", async () => /icon-critical/.test(await shown()));
  page.complaints = page.complaints.filter((text) => !/ERR_(CONNECTION|INCOMPLETE|EMPTY)/.test(text));
  await close(page);
}

async function print() {
  const page = await open({ viewport: wide, colorScheme: "dark" }, "/services/web");
  await page.emulateMedia({ media: "print" });
  assert.ok(await page.locator("header.frame").isHidden());
  assert.equal(await paper(page), "rgb(251, 251, 249)");
  await picture(page, "service-print", { fullPage: true });
  await page.emulateMedia({ media: "screen", reducedMotion: "reduce" });
  const moves = await page.evaluate(() =>
    [...document.querySelectorAll("*")].filter((e) => !/^0s/.test(getComputedStyle(e).transitionDuration)).map((e) => e.outerHTML.slice(0, 80)),
  );
  assert.deepEqual(moves, []);
  await close(page);
}

await run(theme, zone, icon, print);
