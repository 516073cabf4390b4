"""What is wrong with how a page looks, as far as a program can see it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, Page

from tests.panel.gallery import STRANGE, Shown, as_it_is

_AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
_SHIFTS = """() => new Promise(done => {
    const found = [];
    const add = list => found.push(...list.getEntries().filter(one => !one.hadRecentInput));
    const seen = new PerformanceObserver(add);
    seen.observe({ type: 'layout-shift', buffered: true });
    const rest = { getEntries: () => seen.takeRecords() };
    setTimeout(() => {
        add(rest);
        const at = ({ x, y, width }) => [x, y, width].map(Math.round).join(' ');
        const said = one => `${one.node?.outerHTML?.slice(0, 80)} ${at(one.previousRect)} -> ${at(one.currentRect)}`;
        const moved = found.flatMap(one => one.sources).map(said);
        done([found.reduce((sum, one) => sum + one.value, 0), moved.join(' ')]);
    }, 50);
})"""
_WIDEST = """() => {
    const right = one => one.getBoundingClientRect().right;
    const wide = [...document.querySelectorAll('body *')].filter(one => right(one) > innerWidth);
    return wide.slice(-2).map(one => one.outerHTML.slice(0, 120)).join(' ');
}"""


_WORDS: Final = """() => {
    const strange = 'script, style, code, .lines, pre:not(.quiet, .edge-error), [lang]:not(html)';
    const found = [document.title];
    const walk = one => {
        if (one.nodeType === Node.TEXT_NODE) return found.push(one.data);
        if (one.nodeType !== Node.ELEMENT_NODE || one.matches(strange)) return;
        for (const name of ['title', 'aria-label', 'placeholder', 'data-announce', 'data-news', 'data-title'])
            if (one.hasAttribute(name)) found.push(one.getAttribute(name));
        one.childNodes.forEach(walk);
    };
    walk(document.body);
    return found.join('\\n');
}"""
_ENGLISH: Final = re.compile(
    r"(?<![\w./=])(about|after|again|and|any|are|as|be|been|before|can|cancelled|completed|did|does|every|failed|from|has"
    r"|have|is|it|its|last|latest|more|never|no|not|nothing|of|or|other|runs?|seen|since|skipped|than|that|the|their|there"
    r"|these|they|this|until|was|were|what|when|which|who|why|will|with|you|your)(?!\w|[./=]\w)",
)
"""Words that no Danish sentence has."""

_SEEN: Final = ("color-contrast", "target-size", "scrollable-region-focusable", "link-in-text-block")
"""Rules about what is seen: of all of axe's, these depend on the width and the theme."""


class Visit:
    """Somebody who looks at pages in one language. faults: what is wrong with them, in words."""

    def __init__(self, page: Page, stranger: Page) -> None:
        self._pages = {True: page, False: stranger}
        self.page, self.shown = page, Shown("", "")
        self.faults: list[str] = []
        for one in (page, stranger):
            one.on("pageerror", lambda error: self._fault(f"script: {error}"))

    async def open(self, shown: Shown, width: int) -> None:
        """As its reader does, who then does something on it. Nothing may move while it is loaded."""
        self.page, self.shown = self._pages[shown.signed_in], shown
        await self.page.set_viewport_size({"width": width, "height": 844})
        response = await self.page.goto(shown.path)
        if response is None or response.status != shown.status:
            self._fault(f"answered with {response and response.status}")
        shift, moved = await self.page.evaluate(_SHIFTS)
        if shift >= 0.001:
            self._fault(f"moves by {shift:.3f} at {width}: {moved}")
        await shown.act(self.page)

    async def resize(self, width: int) -> None:
        """Nothing may stand beyond the right edge."""
        await self.page.set_viewport_size({"width": width, "height": 844})
        wide = await self.page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            self._fault(f"{wide} px at {width}: {await self.page.evaluate(_WIDEST)}")

    async def ask_axe(self, about: str, *, seen: bool = False) -> None:
        """Its violations, each with the first element that it is about. seen: only of what is seen."""
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(_AXE)
        rules = [
            one for one in _SEEN if one != "target-size" or self.shown.act is as_it_is
        ]  # what lies open covers some
        options = {"resultTypes": ["violations"], **({"runOnly": rules} if seen else {})}
        for one in await self.page.evaluate("async all => (await axe.run(all)).violations", options):
            node = one["nodes"][0]
            self._fault(f"{about}: {one['id']}: {node['html'][:200]} {node['failureSummary'][:300]}")

    async def find_english(self) -> None:
        """Words of English on a Danish page, but for what strangers have written."""
        text = await self.page.evaluate(_WORDS)
        for said in STRANGE:
            text = text.replace(said, "")
        for line in text.splitlines():
            if found := _ENGLISH.search(line):
                self._fault(f"English: {found[0]!r} in {line.strip()[:200]!r}")

    def _fault(self, what: str) -> None:
        self.faults.append(f"{self.shown.name}: {what}")


@asynccontextmanager
async def visit(browser: Browser, address: str, state: Any, language: str) -> AsyncIterator[Visit]:
    """state: of a browser that is signed in."""
    kept: Any = {"base_url": address, "locale": language, "bypass_csp": True}
    async with (
        await browser.new_context(storage_state=state, **kept) as signed_in,
        await browser.new_context(**kept) as stranger,
    ):
        yield Visit(await signed_in.new_page(), await stranger.new_page())
