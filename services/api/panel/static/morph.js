// Makes a part of the page like a fresh one with as few changes as possible, so that focus, selection,
// what was typed and what is open stay.

export function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || idOf(old) !== idOf(fresh)) {
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

/** The attribute: the property of a form is whatever field of it is called "id". */
function idOf(node) {
  return node?.getAttribute?.("id") ?? null;
}

/** Behind what a script has added to the page, which stays where it is. */
function past(node) {
  while (node?.matches?.("[data-added]")) node = node.nextSibling;
  return node;
}

/** Children with an id are matched by it wherever they stand (rows move down), the others by their place. */
function morphChildren(old, fresh) {
  const named = new Map([...old.children].filter(idOf).map((child) => [idOf(child), child]));
  let place = past(old.firstChild);
  for (const wanted of [...fresh.childNodes]) {
    const known = idOf(wanted) ? named.get(idOf(wanted)) : idOf(place) ? null : place;
    if (!known) {
      old.insertBefore(wanted, place);
      continue;
    }
    if (known === place) place = past(place.nextSibling);
    else old.insertBefore(known, place);
    morph(known, wanted);
  }
  while (place) {
    const next = past(place.nextSibling);
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

/** Rows that are there are renewed where they stand, but those that were chosen; new ones are counted, and come when
 * they are asked for. */
function morphHeld(old, fresh) {
  const rows = "tr[id], li[id]";
  let news = 0;
  for (const wanted of fresh.querySelectorAll(rows)) {
    const known = old.querySelector(`#${CSS.escape(wanted.id)}`);
    if (!known) news += 1;
    else if (!known.querySelector("input:checked")) morph(known, wanted);
  }
  old.dispatchEvent(new CustomEvent("kronik:news", { bubbles: true, detail: news }));
}
