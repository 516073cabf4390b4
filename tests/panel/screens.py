"""`make screens`: every page in every width, theme and language, in one contact sheet: build/screens/sheet.html.

It fails where axe finds something in one of them, or something stands beyond an edge. With names of pages, those
alone: `make screens ARGS="system run-failed"`.

With `--readme` the three pictures of the README instead, docs/panel-*.png.
"""

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import asyncpg
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
from tests.panel.gallery import LANGUAGES, ROOMS, WIDTHS, Shown
from tests.panel.house import House, house
from tests.panel.looking import Visit, visit
from tests.panel.panel import Panel, Stage, a_job, served

ROOT = Path(__file__).parent.parent.parent
SHEET = ROOT / "build" / "screens"
Work = Callable[[House, Panel, Stage, Browser], Awaitable[None]]
THEMES: Final = ("light", "dark")
_HEAD: Final = (
    "<!doctype html><meta charset=utf-8><title>Kronik</title>"
    "<style>body{font:14px sans-serif}img{width:240px;max-height:600px;object-fit:cover;object-position:top;"
    "border:1px solid}</style>"
)


async def sheet(place: House, panel: Panel, stage: Stage, browser: Browser) -> None:
    """Also says what axe finds in each, and what stands beyond an edge; whoever has something to say of it fails."""
    shutil.rmtree(SHEET, ignore_errors=True)
    SHEET.mkdir(parents=True)
    state: Any = await panel.page.context.storage_state()
    figures: list[str] = []
    faults: list[str] = []
    for room in ROOMS:
        pages = [one for one in await room(place, panel, stage) if one.name in sys.argv or not sys.argv[1:]]
        await place.caught_up(stage.log)
        looks = [_look(browser, panel.address, state, language, pages) for language in LANGUAGES]
        for found, wrong in await asyncio.gather(*looks):
            figures += found
            faults += wrong
    (SHEET / "sheet.html").write_text("\n".join([_HEAD, *figures]))
    pictures = len(list(SHEET.glob("*.jpg")))
    sys.stdout.write("\n".join([*faults, f"{SHEET / 'sheet.html'}: {pictures} pictures, {len(faults)} faults\n"]))
    if faults:
        sys.exit(1)


async def _look(
    browser: Browser, address: str, state: Any, language: str, pages: list[Shown]
) -> tuple[list[str], list[str]]:
    """The figures of the sheet, and the faults. A page is loaded once: width and theme are the style sheet's."""
    figures: list[str] = []
    async with visit(browser, address, state, language) as reader:
        for shown in pages:
            await reader.open(shown, WIDTHS[-1])
            await reader.ask_axe(language)
            figures.append(f"<h2>{shown.name} <small>{language} {escape(shown.path)}</small></h2>")
            figures += [line for theme in THEMES for line in await _pictures(reader, language, theme)]
        return figures, reader.faults


async def _pictures(reader: Visit, language: str, theme: Any) -> list[str]:
    await reader.page.emulate_media(color_scheme=theme)
    figures = []
    for width in WIDTHS:
        await reader.resize(width)
        await reader.ask_axe(f"{language} {theme} {width}", seen=True)
        name = f"{reader.shown.name}-{language[:2]}-{theme}-{width}.jpg"
        await reader.page.screenshot(path=SHEET / name, full_page=True, type="jpeg", quality=70)
        figures.append(f"<a href={name}><img loading=lazy src={name} alt='{theme}, {width} px'></a>")
    return figures


async def readme(place: House, panel: Panel, stage: Stage, browser: Browser) -> None:
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
    await _over_the_night(place, stage)
    await _picture(panel, browser, "system", "/admin/system", width=1100, height=900)

    titles = {"EXPORT": "Månedsrapport", "FEED": "Flaky feed", "CLEAN": "Natlig oprydning", "SYNC": "Finansbilag"}
    for job_type, title in titles.items():
        await stage.define(a_job(job_type, title={"da": title}))
    for number in range(9):
        for job_type in titles:
            if job_type in ("FEED", "SYNC") and number in (4, 8):
                await stage.failed(job_type, "ConnectionError: feed.example.org: connection reset by peer")
            else:
                await stage.ran(job_type, {"rows": 12 * number})
        await stage.ran(daily, {**done, "close": {"closed": 40 + number}})
    failed = await stage.failed(daily, 'PermanentError: duplicate key value violates "invoice_household_period_key"')
    await place.caught_up(stage.log)
    await _picture(panel, browser, "run", f"/admin/system/run/{failed}", width=390, height=844)
    await stage.skipped(imports, stage.log.clock.now() - timedelta(hours=5), "paused", "The schedule was paused.")
    await _over_the_night(place, stage)
    await _picture(panel, browser, "many", "/admin/system", width=1100, height=900, theme="dark")


_SPREAD: Final = """
    WITH placed AS (
        SELECT id, now() - row_number() OVER (ORDER BY id DESC) * interval '16 hours' / count(*) OVER () AS at,
            make_interval(secs => 40 + length(job_type) * 9 + id * 7919 % 60) AS took
        FROM history.run
    )
    UPDATE history.run SET triggered_at = at, started_at = at + interval '20 ms', attempt_at = at + interval '20 ms',
        completed_at = at + took, duration_ms = 1000 * extract(epoch FROM took)
    FROM placed WHERE placed.id = run.id
"""


async def _over_the_night(place: House, stage: Stage) -> None:
    """As if the runs had not all been of this second: the stream's own times can't be chosen."""
    await place.caught_up(stage.log)
    connection = await asyncpg.connect(place.database_url)
    await connection.execute(_SPREAD)
    await connection.close()


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
                await work(place, panel, stage, browser)
            await browser.close()
    await nats_connection.close(connection)


def main() -> None:
    with servers.nats() as nats, servers.postgres() as postgres:
        work = readme if "--readme" in sys.argv else sheet
        asyncio.run(_with_everything(work, nats, postgres.create_database()))


if __name__ == "__main__":
    main()
