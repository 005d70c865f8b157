// The page of a service: its strips and charts, read by pointer, finger and keyboard, over every span.
import { accessible, assert, close, fits, looks, open, phone, picture, run, wide } from "./lib.mjs";

const reading = (page) => page.locator("#reading").innerText();

async function looked() {
  await looks({
    "service-hour": "/services/web",
    "service-quarter": "/services/postgresql?span=90d&metric=process.threads",
  });
}

async function spans() {
  for (const [name, where] of [["day", "/services/root-disk?span=24h"], ["week", "/services/postgresql?span=7d"]]) {
    const page = await open({ viewport: wide, colorScheme: "dark" }, where);
    await picture(page, `service-${name}`, { fullPage: true });
    await close(page);
  }
  // For the README.
  const page = await open({ viewport: wide }, "/services/postgresql?span=24h#checks");
  await picture(page, "service-charts");
  await close(page);
}

async function pointed() {
  const page = await open({ viewport: wide }, "/services/postgresql?span=24h");
  const chart = page.locator("svg.chart").first();
  await chart.scrollIntoViewIfNeeded();
  const { x, y, width, height } = await chart.boundingBox();
  await page.mouse.move(x + width / 2, y + height / 2);
  const middle = await reading(page);
  assert.match(middle, /^\w{3} \d{1,2} \w{3} \d\d:\d\d–\d\d:\d\d: \d+(\.\d+)? MB, from \d+(\.\d+)? MB to \d+(\.\d+)? MB$/);
  await page.mouse.move(x + width / 4, y + height / 2);
  assert.notEqual(await reading(page), middle);
  // The dot is on the line.
  const [dot, hair] = await Promise.all(["#dot", "#hair"].map((place) => page.locator(place).boundingBox()));
  assert.ok(Math.abs(dot.x + dot.width / 2 - (x + width / 4)) < 4 && dot.y >= hair.y - 6 && dot.y <= hair.y + hair.height + 6);
  const [words, window] = [await page.locator("#reading").boundingBox(), await page.evaluate(() => innerHeight)];
  assert.ok(words.y >= 0 && words.y + words.height <= window, "what is read is seen without scrolling");
  await picture(page, "service-pointed");
  const strip = page.locator("svg.strip.wide").first();
  await strip.scrollIntoViewIfNeeded();
  const bars = await strip.boundingBox();
  await page.mouse.move(bars.x + 2, bars.y + 5);
  assert.equal(await reading(page), await strip.locator("title").first().textContent());
  // What is read lies beside what is pointed at, within the window.
  const box = await page.locator("#reading").boundingBox();
  assert.ok(box.x >= 0 && box.x + box.width <= 1280 && (box.y >= bars.y + bars.height || box.y + box.height <= bars.y));
  await page.mouse.move(5, 5);
  assert.ok(await page.locator("#reading").isHidden());
  await close(page);
}

async function byKeyboard() {
  const page = await open({ viewport: wide }, "/services/web?span=1h");
  const strip = page.getByRole("slider").first();
  await page.keyboard.press("Tab");
  await strip.focus();
  const titles = await strip.locator("title").allTextContents();
  assert.equal(await reading(page), titles.at(-1));
  for (const [key, at] of [["ArrowLeft", -2], ["ArrowLeft", -3], ["ArrowRight", -2], ["Home", 0], ["ArrowLeft", 0], ["PageUp", 6], ["End", -1]]) {
    await page.keyboard.press(key);
    assert.equal(await reading(page), titles.at(at), key);
    assert.equal(await strip.getAttribute("aria-valuetext"), titles.at(at), key);
  }
  const tabs = await page.locator("svg.strip.wide [tabindex]").count();
  assert.equal(tabs, 0, "a strip is one stop");
  await page.keyboard.press("Escape");
  assert.ok(await page.locator("#reading").isHidden());
  await page.keyboard.press("Tab");
  const chart = page.locator(":focus");
  assert.match(await chart.getAttribute("aria-label"), /^memory of process, last hour, now none; bad if > 500MB$/);
  await page.keyboard.press("Home");
  assert.match(await reading(page), /^\d\d:\d\d:\d\d: \d+ MB$/);
  // The process is gone since four minutes: nothing, and why.
  await page.keyboard.press("End");
  await page.keyboard.press("PageDown");
  await page.keyboard.press("ArrowRight");
  const all = [];
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press("ArrowRight");
    all.push(await reading(page));
  }
  assert.ok(all.some((text) => /nothing recorded\nincident 41: .*still open/.test(text)), all.join("\n"));
  assert.ok(all.some((text) => /pid 812 killed by SIGSEGV/.test(text)), "a death is told");
  await accessible(page, "while it is read");
  // Bringing the page up to date takes nothing away.
  const before = await reading(page);
  await page.evaluate(() => dispatchEvent(new Event("pageshow")));
  assert.equal(await reading(page), before);
  await close(page);
}

async function byFinger() {
  const page = await open({ viewport: phone, isMobile: true, hasTouch: true, colorScheme: "dark" }, "/services/web?span=90d");
  const strip = page.locator("svg.strip.wide").first();
  await strip.scrollIntoViewIfNeeded();
  const { x, y, width, height } = await strip.boundingBox();
  await page.touchscreen.tap(x + width - 3, y + height / 2);
  assert.equal(await reading(page), (await strip.locator("title").allTextContents()).at(-1));
  const box = await page.locator("#reading").boundingBox();
  assert.ok(box.x >= 0 && box.x + box.width <= 360, JSON.stringify(box));
  await fits(page, "what is read on a phone");
  await picture(page, "service-touched");
  await close(page);
}

async function chosen() {
  const page = await open({ viewport: wide }, "/services/postgresql");
  await page.getByRole("link", { name: "last 90 days" }).click();
  await page.getByText("last 90 days", { exact: true }).first().waitFor();
  await page.getByRole("link", { name: "draw threads" }).click();
  assert.equal(await page.locator("figure").count(), 3);
  await page.getByRole("link", { name: "hide threads" }).click();
  assert.equal(await page.locator("figure").count(), 2);
  await page.getByLabel("Only").selectOption("died");
  await page.getByRole("button", { name: "Show" }).click();
  await page.getByText("Nothing like that is recorded.").waitFor();
  assert.match(page.url(), /span=90d/);
  await close(page);
}

async function withoutScript() {
  const page = await open({ javaScriptEnabled: false, viewport: wide }, "/services/postgresql?span=7d");
  assert.match(await page.locator("svg.strip.wide title").first().textContent(), /^\w{3} \d+ \w{3} \d\d:\d\d–\d\d:\d\d: /);
  await page.locator("figure summary").first().click();
  assert.equal(await page.locator("figure table").first().locator("tbody tr").count(), 14);
  await picture(page.locator("figure").first(), "service-table");
  await page.context().close();
}

async function printed() {
  const page = await open({ viewport: wide, colorScheme: "dark" }, "/services/web");
  await page.emulateMedia({ media: "print" });
  assert.ok(await page.locator(".kinds").isHidden());
  assert.ok(await page.locator("svg.chart").first().isVisible());
  await picture(page, "service-print", { fullPage: true });
  await close(page);
}

await run(looked, spans, pointed, byKeyboard, byFinger, chosen, withoutScript, printed);
