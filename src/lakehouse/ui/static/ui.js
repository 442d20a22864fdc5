// What pages do beyond plain HTML: times in the reader's zone, keys, and what runs now.
"use strict";

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (!Number.isNaN(at.valueOf())) {
      time.textContent = at.toLocaleString(undefined, {dateStyle: "medium", timeStyle: time.className === "short" ? "short" : "medium"});
    }
  }
}

function watchNow() {
  const section = document.querySelector("[data-live]");
  if (!section || !window.EventSource) return;
  const events = new EventSource(section.dataset.live);
  events.addEventListener("now", (event) => {
    const panel = section.querySelector("[data-now]");
    panel.innerHTML = event.data; // the server's own template: every value in it is escaped
  });
  window.addEventListener("pagehide", () => events.close());
}

// A page with `data-again` waits for something that is computed: it is loaded again, once shown.
function loadAgain() {
  if (!document.querySelector("[data-again]")) return;
  setTimeout(() => (document.hidden || isTyping(document.activeElement) ? loadAgain() : location.reload()), 3000);
}

// The numbers of an open page, anew at each full minute: so that all open pages ask at once, which
// the server answers once.
function renewNumbers() {
  if (!document.querySelector("[data-renew]")) return;
  const renew = async () => {
    setTimeout(renew, 60_000 - (Date.now() % 60_000));
    if (document.hidden) return;
    const answer = await fetch(location.href).catch(() => null);
    if (!answer?.ok) return; // the numbers stay; the next minute tries again
    const loaded = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = loaded.querySelectorAll("[data-renew]");
    for (const [place, old] of document.querySelectorAll("[data-renew]").entries()) {
      if (!fresh[place] || old.contains(document.activeElement)) continue;
      localTimes(fresh[place]);
      old.replaceWith(fresh[place]);
    }
  };
  setTimeout(renew, 60_000 - (Date.now() % 60_000));
}

function isTyping(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

function choose(step) {
  const links = [...document.querySelectorAll("[data-row]")];
  if (!links.length) return;
  const now = links.indexOf(document.activeElement);
  const next = now < 0 ? 0 : Math.min(links.length - 1, Math.max(0, now + step));
  for (const link of links) link.closest("tr")?.classList.remove("chosen");
  links[next].closest("tr")?.classList.add("chosen");
  links[next].focus();
}

// A link with `data-key` is followed by its key; `j` and `k` choose a row where a page has rows.
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const link = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key);
  if (event.key === "/") document.getElementById("find")?.focus();
  else if (link) link.click();
  else if (event.key === "j") choose(1);
  else if (event.key === "k") choose(-1);
  else return;
  event.preventDefault();
}

document.addEventListener("keydown", onKey);
document.addEventListener("DOMContentLoaded", () => {
  localTimes(document);
  watchNow();
  renewNumbers();
  loadAgain();
});
document.addEventListener("htmx:afterSwap", () => localTimes(document));
