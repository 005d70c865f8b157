// The page for the public: how it looks, without a script, by keyboard, on paper.
import { accessible, address, assert, close, fits, looks, open, phone, picture, run, wide } from "./lib.mjs";

async function looks_good() {
  await looks({ status: "/status", "status-older": "/status?page=1" });
}

async function works_without_a_script() {
  const page = await open({ viewport: phone, javaScriptEnabled: false }, "/status");
  assert.match(await page.textContent("h1"), /2 of 4 services are down/);
  assert.equal(await page.locator("script").count(), 0);
  await page.click("text=Older incidents");
  assert.match(await page.textContent("main"), /Mail was down/);
  await page.click("text=Newer incidents");
  assert.match(await page.textContent("main"), /Web shop is down/);
  await close(page);
}

async function bars_say_what_they_are() {
  const page = await open({ viewport: wide }, "/status");
  const strip = page.locator("#web-shop .strip");
  assert.equal(await strip.locator(".hits path").count(), 90);
  const titles = await strip.locator("title").allTextContents();
  assert.equal(titles.at(-1), "20 Nov 2026: down for 5 min, uptime 99.30 %, 1 incident");
  // By keyboard: the strip of each service is one stop, and says in words what its bars show.
  const words = page.locator("#web-shop .told");
  assert.ok(!(await words.isVisible()));
  const stops = [];
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press("Tab");
    stops.push(await page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent));
    if (stops.at(-1).startsWith("Web shop,")) break;
  }
  assert.equal(stops[0], "To the content");
  assert.ok(stops.at(-1).startsWith("Web shop, the last 90 days: down on 20 Nov 2026 (5 min)"), stops.join(" | "));
  assert.ok(await words.isVisible());
  await accessible(page, "a strip with the focus");
  await picture(page, "status-focus");
  await close(page);
}

async function is_printed_and_embedded() {
  const page = await open({ viewport: wide }, "/status");
  await page.emulateMedia({ media: "print" });
  await fits(page, "on paper");
  await picture(page, "status-print", { fullPage: true });
  // What the browser makes of the badges, as pictures of a page.
  await page.emulateMedia({ media: "screen" });
  for (const badge of ["status.svg", "icon.svg", "web-shop/status.svg", "web-shop/uptime.svg?days=90", "b-search-find-b/status.svg"]) {
    const size = await page.evaluate(async (src) => {
      const image = new Image();
      image.src = src;
      await image.decode();
      document.querySelector("footer").append(image);
      return [image.naturalWidth, image.naturalHeight];
    }, `${address}/status/badges/${badge}`);
    assert.ok(size[0] > 10 && size[1] > 10, `${badge}: ${size}`);
  }
  await picture(page.locator("footer"), "status-badges");
  await close(page);
}

await run(looks_good, works_without_a_script, bars_say_what_they_are, is_printed_and_embedded);
