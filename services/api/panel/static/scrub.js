// The event that the scrubber stands at, as it is moved.

const [range, said] = ["as-of-event", "as-of-said"].map((id) => document.getElementById(id));
range?.addEventListener("input", () => (said.value = range.value));
