// A log stands at its newest line and follows it, until its reader scrolls up.

const following = new WeakMap();

function atEnd(lines) {
  return lines.scrollHeight - lines.scrollTop - lines.clientHeight < 24;
}

function follow() {
  for (const lines of document.querySelectorAll("[data-follow]")) {
    if (!following.has(lines)) {
      following.set(lines, true);
      lines.addEventListener("scroll", () => following.set(lines, atEnd(lines)), { passive: true });
    }
    if (following.get(lines)) lines.scrollTop = lines.scrollHeight;
  }
}

follow();
addEventListener("resize", follow);
document.addEventListener("kronik:refreshed", follow);
