// What has been opened over the page closes with Escape, with a click beside it, and when another opens.

const OPEN = "details.exact[open], details.menu[open]";

function close(except) {
  for (const one of document.querySelectorAll(OPEN)) if (one !== except) one.open = false;
}

document.addEventListener("click", (event) => close(event.target.closest?.("details.exact, details.menu")));
document.addEventListener("keydown", (event) => {
  const open = event.key === "Escape" && document.querySelector(OPEN);
  if (open) {
    close(null);
    open.querySelector("summary").focus();
  }
});
