// Pages that are left open: what happens is shown on each, a lost connection too, and nothing piles up.
import { ask, assert, close, open, run, session, until, wide } from "./lib.mjs";

let oscar;
const follow = (count) => until(`${count} follow along`, async () => (await ask("followers")) === String(count));
// One after the other: each in a browser of its own, since one of them holds no more than six streams of a server.
const open_all = async (places) => {
  const pages = {};
  for (const place of places) pages[place] = await open({ viewport: wide, storageState: oscar }, place);
  return pages;
};

async function troubleComesAndGoes() {
  oscar = await session("oscar");
  const { "/": overview, "/services/redis": service, "/incidents": incidents, "/messages": messages } = await open_all(["/", "/services/redis", "/incidents", "/messages"]);
  await follow(4);
  const row = overview.locator("#service-redis");
  assert.doesNotMatch(await row.innerText(), /critical/);
  await ask("trouble");
  await overview.locator("#trouble-redis").getByText("it forgets everything").waitFor();
  await until("its row says so", async () => /critical/.test(await row.innerText()));
  await service.getByText("it forgets everything").first().waitFor();
  await service.getByRole("link", { name: "Acknowledge redis" }).first().waitFor();
  await incidents.locator("#open-77").waitFor();
  await ask("well");
  await overview.locator("#trouble-redis").waitFor({ state: "detached" });
  await until("its row is well", async () => !/critical/.test(await row.innerText()));
  await until("its page is well", async () => !/it forgets everything/.test(await service.locator("header, .state").allInnerTexts().then(String)));
  await service.getByRole("link", { name: "Acknowledge redis" }).first().waitFor({ state: "detached" });
  await incidents.locator("#open-77").waitFor({ state: "detached" });
  await ask("silence");
  await messages.locator("#silence-8").getByText("a new disk").waitFor();
  for (const page of [overview, service, incidents, messages]) await close(page);
}

async function theConnectionIsLost() {
  const places = ["/", "/services/redis", "/incidents", "/incidents/29", "/messages", "/messages/9", "/rules", "/machine"];
  const pages = Object.entries(await open_all(places));
  await follow(pages.length);
  await ask("break");
  await Promise.all(pages.map(([, page]) => page.locator("#lost").waitFor()));
  for (const [place, page] of pages) {
    assert.match(await page.locator("#lost").innerText(), /^Connection lost, showing \d\d:\d\d:\d\d\. Trying again\.$/, place);
    // All that was known is still there.
    assert.ok((await page.locator("main").innerText()).length > 100, place);
  }
  await ask("mend");
  await Promise.all(pages.map(([, page]) => page.locator("#lost").waitFor({ state: "hidden", timeout: 30000 })));
  await follow(pages.length);
  for (const [, page] of pages) {
    page.complaints = page.complaints.filter((text) => !/ERR_(CONNECTION|INCOMPLETE|EMPTY)/.test(text));
    await close(page);
  }
}

// As much as happens in a week, on the page of a service.
async function nothingPilesUp() {
  const page = await open({ viewport: wide, storageState: oscar }, "/services/redis");
  await follow(1);
  const devtools = await page.context().newCDPSession(page);
  const measure = async () => {
    await devtools.send("HeapProfiler.collectGarbage");
    await devtools.send("HeapProfiler.collectGarbage");
    const { nodes, jsEventListeners } = await devtools.send("Memory.getDOMCounters");
    const shown = await page.evaluate(() => document.evaluate("count(//node())", document, null, 1).numberValue);
    return { nodes, jsEventListeners, shown };
  };
  const updates = (count) =>
    page.evaluate(async (count) => {
      for (let i = 0; i < count; i++) {
        all = true;
        clearTimeout(timer);
        await look();
        if (i % 25 === 0) connect();
      }
    }, count);
  await updates(20);
  const before = await measure();
  const start = Date.now();
  await updates(500);
  const after = await measure();
  console.log(`500 updates in ${Date.now() - start} ms: ${JSON.stringify(before)} ${JSON.stringify(after)}`);
  assert.equal(after.shown, before.shown, "on the page");
  // A page that is yet to be collected is held by the parser.
  assert.ok(after.nodes <= before.nodes * 1.1 + 100, "nodes");
  assert.ok(after.jsEventListeners <= before.jsEventListeners, "listeners");
  await follow(1);
  await close(page);
}

await run(troubleComesAndGoes, theConnectionIsLost, nothingPilesUp);
