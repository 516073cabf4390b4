"""What is out of reach is said; strangers' texts stay texts; what people do on the pages."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
from kronik import subjects
from kronik.events import Triggered
from playwright.async_api import Browser, expect

from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.log.provision import provision
from tests import servers
from tests.panel.conftest import each_test
from tests.panel.house import House, house
from tests.panel.panel import Panel, Stage, a_job, served


@each_test
async def apart(chromium: str, tmp_path: Path) -> AsyncIterator[tuple[House, servers.PostgresServer, EventLog]]:
    """A house of the test's own, to take away piece by piece."""
    with servers.nats() as nats, servers.postgres() as postgres:
        connection = await nats_connection.connect(nats.url, "test")
        await provision(connection, replicas=1)
        with house(nats, await asyncio.to_thread(postgres.create_database), tmp_path) as found:
            yield found, postgres, EventLog(connection, SystemClock(), "/kronik/test")
        await nats_connection.close(connection)


async def test_what_is_out_of_reach_is_said_within_five_seconds_and_taken_back(
    browser: Browser, apart: tuple[House, servers.PostgresServer, EventLog]
) -> None:
    place, postgres, event_log = apart
    context = await browser.new_context(base_url=place.address, locale="da-DK")
    page, stage = await context.new_page(), Stage(event_log)
    await Panel(page, place.address, place.database_url).sign_in("admin")
    await stage.define(a_job("CLEAN_UP"))
    await expect(page.locator("#job-CLEAN_UP")).to_be_visible(timeout=15_000)

    async def said(text: str) -> None:
        await expect(page).to_have_title(_begins(text), timeout=5_000)
        await expect(page.get_by_role("alert").filter(visible=True)).to_contain_text(text.split()[0])
        assert "grayscale" in await page.locator("main").evaluate("one => getComputedStyle(one).filter")

    async def well() -> None:
        await expect(page).to_have_title(_begins("System jobs"), timeout=30_000)
        assert await page.locator("main").evaluate("one => getComputedStyle(one).filter") == "none"

    async with served(stage) as serving:
        await well()
        place.nats.freeze()
        await said("NATS er væk")
        place.nats.start()
        await well()
        postgres.kill()
        await said("Postgres er væk")
        postgres.start()
        await well()
        await page.context.set_offline(True)
        await said("Ingen forbindelse")
        await page.context.set_offline(False)
        await well()
        place.api.freeze()
        await said("Ingen forbindelse")
        place.api.thaw()
        await well()
        projector = await asyncpg.connect(place.database_url)
        async with projector.transaction():
            await projector.execute("SELECT FROM history.checkpoint FOR UPDATE")
            await stage.ran("CLEAN_UP")
            await said("Historikken er bagud")
        await well()
        async with projector.transaction():  # a Postgres that takes every question and answers none
            await projector.execute("LOCK TABLE history.checkpoint, access.session IN ACCESS EXCLUSIVE MODE")
            await said("Postgres er væk")
            await expect(page).to_have_title("Postgres er væk · System jobs · Kronik")
        await projector.close()
        await well()
        serving.cancel()
        await expect(page).to_have_title(_begins("Ingen runner"), timeout=5_000)
        await expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("Oprydning")
        await event_log.connection.jetstream().delete_stream(subjects.STREAM)
        await provision(event_log.connection, replicas=1)
        await said("Historikken står stille")


def _begins(text: str) -> Any:
    return re.compile(f"^{re.escape(text)}")


async def test_behind_a_proxy_below_a_path_every_link_and_every_action_works(
    browser: Browser, stage: Stage, emptied: House, tmp_path: Path
) -> None:
    with house(emptied.nats, emptied.database_url, tmp_path, base_path="/kronik") as below:
        address = below.address
        async with await browser.new_context(locale="da-DK") as context:
            panel = Panel(await context.new_page(), address, emptied.database_url)
            await panel.sign_in("admin")
            await stage.define(a_job("CLEAN_UP"))
            await expect(panel.card("CLEAN_UP")).to_be_visible(timeout=15_000)
            await panel.card("CLEAN_UP").get_by_role("button", name="Kør nu").click()
            await expect(panel.page).to_have_url(f"{address}/admin/system#job-CLEAN_UP")
            await expect(panel.card("CLEAN_UP")).to_contain_text("I kø")
            hrefs = await panel.page.eval_on_selector_all("a[href], link[href], script[src]", _HREFS)
            assert [one for one in hrefs if not one.startswith(("/kronik/", "#"))] == []
            await panel.page.get_by_role("link", name="English").click()
            await expect(panel.page).to_have_url(f"{address}/admin/system")
            await expect(panel.page.locator("html")).to_have_attribute("lang", "en")
            assert panel.complaints == []


_HREFS = "all => all.map(one => one.getAttribute('href') ?? one.getAttribute('src'))"


async def test_a_link_that_names_a_language_does_not_choose_it_for_its_reader(panel: Panel) -> None:
    await panel.open("/admin/system?lang=en")
    await expect(panel.page).to_have_url(f"{panel.address}/admin/system")
    await expect(panel.page.locator("html")).to_have_attribute("lang", "da")


async def test_all_that_failed_is_run_again_with_two_clicks(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    failed = [await stage.failed("CLEAN_UP", f"no luck {number}") for number in range(3)]
    verdict = panel.page.locator("#verdict")
    await expect(verdict).to_contain_text("3 fejl i 1 job", timeout=15_000)
    await expect(panel.page).to_have_title("3 fejlet · Kronik")
    await expect(verdict).to_contain_text("3× Oprydning no luck")

    await verdict.get_by_role("link", name="Kør de 3 igen").click()
    await panel.page.get_by_role("button", name="Kør 3 igen").click()
    await expect(panel.page.locator("#state")).to_contain_text("færdig", timeout=15_000)
    made = panel.page.locator(f"#pair-{failed[0]} td").nth(1).get_by_role("link")
    await made.click()
    await expect(panel.page.get_by_role("main")).to_contain_text(f"Kørsel {failed[0]}")
    await panel.page.get_by_role("main").get_by_role("link", name=f"Kørsel {failed[0]}", exact=True).click()
    await expect(panel.page.get_by_role("main")).to_contain_text("Gentaget af")


async def test_a_schedule_is_seen_before_it_holds_and_a_pause_says_who_why_and_until_when(
    panel: Panel, stage: Stage
) -> None:
    await stage.define(a_job("CLEAN_UP"))
    await expect(panel.card("CLEAN_UP")).to_be_visible(timeout=15_000)
    await panel.open("/admin/system/job/CLEAN_UP/schedule")
    page = panel.page
    await page.get_by_label("Cron-udtryk").fill("30 2 * * *")
    await expect(page.locator("#slots")).to_contain_text("Kl. 02:30")
    await page.get_by_role("button", name="Ret tidsplanen").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Oprydning")
    await expect(page.get_by_role("main")).to_contain_text("Kl. 02:30")

    await panel.open("/admin/system/job/CLEAN_UP/schedule")
    await page.get_by_label("Hvorfor").fill("flytning")
    await page.get_by_label("Indtil").fill("2099-01-01T06:00")
    await page.get_by_role("button", name="Sæt på pause").click()
    await expect(page.get_by_role("main")).to_contain_text("sat på pause af admin indtil 1. jan 2099 06:00: flytning")

    await panel.open("/admin/system/job/CLEAN_UP/schedule")
    await page.get_by_label("Cron-udtryk").fill("99 2 * * *")
    await page.get_by_role("button", name="Ret tidsplanen").click()
    await expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("Det kan ikke være en tidsplan")
    await expect(page.get_by_label("Cron-udtryk")).to_have_value("99 2 * * *")
    panel.complaints.clear()  # the console names the page with status 400


async def test_the_page_is_fetched_once_and_nothing_from_elsewhere(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    ended = await stage.ran("CLEAN_UP") + 2
    await expect(panel.page.locator("#position")).to_contain_text(f"hændelse {ended} ", timeout=15_000)
    asked: list[str] = []
    panel.page.on("request", lambda request: asked.append(request.url.removeprefix(panel.address)))
    answer = await panel.page.goto("/admin/system/history")
    assert answer is not None
    assert await answer.header_value("content-encoding") == "gzip"
    await panel.page.wait_for_timeout(1_500)
    assert asked.count("/admin/system/history") == 1
    assert [url for url in asked if not url.startswith("/")] == []


async def test_a_run_asked_for_while_another_is_open_hides_neither(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    first = await stage.trigger("CLEAN_UP")
    await stage.start(first)
    await expect(panel.card("CLEAN_UP")).to_contain_text("Kører", timeout=15_000)
    await panel.card("CLEAN_UP").get_by_role("button", name="Kør nu").click()
    await expect(panel.card("CLEAN_UP")).to_contain_text("I kø")
    await expect(panel.card("CLEAN_UP")).to_contain_text(f"Kørsel {first} Kører")
    last = await stage.log.last("jobs.trigger.CLEAN_UP.admin")
    assert last is not None
    assert isinstance(last.data, Triggered)
    await panel.open(f"/admin/system/run/{last.sequence}")
    await expect(panel.page.get_by_role("main")).to_contain_text(f"1 af 1 kører: kørsel {first}")


async def test_a_log_opens_at_its_newest_line_and_follows_until_its_reader_scrolls_up(
    panel: Panel, stage: Stage
) -> None:
    await stage.define(a_job("CLEAN_UP"))
    run_id = await stage.trigger("CLEAN_UP")
    await stage.start(run_id)
    for number in range(120):
        await stage.say(run_id, "CLEAN_UP", level="info", event=f"line {number}")
    await panel.open(f"/admin/system/run/{run_id}")
    lines = panel.page.locator("#lines")
    await expect(lines.get_by_text("line 119", exact=True)).to_be_attached()
    at_end = "one => one.scrollHeight - one.scrollTop - one.clientHeight < 24"
    assert await lines.evaluate(at_end)
    await stage.say(run_id, "CLEAN_UP", level="info", event="line 120")
    await expect(lines.get_by_text("line 120", exact=True)).to_be_attached(timeout=10_000)
    assert await lines.evaluate(at_end)
    await lines.evaluate("one => one.scrollTop = 0")
    await stage.say(run_id, "CLEAN_UP", level="info", event="line 121")
    await expect(lines.get_by_text("line 121", exact=True)).to_be_attached(timeout=10_000)
    assert await lines.evaluate("one => one.scrollTop") == 0
    await panel.page.get_by_role("link", name="Søg i den").click()
    await panel.page.get_by_label("Linjer med").fill("LINE 11")
    await panel.page.get_by_role("button", name="Søg").click()
    await expect(panel.page.locator(".lines li")).to_have_count(11)


TABS = 8
"""More than a browser has connections for."""


async def test_more_tabs_than_connections_share_one_stream(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    await expect(panel.card("CLEAN_UP")).to_be_visible(timeout=15_000)
    pages = [panel.page, *[await panel.page.context.new_page() for _ in range(TABS - 1)]]
    for page in pages[1:]:
        await page.goto("/admin/system", timeout=10_000)
    await stage.ran("CLEAN_UP")
    for page in pages:
        await expect(page.locator("#job-CLEAN_UP")).to_contain_text("✅", timeout=10_000)


async def test_the_keyboard_goes_anywhere_and_single_keys_can_be_turned_off(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    run_id = await stage.ran("CLEAN_UP")
    page = panel.page
    await expect(panel.card("CLEAN_UP")).to_contain_text("✅", timeout=15_000)
    await page.keyboard.press("Control+k")
    await page.keyboard.type("opryd")
    await expect(page.get_by_role("dialog").get_by_role("link")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{panel.address}/admin/system/job/CLEAN_UP")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{panel.address}/admin/system/run/{run_id}")
    await panel.open("/admin/system/history")
    await page.keyboard.press("/")
    await expect(page.get_by_label("Tekst i fejlen")).to_be_focused()
    await page.keyboard.press("Control+k")
    await page.get_by_label("Ingen enkelte taster").check()
    await page.keyboard.press("Escape")
    await page.locator("h1").click()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_have_count(0)
