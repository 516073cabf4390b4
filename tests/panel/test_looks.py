"""Every page in every width, theme and language. `make screens` asks axe in each combination, this in three."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.panel.gallery import LANGUAGES, ROOMS, WIDTHS, Shown
from tests.panel.house import House
from tests.panel.looking import Visit, visit
from tests.panel.panel import Panel, Stage


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_every_page_can_be_read_by_everybody_on_every_screen(
    panel: Panel, stage: Stage, browser: Browser, emptied: House, signed_in: Any
) -> None:
    faults: list[str] = []
    for room in ROOMS:
        pages = await room(emptied, panel, stage)
        await emptied.caught_up(stage.log)
        looks = [_look_at_all(browser, panel.address, signed_in, language, pages) for language in LANGUAGES]
        for found in await asyncio.gather(*looks):
            faults += found
    assert not faults, "\n".join(dict.fromkeys(faults))


async def _look_at_all(browser: Browser, address: str, signed_in: Any, language: str, pages: list[Shown]) -> list[str]:
    async with visit(browser, address, signed_in, language) as reader:
        for shown in pages:
            await _look(reader, shown, language)
        return reader.faults


async def _look(reader: Visit, shown: Shown, language: str) -> None:
    """In Danish, which has no English in it, by all that axe knows; in English by what the width and theme change."""
    danish = language == "da-DK"
    await reader.open(shown, 390 if danish else 1440)
    await reader.page.emulate_media(color_scheme="light")
    if danish:
        await reader.ask_axe(language)
        await reader.find_english()
    await reader.page.emulate_media(color_scheme="dark")
    for width in WIDTHS:
        await reader.resize(width)
        if width == (1440 if danish else 768):
            await reader.ask_axe(f"{language} {width}", seen=True)
