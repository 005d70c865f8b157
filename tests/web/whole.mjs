// Every page with the worst of names and texts: nothing scrolls sideways, nothing is executed, and those who read in another way
// read it all.
import { accessible, address, assert, close, fits, open, phone, picture, run, wide } from "./lib.mjs";

const long = "n".repeat(64);
const places = {
  overview: "/",
  found: "/?q=web&status=trouble",
  service: "/services/web",
  quarter: "/services/root-disk?span=90d",
  long: `/services/${long}`,
  incidents: "/incidents",
  incident: "/incidents/29",
  messages: "/messages",
  message: "/messages/9",
  rules: "/rules",
  machine: "/machine",
  "sign-in": "/sign-in",
  status: "/status",
};

async function onAPhone() {
  const page = await open({ viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true });
  page.on("dialog", (dialog) => page.complaints.push(`a script of theirs ran: ${dialog.message()}`));
  for (const [name, where] of Object.entries(places)) {
    assert.equal((await page.goto(address + where)).status(), 200, where);
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    await fits(page, `${name} with long names`);
    assert.equal(await page.locator("main script, main img").count(), 0, name);
    await picture(page, `hostile-${name}`, { fullPage: true });
  }
  await close(page);
}

async function wideAndAccessible() {
  const page = await open({ viewport: wide });
  for (const [name, where] of Object.entries(places)) {
    assert.equal((await page.goto(address + where)).status(), 200, where);
    await fits(page, `${name} with long names, wide`);
    await accessible(page, `${name} with long names`);
  }
  await close(page);
}

const looked = { overview: "/", service: "/services/web", status: "/status" };

// Those who chose their own colours see what is stated by colour also by its shape, and where the focus is.
async function inForcedColours() {
  const page = await open({ viewport: phone, forcedColors: "active" });
  for (const [name, where] of Object.entries(looked)) {
    await page.goto(address + where);
    assert.ok(await page.evaluate(() => matchMedia("(forced-colors: active)").matches));
    const lost = await page.evaluate(() =>
      [...document.querySelectorAll("main svg rect, main svg path, main svg use")].filter((shape) => {
        const style = getComputedStyle(shape);
        return style.fill === "rgb(255, 255, 255)" && style.stroke === "none" && shape.getBoundingClientRect().width > 0;
      }).length,
    );
    assert.equal(lost, 0, `${name}: shapes in the colour of the paper`);
    await page.keyboard.press("Tab");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, "solid", name);
    await fits(page, name);
    await picture(page, `forced-${name}`, { fullPage: true });
  }
  await close(page);
}

async function withReducedMotion() {
  const page = await open({ viewport: wide, reducedMotion: "reduce" });
  for (const [name, where] of Object.entries(looked)) {
    await page.goto(address + where);
    const moves = await page.evaluate(() =>
      [...document.querySelectorAll("*")]
        .filter((e) => {
          const { transitionDuration, animationName, scrollBehavior } = getComputedStyle(e);
          return !/^0s(, 0s)*$/.test(transitionDuration) || animationName !== "none" || scrollBehavior === "smooth";
        })
        .map((e) => e.outerHTML.slice(0, 80)),
    );
    assert.deepEqual(moves, [], name);
  }
  await close(page);
}

async function onPaper() {
  const page = await open({ viewport: { width: 720, height: 1000 }, colorScheme: "dark" });
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  for (const [name, where] of Object.entries(looked)) {
    await page.goto(address + where);
    await fits(page, `${name} on paper`);
    const [ink, paper] = await page.evaluate(() => [getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]);
    const light = (colour) => colour.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
    assert.ok(light(paper) > 600 && light(ink) < 300, `${name}: ${ink} on ${paper}`);
    assert.ok(await page.locator("main h1").isVisible());
    assert.equal(await page.locator("header.frame:visible, button:visible, ul.steer:visible").count(), 0, name);
    const pdf = await page.pdf({ format: "A4" });
    assert.ok(pdf.length > 5000, name);
  }
  await close(page);
}

await run(onAPhone, wideAndAccessible, inForcedColours, withReducedMotion, onPaper);
