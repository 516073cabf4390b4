// Rows of the history that are chosen for what is done to many runs: all of a page at once, and how many they are.

const form = document.querySelector("[data-choosing]");
const all = document.createElement("input");
const boxes = () => [...form.querySelectorAll("tbody input[type=checkbox]")];

function count() {
  const chosen = boxes().filter((one) => one.checked).length;
  const said = form.querySelector("[data-chosen]");
  said.textContent = said.dataset.chosen.replace("{n}", chosen);
  all.checked = chosen === boxes().length;
  all.indeterminate = chosen > 0 && !all.checked;
}

if (form) {
  all.type = "checkbox";
  const head = form.querySelector("thead .pick");
  all.setAttribute("aria-label", head.textContent);
  head.replaceChildren(all);
  all.addEventListener("change", () => boxes().forEach((one) => (one.checked = all.checked)));
  form.addEventListener("change", count);
  document.addEventListener("kronik:refreshed", count);
  count();
}
