// Signing in and out, and what each role is shown, with and without a script.
import { assert, address, open, close, looks, fits, accessible, phone, picture, run, signIn, wide } from "./lib.mjs";

const where = (page) => page.url().slice(address.length);

async function aStrangerSignsInAndOut() {
  for (const javaScriptEnabled of [true, false]) {
    const page = await open({ viewport: phone, javaScriptEnabled }, "/services/web?span=24h");
    assert.equal(where(page), "/sign-in?to=%2Fservices%2Fweb%3Fspan%3D24h");
    await signIn(page, "vera", "vera!");
    assert.equal(where(page), "/services/web?span=24h");
    assert.ok(await page.getByText("vera", { exact: true }).isVisible());
    await page.goto(address + "/sessions");
    assert.equal(await page.getByRole("link", { name: "Who did what" }).count(), 0);
    await page.getByRole("button", { name: "Sign out" }).click();
    assert.equal(where(page), "/sign-in");
    await page.goto(address + "/");
    assert.equal(where(page), "/sign-in");
    await close(page);
  }
}

async function aWrongPasswordIsToldAndTheNameIsKept() {
  const page = await open({ viewport: phone }, "/sign-in");
  await signIn(page, "alice", "wrong");
  assert.match(await page.getByRole("alert").textContent(), /no user of this name with this password/);
  assert.equal(await page.getByLabel("Name").inputValue(), "alice");
  assert.equal(await page.getByLabel("Password").inputValue(), "");
  assert.equal(await page.evaluate(() => document.activeElement.id), "password");
  await fits(page, "a wrong password");
  await accessible(page, "a wrong password");
  await picture(page, "sign-in-wrong");
  // The keyboard is enough.
  await page.keyboard.type("alice!");
  await page.keyboard.press("Enter");
  await page.waitForURL(address + "/");
  // The console tells of the answer 403, which it is.
  page.complaints = page.complaints.filter((text) => !text.includes("403"));
  await close(page);
}

async function anAdminSeesWhoDidWhatAndEndsASession() {
  const vera = await open({ viewport: wide }, "/sign-in");
  await signIn(vera, "vera", "vera!");
  const alice = await open({ viewport: wide }, "/sign-in");
  await signIn(alice, "alice", "alice!");
  await alice.getByRole("link", { name: "alice" }).click();
  assert.equal(where(alice), "/sessions");
  assert.equal(await alice.getByText("this one").count(), 1);
  for (const [name, where] of [["sessions", "/sessions"], ["audit", "/audit"]]) {
    await alice.goto(address + where);
    for (const [size, viewport] of Object.entries({ wide, phone })) {
      await alice.setViewportSize(viewport);
      await fits(alice, `${name}, ${size}`);
      await accessible(alice, `${name}, ${size}`);
      await picture(alice, `${name}-${size}`, { fullPage: true });
    }
  }
  await alice.goto(address + "/sessions");
  while (await alice.getByRole("button", { name: /End the session of vera/ }).count()) {
    await alice.getByRole("button", { name: /End the session of vera/ }).first().click();
  }
  await vera.goto(address + "/");
  assert.equal(where(vera), "/sign-in");
  await close(vera);
  await close(alice);
}

async function theRoleDecidesWhatIsOpen() {
  const page = await open({ viewport: phone }, "/sign-in");
  await signIn(page, "oscar", "oscar!");
  const refused = await page.goto(address + "/audit");
  assert.equal(refused.status(), 403);
  assert.match(await page.textContent("main"), /needs the role admin, and oscar has the role operator/);
  page.complaints = page.complaints.filter((text) => !text.includes("403"));
  // No script can read the cookie.
  assert.doesNotMatch(await page.evaluate(() => document.cookie), /minder/);
  await close(page);
}

async function signingInLooksWell() {
  await looks({ "sign-in": "/sign-in" });
}

await run(
  aStrangerSignsInAndOut,
  aWrongPasswordIsToldAndTheNameIsKept,
  anAdminSeesWhoDidWhatAndEndsASession,
  theRoleDecidesWhatIsOpen,
  signingInLooksWell,
);
