// Keeps the page up to date: follows the stream of changes, fetches what has changed, and changes what differs.
// `data-live` on `main` says how: `rows` fetches single services and what stands above them, else all of `main` is fetched;
// with `data-service` only a change of that service matters. Without this script the page is as complete, and a reload
// brings it up to date. Nothing here grows with time: one stream, one observer, two timers, and a set that is emptied.
"use strict";

const main = document.getElementById("main");
const lost = document.getElementById("lost");
const version = new URL(document.currentScript.src).searchParams.get("v");
const SOONEST = 1000; // between two looks, in milliseconds
// A page that waits for something says how often it wants to be looked at, in milliseconds.
const usual = () => (main.dataset.live === "rows" ? 10000 : Number(main.dataset.live) || 20000);
const LONGEST = 30000; // between two tries, once the connection is lost
const SILENCE = 45000; // a stream that says nothing for so long is dead
const AT_ONCE = 80; // services in a request

// Many pages that are told the same, or come back at the same time, spread over so long.
const about = (time) => time * (0.75 + Math.random() / 2);

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
  // A service that was fetched in full is not made brief again; if it is in view, it is fetched anew.
  if (fresh.classList.contains("brief") && old.classList.contains("service") && !old.classList.contains("brief")) return;
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

// Does what moves things, and keeps focus and place.
function keeping(change) {
  const focused = document.activeElement;
  const [x, y] = [scrollX, scrollY];
  change();
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  if (scrollX !== x || scrollY !== y) scrollTo({ left: x, top: y, behavior: "instant" });
}

// ---- what is to be fetched, and when ----

let all = false; // all of the page
const wanted = new Set(); // else these services
let timer = null;
let due = Infinity;
let looking = false;
let lastLook = Date.now();
let failures = 0;

// Looks after `wait`, or earlier if that is planned; never sooner after the last look than SOONEST, nor than the next try.
function soon(wait) {
  if (document.hidden) return;
  const pause = failures ? Math.min(LONGEST, SOONEST * 2 ** (failures - 1)) : 0;
  const at = Math.max(Date.now() + (failures ? about(pause) : wait), lastLook + SOONEST);
  if (timer && at >= due) return;
  clearTimeout(timer);
  due = at;
  timer = setTimeout(look, at - Date.now());
}

async function look() {
  timer = null;
  if (looking) return soon(SOONEST);
  looking = true;
  lastLook = Date.now();
  const whole = all || main.dataset.live !== "rows";
  if (!whole) for (const row of seen) if (isOld(row)) wanted.add(name(row));
  const names = whole ? [] : [...wanted].slice(0, AT_ONCE);
  const where = location.pathname + location.search;
  const query = new URLSearchParams(location.search);
  query.set("names", names.join(","));
  // Not AbortSignal.timeout: that holds what was fetched until its time is over.
  const abort = new AbortController();
  const late = setTimeout(() => abort.abort(), 10000);
  try {
    const answer = await fetch(whole ? where : `/fragments/services?${query}`, { cache: "no-store", signal: abort.signal });
    // A service that is gone is an answer too; one that cannot be given is not. Who is signed out is sent to sign in.
    if (answer.status >= 500) throw new Error(answer.statusText);
    if (answer.redirected || answer.status === 401) return location.reload();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("main");
    if (!fresh) throw new Error("not a page of ours");
    failures = 0;
    if (!lost.hidden) lost.hidden = true;
    if (where !== location.pathname + location.search) return;
    keeping(() => (whole ? takeAll(fresh) : takeRows(fresh, names)));
    if (document.title !== page.title) document.title = page.title;
    if (!stream && Date.now() >= again) connect();
  } catch {
    failures++;
    lose();
  } finally {
    clearTimeout(late);
    looking = false;
    soon(all || wanted.size ? SOONEST : about(usual()));
  }
}

function takeAll(fresh) {
  all = false;
  wanted.clear();
  morph(main, document.adoptNode(fresh));
  watch();
}

function takeRows(fresh, names) {
  for (const word of ["at", "state"]) main.dataset[word] = fresh.dataset[word];
  morph(document.getElementById("head"), document.adoptNode(fresh.querySelector("#head")));
  // Other services, or others that the search finds: that is more than rows.
  const shown = document.getElementById("shown");
  if (fresh.dataset.plan !== main.dataset.plan || (shown && shown.dataset.shown !== fresh.dataset.shown)) {
    all = true;
    return;
  }
  names.forEach((name) => wanted.delete(name));
  for (const row of fresh.querySelectorAll(".service")) {
    const old = document.getElementById(row.id);
    if (!old) {
      all = true;
      continue;
    }
    const moves = old.dataset.key !== row.dataset.key;
    row.hidden = old.hidden; // by a search that the server has not answered yet
    morph(old, document.adoptNode(row));
    old.at = Date.now();
    if (moves) {
      const after = [...old.parentNode.children].find((other) => other !== old && other.dataset.key > old.dataset.key);
      old.parentNode.insertBefore(old, after ?? null);
    }
  }
  // What was asked for and is not there is no longer found.
  for (const name of names) if (!fresh.querySelector(`#${CSS.escape(`service-${name}`)}`) && document.getElementById(`service-${name}`)) all = true;
}

function lose() {
  const words = `Connection lost, showing ${main.dataset.at}. Trying again.`;
  if (lost.textContent !== words) lost.textContent = words;
  if (lost.hidden) lost.hidden = false;
}

// ---- which services are in view ----

const seen = new Set();
const name = (row) => row.id.slice("service-".length);
const isOld = (row) => row.classList.contains("brief") || Date.now() - (row.at ?? started) > usual() * 0.7;
const started = Date.now();
const eye = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) seen.delete(target);
      else if (target.isConnected) seen.add(target);
    }
    if ([...seen].some(isOld)) soon(150);
  },
  { rootMargin: "300px 0px" },
);

function watch() {
  eye.disconnect();
  seen.clear();
  if (main.dataset.live === "rows") main.querySelectorAll(".service").forEach((row) => eye.observe(row));
}

// ---- search and filters ----

// At once by what is on the page; what the server knows better comes a moment later.
function find(form) {
  const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of main.querySelectorAll(".service")) {
    const text = `${name(row)} ${row.dataset.words ?? ""}`.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  all = true;
  lastLook = Math.min(lastLook, Date.now() - SOONEST + 250);
  clearTimeout(timer);
  timer = null;
  soon(250);
}

const isSearch = (target) => target instanceof Element && target.closest("#find");
main?.addEventListener("input", (event) => isSearch(event.target) && find(event.target.form));
main?.addEventListener("submit", (event) => {
  if (!isSearch(event.target)) return;
  event.preventDefault();
  find(event.target);
});

// ---- the stream ----

let stream = null;
let number = null; // of the latest change that is known
let heard = 0;
let refusals = 0;
let again = 0; // when it may be asked for next

function told(change) {
  number = change.number;
  const only = main.dataset.service;
  if (change.all) all = true;
  else if (only) {
    if (!change.services.includes(only)) return;
    all = true;
  } else if (main.dataset.live === "rows") change.services.forEach((name) => wanted.add(name));
  else all = true;
  soon(about(200));
}

// A script of another version would not understand the pages of this one: once for each version, the page is loaded anew.
function greeted(hello) {
  refusals = 0;
  number = hello.number;
  if (hello.version === version || sessionStorage.getItem("version") === hello.version) return;
  sessionStorage.setItem("version", hello.version);
  location.reload();
}

function connect() {
  if (stream) stream.close();
  const mine = new EventSource(number === null ? "/live" : `/live?after=${number}`);
  stream = mine;
  heard = Date.now();
  const on = (kind, take) =>
    mine.addEventListener(kind, (event) => {
      heard = Date.now();
      take(JSON.parse(event.data));
    });
  on("hello", greeted);
  on("change", told);
  on("beat", () => {});
  // It ended: a look tells whether the connection is lost, and follows again if not. Or it was refused because there are too
  // many: the page is looked at now and then all the same.
  mine.onerror = () => {
    mine.close();
    if (stream !== mine) return;
    stream = null;
    again = Date.now() + (refusals ? about(Math.min(LONGEST, SOONEST * 2 ** refusals)) : 0);
    soon(about(refusals++ ? usual() : SOONEST));
  };
}

function rest() {
  if (stream) stream.close();
  stream = null;
  clearTimeout(timer);
  timer = null;
}

function wake() {
  // What was told while nobody looked is asked for by its number; what only grew older, by a look.
  connect();
  lastLook = Math.min(lastLook, Date.now() - SOONEST);
  soon(0);
}

if (main?.dataset.live !== undefined) {
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : wake()));
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => event.persisted && wake());
  // A stream that has fallen silent is dead, though nobody said so.
  setInterval(() => {
    if (stream && Date.now() - heard > SILENCE) connect();
  }, SILENCE / 3);
  watch();
  if (!document.hidden) {
    connect();
    soon(about(usual()));
  }
}
