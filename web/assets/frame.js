// What looks after the page itself: light or dark, the zone of its times, the icon. Nothing on the page needs it.
"use strict";
{

const root = document.documentElement;
const keep = (name, value, age = 31536000) => {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${name}=${value}; path=/; max-age=${age}; samesite=lax${secure}`;
};

// Times are written by the server; it is told the reader's zone once, and the page is fetched anew in it.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && root.dataset.zone !== undefined && root.dataset.zone !== zone && !document.cookie.includes(`zone=${zone}`)) {
  keep("zone", zone);
  if (document.cookie.includes(`zone=${zone}`)) location.reload();
}

// Three positions: as the system has it, light, dark.
const themes = ["auto", "light", "dark"];
const button = document.getElementById("theme");
if (button) {
  const words = { auto: "Theme: automatic", light: "Theme: light", dark: "Theme: dark" };
  const now = () => root.dataset.theme ?? "auto";
  const show = () => {
    button.textContent = words[now()];
  };
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(now()) + 1) % themes.length];
    if (next === "auto") {
      delete root.dataset.theme;
      keep("theme", "", 0);
    } else {
      root.dataset.theme = next;
      keep("theme", next);
    }
    show();
  });
  show();
  button.hidden = false;
}

// The icon says how things stand, or that this is not known any more.
const icon = document.getElementById("icon");
const lost = document.getElementById("lost");
const main = document.getElementById("main");
function mark() {
  const state = lost && !lost.hidden ? "unknown" : main?.dataset.state;
  const wanted = icon?.dataset[state];
  if (wanted && icon.getAttribute("href") !== wanted) icon.href = wanted;
}
const watch = new MutationObserver(mark);
if (lost) watch.observe(lost, { attributes: true, attributeFilter: ["hidden"] });
if (main) watch.observe(main, { attributes: true, attributeFilter: ["data-state"] });
}
