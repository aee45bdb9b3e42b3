/* What a script adds to pages that are whole without it: lists that renew themselves, search as you type, keys.

   <div id="list" data-live="5">   renewed every 5 s, from the address of the page
   <input data-search>             its form is asked while one types
   <tr data-row>                   what j and k go through; Enter opens its first link

   What comes is HTML of this page's own host, made there; nothing is made of text here. */

const page = document.documentElement;
page.classList.add("scripted");
const TYPED = 200;
/* Milliseconds without a key after which what was typed is searched for. */
let asked = 0;

const address = new URL(location.href);
if (address.searchParams.has("said")) {
  /* It was said once: whoever loads the page anew, or shares it, is not told again. */
  address.searchParams.delete("said");
  address.searchParams.delete("by");
  history.replaceState(null, "", address);
}

async function renew(address, remember = false) {
  const mine = ++asked;
  try {
    const answer = await fetch(address, {headers: {"X-Requested-For": "renewal"}});
    if (!answer.ok || mine !== asked) return;
    const found = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const place of document.querySelectorAll("[data-live]")) {
      const fresh = found.getElementById(place.id);
      if (fresh && !held(place)) exchange(place, fresh);
    }
    for (const part of ["header nav", "footer"]) {
      const fresh = found.querySelector(part);
      const old = document.querySelector(part);
      if (fresh && old && fresh.innerHTML !== old.innerHTML) old.replaceWith(fresh);
    }
    if (remember) history.replaceState(null, "", address);
  } catch {
    /* The page has ended, or the line is down: what is shown stays as it was, with its time below. */
  }
}

function held(place) {
  /* Whoever is choosing, or marks text, is not to have it taken away. */
  const busy = document.activeElement;
  const chooses = place.contains(busy) && busy.matches("select, input, textarea, details *");
  const marked = getSelection();
  return chooses || place.querySelector("details[open]") !== null
    || (marked && !marked.isCollapsed && place.contains(marked.anchorNode));
}

function exchange(place, fresh) {
  const at = rows().indexOf(current);
  const focused = place.contains(document.activeElement) ? path(document.activeElement) : null;
  place.replaceChildren(...fresh.childNodes);
  if (at >= 0) mark(rows()[at], false);
  if (focused) document.querySelector(focused)?.focus();
}

function path(element) {
  const where = ["name", "value", "href"].filter((name) => element.getAttribute(name));
  const said = where.map((name) => `[${name}="${CSS.escape(element.getAttribute(name))}"]`).join("");
  return said ? element.localName + said : null;
}

for (const place of document.querySelectorAll("[data-live]")) {
  setInterval(() => document.hidden || renew(location.href), Number(place.dataset.live) * 1000);
}
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && document.querySelector("[data-live]")) renew(location.href);
});

/* Search as you type ---------------------------------------------------------------------------- */

const search = document.querySelector("[data-search]");
let timer = 0;
search?.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => {
    const address = new URL(search.form.action);
    for (const [name, value] of new FormData(search.form)) if (value) address.searchParams.set(name, value);
    renew(address, true);
  }, TYPED);
});

/* Whoever fills in a field of a choice has chosen. */
document.querySelector(".when")?.addEventListener("input", ({target}) => {
  const choice = target.closest("p")?.querySelector("[type=radio]");
  if (choice) choice.checked = true;
});

/* Keys ------------------------------------------------------------------------------------------ */

const KEYS = {
  "/": ["search", () => document.querySelector("[data-search], input[type=search]")?.focus()],
  j: ["the next one", () => step(1)],
  k: ["the one before", () => step(-1)],
  Enter: ["open it", () => current?.querySelector("a")?.click()],
  g: ["all jobs", () => location.assign("/")],
  "?": ["these keys", help],
};
let current = null;

function rows() {
  return [...document.querySelectorAll("[data-row]")];
}

function mark(row, scroll = true) {
  current?.classList.remove("at");
  current = row ?? null;
  current?.classList.add("at");
  if (scroll) current?.scrollIntoView({block: "nearest"});
}

function step(by) {
  const every = rows();
  const at = every.indexOf(current);
  const next = at < 0 ? (by > 0 ? 0 : every.length - 1) : Math.min(Math.max(at + by, 0), every.length - 1);
  mark(every[next]);
  current?.querySelector("a")?.focus({preventScroll: true});
}

function help() {
  const shown = document.getElementById("keys");
  if (shown) return shown.close();
  const dialog = Object.assign(document.createElement("dialog"), {id: "keys"});
  dialog.setAttribute("aria-label", "Keys");
  const list = document.createElement("dl");
  for (const [key, [words]] of Object.entries(KEYS)) {
    const term = document.createElement("dt");
    term.append(Object.assign(document.createElement("kbd"), {textContent: key}));
    list.append(term, Object.assign(document.createElement("dd"), {textContent: words}));
  }
  const form = Object.assign(document.createElement("form"), {method: "dialog"});
  form.append(Object.assign(document.createElement("button"), {textContent: "Close"}));
  dialog.append(list, form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const typing = event.target.matches?.("input, textarea, select, [contenteditable]");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.getElementById("keys") && event.key !== "?") return;
  if (event.key === "Enter" && event.target !== document.body) return; /* a link or a button has its own */
  const [, act] = KEYS[event.key] ?? [];
  if (act) {
    event.preventDefault();
    act();
  }
});
