"""`make screens`: every page in every width, theme and language, in one contact sheet: build/screens/sheet.html.

With `--readme` the three pictures of the README instead, docs/panel-*.png.
"""

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kronik.events import Warning
from playwright.async_api import Browser, async_playwright

from services.infra.clock import SystemClock
from services.infra.settings import DEFAULT_JOBS
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.log.provision import provision
from services.runner import registry
from tests import servers
from tests.panel.conftest import FLAGS, found_chromium
from tests.panel.gallery import WIDTHS, hang
from tests.panel.house import house
from tests.panel.panel import Panel, Stage, a_job, served

ROOT = Path(__file__).parent.parent.parent
SHEET = ROOT / "build" / "screens"
Work = Callable[[Panel, Stage, Browser], Awaitable[None]]


async def sheet(panel: Panel, stage: Stage, browser: Browser) -> None:
    paths = await hang(stage)
    await _caught_up(panel, "6 ")
    shutil.rmtree(SHEET, ignore_errors=True)
    SHEET.mkdir(parents=True)
    state: Any = await panel.page.context.storage_state()
    parts = ["<!doctype html><meta charset=utf-8><title>Kronik</title><style>img{width:240px;border:1px solid}</style>"]
    for language in ("da-DK", "en-GB"):
        for theme in ("light", "dark"):
            kept: dict[str, Any] = {"storage_state": state, "locale": language, "color_scheme": theme}
            async with await browser.new_context(base_url=panel.address, **kept) as context:
                page = await context.new_page()
                for number, path in enumerate(paths):
                    await page.goto(path)
                    parts.append(f"<h2>{language} {theme} {path}</h2>")
                    for width in WIDTHS:
                        await page.set_viewport_size({"width": width, "height": 900})
                        name = f"{number:02}-{language[:2]}-{theme}-{width}.jpg"
                        await page.screenshot(path=SHEET / name, full_page=True, type="jpeg", quality=60)
                        parts.append(f"<a href={name}><img src={name} alt='{width} px'></a>")
    (SHEET / "sheet.html").write_text("\n".join(parts))
    sys.stdout.write(f"{SHEET / 'sheet.html'}\n")


async def readme(panel: Panel, stage: Stage, browser: Browser) -> None:
    """The drawn page; the page of many jobs on a bad morning, in the dark; a run on a phone."""
    daily, billing, imports = "DAILY_MAINTENANCE", "MONTHLY_BILLING", "HEYNABO_IMPORT"
    for job in registry.load(DEFAULT_JOBS).values():
        await stage.define(registry.definition(job))
    done = {"consume": {"consumed": 2}, "close": {"closed": 45}, "transact": {"created": 45}, "scaffold": None}
    for number in range(12):
        await stage.ran(daily, {**done, "close": {"closed": 40 + number}})
        await stage.ran(imports, {"householdsCreated": number % 3, "inhabitantsCreated": 5, "usersCreated": 3})
    await stage.ran(billing, {"invoicesGenerated": 35, "totalAmount": 4_750_000})
    warning = Warning("1 household kunne ikke opdateres")
    await stage.ran(imports, {"householdsCreated": 2, "inhabitantsCreated": 5, "usersCreated": 3}, warning)
    await _caught_up(panel, "Alt er vel")
    await _picture(panel, browser, "system", "/admin/system", width=1100, height=900)

    titles = {"EXPORT": "Månedsrapport", "FEED": "Flaky feed", "CLEAN": "Natlig oprydning", "SYNC": "Finansbilag"}
    for job_type, title in titles.items():
        await stage.define(a_job(job_type, title={"da": title}))
        for number in range(9):
            if job_type in ("FEED", "SYNC") and number in (4, 8):
                await stage.failed(job_type, "ConnectionError: feed.example.org: connection reset by peer")
            else:
                await stage.ran(job_type, {"rows": 12 * number})
    failed = await stage.failed(daily, 'PermanentError: duplicate key value violates "invoice_household_period_key"')
    await _caught_up(panel, "3 fejl")
    await _picture(panel, browser, "many", "/admin/system", width=1100, height=900, theme="dark")
    await _picture(panel, browser, "run", f"/admin/system/run/{failed}", width=390, height=844)


async def _caught_up(panel: Panel, text: str) -> None:
    await panel.page.locator("#verdict").filter(has_text=text).wait_for(timeout=30_000)


async def _picture(
    panel: Panel, browser: Browser, name: str, path: str, *, width: int, height: int, theme: Any = "light"
) -> None:
    state: Any = await panel.page.context.storage_state()
    size: Any = {"width": width, "height": height}
    kept: dict[str, Any] = {"storage_state": state, "locale": "da-DK", "color_scheme": theme, "viewport": size}
    async with await browser.new_context(base_url=panel.address, **kept) as context:
        page = await context.new_page()
        await page.goto(path)
        await page.wait_for_timeout(500)
        await page.screenshot(path=ROOT / "docs" / f"panel-{name}.png")


async def _with_everything(work: Work, nats: servers.NatsServer, database_url: str) -> None:
    connection = await nats_connection.connect(nats.url, "screens")
    await provision(connection, replicas=1)
    stage = Stage(EventLog(connection, SystemClock(), "/kronik/screens"))
    with TemporaryDirectory() as directory, house(nats, database_url, Path(directory)) as place:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=found_chromium(), args=FLAGS)
            context = await browser.new_context(base_url=place.address, locale="da-DK")
            panel = Panel(await context.new_page(), place.address, database_url)
            await panel.sign_in("admin")
            async with served(stage):
                await work(panel, stage, browser)
            await browser.close()
    await nats_connection.close(connection)


def main() -> None:
    with servers.nats() as nats, servers.postgres() as postgres:
        work = readme if "--readme" in sys.argv else sheet
        asyncio.run(_with_everything(work, nats, postgres.create_database()))


if __name__ == "__main__":
    main()
