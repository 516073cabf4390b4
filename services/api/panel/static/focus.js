// A form that came back with errors begins at their summary.

document.querySelector("[data-focus]")?.focus();
