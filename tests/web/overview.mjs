// The overview of many services: search, filters, what is fetched and when.
import { ask, assert, close, looks, open, phone, run, until, wide } from "./lib.mjs";

// What a page asks of the server, but for what never changes.
function asked(page) {
  const all = [];
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!url.pathname.startsWith("/assets/")) all.push(url.pathname + url.search);
  });
  return all;
}

const follows = (count) => until(`${count} follow along`, async () => (await ask("followers")) === String(count));

async function looked() {
  await looks({ searched: "/?q=spare-00", trouble: "/?status=trouble" });
}

async function withoutScript() {
  const page = await open({ javaScriptEnabled: false }, "/");
  assert.equal(await page.locator(".service").count(), 164, "no service is missing");
  await page.getByLabel("Search").fill("rack-3");
  await page.getByRole("button", { name: "Show" }).click();
  assert.match(page.url(), /\?q=rack-3&status=&group=&tag=$/);
  assert.equal(await page.locator(".service").count(), 15);
  assert.equal(await page.locator(".service.brief").count(), 0, "what is found is shown in full");
  await page.getByLabel("Status").selectOption("critical");
  await page.getByRole("button", { name: "Show" }).click();
  assert.match(await page.locator("#shown").textContent(), /^0 of 164 services/);
  await page.getByRole("link", { name: "Show all" }).click();
  assert.equal(await page.locator(".service").count(), 164);
  await page.context().close();
}

async function search() {
  const page = await open({ viewport: wide });
  await page.getByLabel("Search").fill("spare-123");
  // At once, before the server has said anything.
  const visible = await page.locator(".service:visible").evaluateAll((rows) => rows.map((row) => row.id));
  assert.deepEqual(visible, ["service-spare-123"]);
  await until("the server has found it", async () => (await page.locator(".service").count()) === 1);
  assert.match(page.url(), /\?q=spare-123$/);
  assert.equal(await page.locator("#service-spare-123 .strip").count(), 1);
  assert.equal(await page.getByLabel("Search").inputValue(), "spare-123");
  await page.getByLabel("Search").fill("");
  await until("all are there again", async () => (await page.locator(".service").count()) === 164);
  await page.getByLabel("Group").selectOption("Machine");
  await until("the group alone is there", async () => (await page.locator(".service").count()) === 4);
  await page.reload();
  assert.equal(await page.getByLabel("Group").inputValue(), "Machine");
  assert.equal(await page.locator(".service").count(), 4, "what is searched is in the address");
  await close(page);
}

async function lazy() {
  const page = await open({ viewport: phone });
  const row = page.locator("#service-spare-140");
  assert.match(await row.getAttribute("class"), /brief/);
  await row.scrollIntoViewIfNeeded();
  await until("what comes into view is fetched in full", async () => !/brief/.test(await row.getAttribute("class")));
  assert.equal(await row.locator(".strip").count(), 1);
  assert.ok((await page.locator(".service.brief").count()) > 80, "and nothing else");
  await close(page);
}

async function live() {
  const page = await open({ viewport: wide });
  await follows(1);
  await page.waitForTimeout(1100);
  const requests = asked(page);
  await ask("change redis");
  await page.locator("#trouble-redis").waitFor();
  assert.match(await page.locator("#service-redis").textContent(), /critical/);
  assert.equal(requests.length, 1, `one request, ${requests}`);
  assert.match(requests[0], /^\/fragments\/services\?names=redis/);
  assert.equal(await page.title(), "(4) web1.example.org – minder");
  // It has moved to where it belongs in its group.
  const keys = () => page.locator("ul.services").nth(1).locator(".service").evaluateAll((rows) => rows.map((row) => row.dataset.key));
  assert.deepEqual(await keys(), (await keys()).toSorted());
  await ask("change redis");
  await until("it is well again", async () => (await page.locator("#trouble-redis").count()) === 0);
  assert.deepEqual(await keys(), (await keys()).toSorted());
  await ask("plan");
  await page.locator("#service-brand-new").waitFor();
  await close(page);
}

async function keyboard() {
  const page = await open({ viewport: wide });
  await page.getByLabel("Search").focus();
  await page.keyboard.type("mail");
  await until("it is found", async () => (await page.locator(".service").count()) === 1);
  assert.equal(await page.evaluate(() => document.activeElement.id), "q", "the focus stays");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(400);
  assert.match(page.url(), /\?q=mail$/);
  const strip = page.locator("#service-mail-queue .to-strip");
  await strip.focus();
  assert.match(await strip.getAttribute("aria-label"), /^process, last hour: bad in \d+ of \d+ answers/);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "mail-queue" }).waitFor();
  await close(page);
}

await run(withoutScript, search, lazy, live, keyboard, looked);
