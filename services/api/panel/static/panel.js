// Keeps the page that is open up to date: whenever history moved, the page is fetched again and what
// changed is changed in place. Nothing on the page needs this to work.

const EVENTS = "/api/admin/events";
const QUIET_MS = 250; // at least this long between two refreshes, however fast history moves
const POLL_MS = 5_000; // without a live connection
const TICK_MS = 60_000; // with one: "today" ends at midnight. The page asks for more while something runs

const notice = document.getElementById("offline");
const main = document.querySelector("main");
const announcer = document.getElementById("announcer");

/** Make `old` like `fresh` with as few changes as possible, so that focus, selection and open details stay. */
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  morphAttributes(old, fresh);
  morphChildren(old, fresh);
}

function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

/** Children with an id are matched by it wherever they stand (rows move down), the others by their place. */
function morphChildren(old, fresh) {
  const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const known = wanted.id ? named.get(wanted.id) : place?.id ? null : place;
    if (!known) {
      old.insertBefore(wanted, place);
      continue;
    }
    if (known === place) place = place.nextSibling;
    else old.insertBefore(known, place);
    morph(known, wanted);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

/** What screen readers hear: the runs whose state changed, and no more than that. */
function announcements(old, fresh) {
  const before = new Map([...old.querySelectorAll("[data-announce]")].map((one) => [one.id, one.dataset.announce]));
  return [...fresh.querySelectorAll("[data-announce]")]
    .filter((one) => before.has(one.id) && before.get(one.id) !== one.dataset.announce)
    .map((one) => one.dataset.announce);
}

async function refresh() {
  const response = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (response.status === 401) return location.reload();
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.querySelector("main");
  const news = announcements(main, fresh);
  morph(main, document.adoptNode(fresh));
  document.title = page.title;
  if (news.length) announcer.textContent = news.join(". ");
}

let refreshing = false;
let stale = false;

/** One refresh at a time; what arrives meanwhile leads to one more. */
async function historyMoved() {
  stale = true;
  if (refreshing || document.hidden) return;
  refreshing = true;
  while (stale && !document.hidden) {
    stale = false;
    try {
      await refresh();
      notice.hidden = true;
    } catch {
      notice.hidden = false;
    }
    await new Promise((done) => setTimeout(done, QUIET_MS));
  }
  refreshing = false;
  wait();
}

let tick = null;

/** The next look, if history does not move before. */
function wait() {
  clearTimeout(tick);
  tick = setTimeout(historyMoved, Number(main.dataset.every) || TICK_MS);
}

let source = null;

/** Hidden pages hold no connection: a browser has only a handful of them per server. */
function listen() {
  source?.close();
  source = null;
  if (document.hidden) return;
  source = new EventSource(EVENTS);
  source.addEventListener("open", historyMoved);
  source.addEventListener("run", historyMoved);
}

function poll() {
  if (document.hidden || source?.readyState === EventSource.OPEN) return;
  if (source?.readyState === EventSource.CLOSED) listen();
  historyMoved();
}

if (main?.hasAttribute("data-live")) {
  listen();
  setInterval(poll, POLL_MS);
  wait();
  document.addEventListener("visibilitychange", () => {
    listen();
    if (!document.hidden) historyMoved();
  });
}
