// Keeps the page up to date: follows the stream of changes, fetches the same page again, and changes what differs.
// Without this script the page is as complete, and a reload brings it up to date.
"use strict";

const main = () => document.getElementById("main");
const lost = document.getElementById("lost");
const SOONEST = 1000; // between two looks, in milliseconds
const USUAL = 10000;

// A page that waits for something says how often it wants to be looked at.
const usual = () => Number(main().dataset.live) || USUAL;

let stream = null;
let timer = null;
let looking = false;
let lastLook = Date.now();

// Makes `old` like `fresh`, and touches nothing that is the same already: focus, selection and open details stay.
function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || (old.id || "") !== (fresh.id || "")) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    const kept = name === "open" && old.nodeName === "DETAILS";
    if (!kept && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  const known = new Map([...old.children].filter((c) => c.id).map((c) => [c.id, c]));
  let next = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const twin = child.id ? known.get(child.id) : null;
    if (twin && twin !== next) {
      old.insertBefore(twin, next);
      morph(twin, child);
    } else if (next && (twin || !(next.id || child.id))) {
      const after = next.nextSibling;
      morph(next, child);
      next = after;
    } else {
      old.insertBefore(child, next);
    }
  }
  while (next) {
    const after = next.nextSibling;
    next.remove();
    next = after;
  }
}

async function look() {
  if (looking) return soon(SOONEST);
  looking = true;
  lastLook = Date.now();
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(10000) });
    // A service that is gone is an answer too; one that cannot be given is not.
    if (answer.status >= 500) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("main");
    const focused = document.activeElement;
    const [x, y] = [scrollX, scrollY];
    morph(main(), document.adoptNode(fresh));
    if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    if (scrollX !== x || scrollY !== y) scrollTo({ left: x, top: y, behavior: "instant" });
    if (document.title !== page.title) document.title = page.title;
    lost.hidden = true;
    if (!stream || stream.readyState === EventSource.CLOSED) follow();
  } catch {
    lose();
  } finally {
    looking = false;
    if (!document.hidden) soon(usual());
  }
}

function lose() {
  const words = `Connection lost, showing ${main().dataset.at}. Trying again.`;
  if (lost.textContent !== words) lost.textContent = words;
  lost.hidden = false;
}

// Looks again after `wait`, or earlier if that is planned; never sooner after the last look than SOONEST.
let due = Infinity;
function soon(wait) {
  const at = Math.max(Date.now() + (lost.hidden ? wait : Math.min(wait, 2000)), lastLook + SOONEST);
  if (timer && at >= due) return;
  clearTimeout(timer);
  due = at;
  timer = setTimeout(() => {
    timer = null;
    look();
  }, at - Date.now());
}

function follow() {
  if (stream) stream.close();
  const mine = new EventSource("/events");
  stream = mine;
  for (const kind of ["hello", "change", "missed"]) mine.addEventListener(kind, () => soon(0));
  // Closed for good means refused: there are too many streams, and the page is looked at now and then all the same.
  mine.onerror = () => soon(mine.readyState === EventSource.CLOSED ? USUAL : 0);
}

function rest() {
  if (stream) stream.close();
  stream = null;
  clearTimeout(timer);
  timer = null;
}

if (main() && main().hasAttribute("data-live")) {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      rest();
    } else {
      follow();
      soon(0);
    }
  });
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => {
    if (event.persisted) {
      follow();
      soon(0);
    }
  });
  if (!document.hidden) {
    follow();
    soon(usual());
  }
}
