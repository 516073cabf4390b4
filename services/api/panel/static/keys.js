// The keyboard: Ctrl-K goes anywhere, / to the filter, j and k from row to row, Enter opens, ? explains.
// Single keys can be turned off; they never work while something is typed.

const OFF = "kronik-single-keys-off";
const base = document.documentElement.dataset.base;
const dialog = document.getElementById("keys");
const find = dialog?.querySelector("input[type=search]");
const list = dialog?.querySelector("ul");
const off = dialog?.querySelector("input[type=checkbox]");
let jobs = null;

function entries() {
  const tabs = [...document.querySelectorAll(".tabs a")].map((one) => ({ text: one.textContent, href: one.href }));
  return [...tabs, ...(jobs ?? [])];
}

async function loadJobs() {
  if (jobs) return;
  jobs = [];
  const response = await fetch(`${base}/api/admin/job`);
  if (!response.ok) return;
  const language = document.documentElement.lang;
  jobs = (await response.json()).map(({ jobType, title }) => ({
    text: title[language] ?? title.en ?? jobType,
    also: jobType,
    href: `${base}/admin/system/job/${jobType}`,
  }));
  show();
}

function show() {
  const wanted = find.value.trim().toLowerCase();
  const found = entries().filter(({ text, also }) => `${text} ${also ?? ""}`.toLowerCase().includes(wanted));
  if (/^\d+$/.test(wanted)) found.unshift({ text: `${list.dataset.run} ${wanted}`, href: `${base}/admin/system/run/${wanted}` });
  list.replaceChildren(
    ...found.slice(0, 12).map(({ text, href }) => {
      const [item, link] = [document.createElement("li"), document.createElement("a")];
      link.textContent = text;
      link.href = href;
      item.append(link);
      return item;
    }),
  );
}

function open() {
  find.value = "";
  show();
  dialog.showModal();
  find.focus();
  loadJobs().catch(() => {});
}

function move(by) {
  const links = [...document.querySelectorAll("main .runs tbody tr .date a, main .job-row h2 a, main .job-head h2 a")];
  const at = links.indexOf(document.activeElement);
  links[Math.min(links.length - 1, Math.max(0, at + by))]?.focus();
}

function isTyping({ target }) {
  return target.closest?.("input:not([type=checkbox]), select, textarea, [contenteditable], dialog") != null;
}

const SINGLE = {
  "/": () => (document.querySelector("main input[type=search]") ?? { focus: open }).focus(),
  "?": open,
  j: () => move(1),
  k: () => move(-1),
};

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && dialog) {
    event.preventDefault();
    return open();
  }
  const single = SINGLE[event.key];
  const held = event.ctrlKey || event.metaKey || event.altKey;
  if (!single || held || !dialog || isTyping(event) || localStorage.getItem(OFF)) return;
  event.preventDefault();
  single();
});

if (dialog) {
  off.checked = Boolean(localStorage.getItem(OFF));
  off.addEventListener("change", () => (off.checked ? localStorage.setItem(OFF, "1") : localStorage.removeItem(OFF)));
  find.addEventListener("input", show);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    list.querySelector("a")?.click();
  });
}
