// The next slots of a schedule as it is typed.

const form = document.querySelector("[data-preview]");
const slots = document.getElementById("slots");
let asked = 0;
let later = null;

async function preview() {
  const turn = ++asked;
  const query = new URLSearchParams({ preview: "1", cron: form.cron.value, tz: form.tz.value });
  const response = await fetch(`${form.action}?${query}`, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (turn !== asked) return; // an answer that was overtaken
  const fresh = page.querySelector("[role=alert][data-focus] p") ?? page.getElementById("slots");
  slots.replaceChildren(...(fresh.id === "slots" ? fresh.childNodes : [fresh]));
}

form?.addEventListener("input", () => {
  clearTimeout(later);
  later = setTimeout(() => preview().catch(() => {}), 250);
});
