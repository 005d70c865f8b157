// A page that is left open: the connection is lost, minder is another one, a week goes by.
import { ask, assert, close, open, phone, run, until, wide } from "./lib.mjs";

const follows = (count) => until(`${count} follow along`, async () => (await ask("followers")) === String(count));

async function lost() {
  const page = await open({ viewport: phone });
  await follows(1);
  await ask("break");
  await page.locator("#lost").waitFor();
  await ask("mend");
  await page.locator("#lost").waitFor({ state: "hidden" });
  await follows(1);
  page.complaints = page.complaints.filter((text) => !/ERR_(CONNECTION|INCOMPLETE|EMPTY)/.test(text));
  await close(page);
}

async function otherVersion() {
  const page = await open({});
  await follows(1);
  let loads = 0;
  page.on("framenavigated", () => loads++);
  await page.route("**/live*", (route) =>
    route.fulfill({ contentType: "text/event-stream", body: 'event: hello\ndata: {"number":1,"version":"another"}\n\n' }),
  );
  await page.evaluate(() => connect());
  await until("it is loaded anew", async () => loads === 1);
  await page.waitForTimeout(1500);
  assert.equal(loads, 1, "once, not again and again");
  await page.context().close();
}

// As much as happens in a week, in a few seconds: nothing must pile up.
async function week() {
  const page = await open({ viewport: wide });
  await follows(1);
  const session = await page.context().newCDPSession(page);
  const measure = async () => {
    // What was parsed last is let go of in several steps.
    for (let i = 0; i < 3; i++) {
      await session.send("HeapProfiler.collectGarbage");
      await page.waitForTimeout(50);
    }
    const { nodes, jsEventListeners } = await session.send("Memory.getDOMCounters");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    const shown = await page.evaluate(() => document.evaluate("count(//node())", document, null, 1).numberValue);
    return { nodes, jsEventListeners, usedSize, shown };
  };
  const updates = (count) =>
    page.evaluate(async (count) => {
      for (let i = 0; i < count; i++) {
        all = i % 10 === 0;
        if (!all) wanted.add("nginx").add(`spare-${String(i % 150).padStart(3, "0")}`);
        clearTimeout(timer);
        await look();
        if (i % 25 === 0) connect();
      }
    }, count);
  // Twice around: all that was in brief is in full, and the browser holds what it keeps of an element that has changed.
  await updates(160);
  await updates(160);
  // The parser's last pages are let go of some time or other; what is held by ours never is.
  const least = async () => {
    let least = await measure();
    for (let i = 0; i < 6; i++) {
      await updates(11);
      const now = await measure();
      if (now.nodes < least.nodes) least = now;
    }
    return least;
  };
  const before = await least();
  await updates(160);
  const after = await least();
  console.log(`after 160 more updates: ${JSON.stringify(before)} ${JSON.stringify(after)}`);
  assert.equal(after.shown, before.shown, "on the page");
  assert.ok(after.nodes <= before.nodes + 100, "nodes");
  assert.ok(after.jsEventListeners <= before.jsEventListeners, "listeners");
  assert.ok(after.usedSize <= before.usedSize * 1.1 + 100_000, "heap");
  await follows(1);
  await close(page);
}

await run(lost, otherVersion, week);
