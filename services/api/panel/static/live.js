// Keeps an open page up to date: when history moved, the page is fetched again and what changed is changed in place.
// Says at the top, in the title and by taking the colour away when that can't be done.
import { morph } from "./morph.js";
import { follow } from "./stream.js";

const QUIET_MS = 250; // at least this long between two refreshes; the server says seldomer that history moved, for more
const TICK_MS = 60_000; // "today" ends at midnight. A page asks for more often while something runs

const root = document.documentElement;
const main = document.querySelector("main");
const offline = document.getElementById("offline");
const announcer = document.getElementById("announcer");

let position = Number(root.dataset.at); // where the history stood when the page was made
let toldOf = position; // and where it stands
let refreshing = false;
let stale = false;
let tick = null;
let title = document.title;
let own = withoutTrouble(document); // the title without what is out of reach
let troubleTold = root.dataset.trouble;
let asking = null; // an AbortController, while the page is asked for

/** A page that is told of trouble has it in front of its title. */
function withoutTrouble(page) {
  const before = `${page.getElementById("banner")?.dataset.title} · `;
  return page.title.startsWith(before) ? page.title.slice(before.length) : page.title;
}

/** What screen readers hear: the runs whose state changed, and no more than that. */
function announcements(old, fresh) {
  const before = new Map([...old.querySelectorAll("[data-announce]")].map((one) => [one.id, one.dataset.announce]));
  return [...fresh.querySelectorAll("[data-announce]")]
    .filter((one) => before.has(one.id) && before.get(one.id) !== one.dataset.announce)
    .map((one) => one.dataset.announce);
}

/** A page that says that something is away has the frame alone to give: what it showed before stays. */
async function refresh() {
  asking = new AbortController();
  const headers = { Accept: "text/html", "X-Kronik-Refresh": "1" };
  const response = await fetch(location.href, { headers, cache: "no-store", signal: asking.signal });
  if (response.status === 401) return location.reload();
  if (!response.ok && response.status !== 503) throw new Error(`HTTP ${response.status}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.documentElement;
  if (response.ok) own = withoutTrouble(page);
  title = response.ok ? page.title : `${page.getElementById("banner").dataset.title || page.title} · ${own}`;
  root.dataset.trouble = fresh.dataset.trouble || (response.ok ? "" : "postgres");
  for (const id of ["banner", "position"]) {
    const [old, now] = [document.getElementById(id), page.getElementById(id)];
    if (old && now) morph(old, document.adoptNode(now));
  }
  if (response.ok) {
    position = Number(fresh.dataset.at);
    body(page);
  }
}

function body(page) {
  const fresh = page.querySelector("main");
  const news = announcements(main, fresh);
  morph(main, document.adoptNode(fresh));
  document.body.dataset.every = page.body.dataset.every ?? "";
  document.dispatchEvent(new Event("kronik:refreshed"));
  if (news.length) announcer.textContent = news.join(". ");
}

function showConnection(there) {
  if (offline.hidden !== there) offline.hidden = there;
  if (!there) root.dataset.trouble = "offline";
  const said = there ? title : `${offline.dataset.title} · ${title}`;
  if (document.title !== said) document.title = said;
}

/** One refresh at a time; what arrives meanwhile leads to one more. */
async function moved() {
  stale = true;
  if (refreshing || document.hidden) return;
  refreshing = true;
  while (stale && !document.hidden) {
    stale = false;
    try {
      await refresh();
      showConnection(true);
      stale ||= position < toldOf; // somebody else's page, made a moment before
    } catch (error) {
      if (error.name !== "AbortError") showConnection(false);
    }
    await new Promise((done) => setTimeout(done, QUIET_MS));
  }
  refreshing = false;
  wait();
}

/** What was asked before the news came may wait for what is out of reach. */
function askAnew() {
  asking?.abort();
  moved();
}

/** The next look, if history does not move before. */
function wait() {
  clearTimeout(tick);
  tick = setTimeout(moved, Number(document.body.dataset.every) || TICK_MS);
}

function told(kind, data) {
  if (kind === "silence") return showConnection(false);
  const lost = !offline.hidden;
  toldOf = Math.max(toldOf, data.position);
  if (kind === "run" && (data.position > position || data.position === 0)) return moved();
  if (kind !== "state") return;
  if ((data.trouble ?? "") !== troubleTold) {
    troubleTold = data.trouble ?? "";
    askAnew();
  } else if (lost || data.position > position || troubleTold !== root.dataset.trouble) moved();
}

if (document.body.hasAttribute("data-live")) {
  follow(told);
  wait();
  document.addEventListener("visibilitychange", () => document.hidden || moved());
  addEventListener("offline", () => showConnection(false));
}

/** "7 new runs ↑": what is held back comes with a click. */
document.addEventListener("kronik:news", ({ target, detail }) => {
  const words = detail === 1 ? target.dataset.new : target.dataset.news;
  let pill = target.previousElementSibling?.matches(".pill") ? target.previousElementSibling : null;
  if (!detail || !words) return pill?.remove();
  if (!pill) {
    pill = document.createElement("button");
    pill.className = "pill";
    pill.type = "button";
    pill.dataset.added = "";
    pill.addEventListener("click", () => location.reload());
    target.before(pill);
  }
  pill.textContent = words.replace("{n}", detail);
});
