// Reads out charts and strips: what is under the pointer or a finger, and by the arrow keys what is to the left and right.
// What it shows lies over the page, not in it: the page may be brought up to date meanwhile.
"use strict";
{

const make = (id) => {
  const element = document.createElement("div");
  element.id = id;
  element.hidden = true;
  element.setAttribute("aria-hidden", "true");
  return document.body.appendChild(element);
};
const hair = make("hair");
const dot = make("dot");
const words = make("reading");
document.documentElement.classList.add("reads"); // the tooltips of the browser would stand in the way

const zone = document.documentElement.dataset.zone || undefined;
const form = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
const day = form({ weekday: "short", day: "numeric", month: "short" });
const minute = form({ hour: "2-digit", minute: "2-digit" });
const second = form({ hour: "2-digit", minute: "2-digit", second: "2-digit" });

function when(from, step) {
  if (step < 60000) return second.format(from);
  return `${day.format(from).replace(",", "")} ${minute.format(from)}–${minute.format(from + step)}`;
}

// At least three significant digits, and whole numbers whole: as the server writes them.
function three(value) {
  const size = Math.abs(value);
  return Number.isInteger(value) || size >= 100 ? value.toFixed(0) : value.toFixed(size >= 10 ? 1 : 2);
}

function show(value, unit) {
  if (unit === "bytes" || unit === "bytes/s") {
    const units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let i = 0;
    for (; Math.abs(value) >= 999.5 && i + 1 < units.length; i++) value /= 1000;
    return `${three(value)} ${units[i]}${unit.slice(5)}`;
  }
  if (unit === "seconds") {
    const size = Math.abs(value);
    if (size === 0) return "0 s";
    if (size < 1) return `${three(value * 1e3)} ms`;
    if (size < 60) return `${three(value)} s`;
    const [large, word, small, rest] = size < 3600 ? [60, "min", 1, "s"] : size < 86400 ? [3600, "h", 60, "min"] : [86400, "days", 3600, "h"];
    const [count, left] = [Math.floor(size / large), Math.floor((size % large) / small)];
    return `${value < 0 ? "-" : ""}${count} ${count === 1 ? word.replace("days", "day") : word}${left ? ` ${left} ${rest}` : ""}`;
  }
  if (unit === "percent") return `${three(value)} %`;
  if (unit === "flag") return value === 0 ? "no" : value === 1 ? "yes" : `yes in ${three(value * 100)} %`;
  return three(value) + (unit === "count/s" ? "/s" : "");
}

const places = new WeakMap(); // where in each was read last
const count = (it) => Number(it.getAttribute("aria-valuemax"));

// What happened there: the titles of incidents and marks within this stretch of the chart, from 0 to 1.
function happened(chart, from, to) {
  const told = [];
  for (const shade of chart.querySelectorAll(".shade")) {
    const x = Number(shade.getAttribute("x")) / 1000;
    if (x < to && x + Number(shade.getAttribute("width")) / 1000 > from) told.push(shade);
  }
  for (const mark of chart.querySelectorAll(".at")) {
    const x = parseFloat(mark.querySelector("use").getAttribute("x")) / 100;
    if (x > from - 0.006 && x < to + 0.006) told.push(mark);
  }
  return told.map((element) => element.querySelector("title").textContent);
}

// What stands at this place: its words, and how high its dot is, from 0 to 1 from the top, if there is one.
function read(it, i) {
  if (it.classList.contains("strip")) return { text: it.children[i]?.firstElementChild.textContent ?? "" };
  const { unit, from, step, bottom, top, mean, least, greatest } = it.dataset;
  const at = (list) => (list ? list.split(",")[i] : "");
  const time = when(Number(from) + i * Number(step), Number(step));
  const value = at(mean);
  const more = happened(it, i / count(it), (i + 1) / count(it)).map((title) => `\n${title}`);
  if (!value) return { text: `${time}: nothing recorded${more.join("")}` };
  const [low, high] = [at(least), at(greatest)];
  const band = low && low !== high ? `, from ${show(Number(low), unit)} to ${show(Number(high), unit)}` : "";
  return { text: `${time}: ${show(Number(value), unit)}${band}${more.join("")}`, y: (Number(top) - Number(value)) / (Number(top) - Number(bottom)) };
}

function point(it, i) {
  places.set(it, i);
  const { text, y } = read(it, i);
  it.setAttribute("aria-valuenow", i + 1);
  it.setAttribute("aria-valuetext", text);
  // Of a chart only the box in which it is drawn; of it the shades and lines may be anywhere.
  const whole = it.getBoundingClientRect();
  const inner = it.querySelector(".box");
  const offset = inner ? inner.y.baseVal.value : 0;
  const height = inner ? inner.height.baseVal.value : whole.height;
  const x = whole.left + scrollX + ((i + 0.5) / count(it)) * whole.width;
  const upper = whole.top + scrollY + offset;
  words.textContent = text;
  for (const element of [words, hair]) element.hidden = false;
  dot.hidden = y === undefined;
  hair.style.cssText = `left:${x}px;top:${upper}px;height:${height}px`;
  if (y !== undefined) dot.style.cssText = `left:${x}px;top:${upper + Math.min(Math.max(y, 0), 1) * height}px`;
  const room = document.documentElement.clientWidth - words.offsetWidth - 8;
  const left = Math.max(8, Math.min(x - words.offsetWidth / 2, room));
  const below = whole.bottom + 6;
  const top = below + words.offsetHeight > innerHeight ? whole.top - words.offsetHeight - 6 : below;
  words.style.cssText = `left:${left}px;top:${top + scrollY}px`;
}

function hide() {
  for (const element of [words, hair, dot]) element.hidden = true;
}

const under = (event) => (event.target instanceof Element ? event.target.closest(".readable") : null);

for (const kind of ["pointermove", "pointerdown"]) {
  document.addEventListener(kind, (event) => {
    const it = under(event);
    if (it) {
      const { left, width } = it.getBoundingClientRect();
      const i = Math.floor(((event.clientX - left) / width) * count(it));
      point(it, Math.min(Math.max(i, 0), count(it) - 1));
    } else if (kind === "pointerdown" || !document.activeElement?.matches(".readable:focus-visible")) {
      hide();
    }
  });
}
document.addEventListener("focusin", (event) => {
  const it = under(event);
  if (it && it.matches(":focus-visible")) point(it, places.get(it) ?? count(it) - 1);
});
document.addEventListener("focusout", (event) => {
  if (under(event)) hide();
});
document.addEventListener("keydown", (event) => {
  const it = under(event);
  if (!it || event.ctrlKey || event.altKey || event.metaKey) return;
  const last = count(it) - 1;
  const now = places.get(it) ?? last;
  const page = Math.max(1, Math.round(last / 10));
  const steps = {
    ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1,
    PageDown: now - page, PageUp: now + page, Home: 0, End: last,
  };
  if (event.key === "Escape") return hide();
  if (!(event.key in steps)) return;
  event.preventDefault();
  point(it, Math.min(Math.max(steps[event.key], 0), last));
});
addEventListener("resize", hide);
}
