// Makes a part of the page like a fresh one with as few changes as possible, so that focus, selection,
// what was typed and what is open stay.

export function morph(old, fresh) {
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
  if (old.dataset?.still && isHeld(old)) morphHeld(old, fresh);
  else morphChildren(old, fresh);
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

/** Rows don't move under their reader: who points at them, has the focus in them, or has scrolled into them. */
function isHeld(list) {
  return (
    list.dataset.still === "always" ||
    list.matches(":hover") ||
    list.contains(document.activeElement) ||
    list.querySelector("input:checked") !== null ||
    list.getBoundingClientRect().top < 0
  );
}

/** Rows that are there are renewed where they stand; new ones are counted, and come when they are asked for. */
function morphHeld(old, fresh) {
  const rows = "tr[id], li[id]";
  let news = 0;
  for (const wanted of fresh.querySelectorAll(rows)) {
    const known = old.querySelector(`#${CSS.escape(wanted.id)}`);
    if (known) morph(known, wanted);
    else news += 1;
  }
  old.dispatchEvent(new CustomEvent("kronik:news", { bubbles: true, detail: news }));
}
