"""What people ask the panel, and with how many clicks it answers: the table of who looks."""

import re
from datetime import UTC, datetime
from typing import Any

from kronik.events import Failed, Pause, Schedule, ScheduleChanged
from playwright.async_api import Locator, Page, expect

from services.api.panel.rendering import ZONE
from tests.panel.panel import Panel, Stage, a_job

NIGHTLY = Schedule(expression="0 2 * * *", tz="Europe/Copenhagen")


class Reader:
    """Looks at the panel, and counts the clicks that it takes."""

    def __init__(self, page: Page) -> None:
        self.page, self.clicks = page, 0

    async def click(self, what: Locator) -> None:
        self.clicks += 1
        await what.click()

    async def reads(self, text: str | re.Pattern[str], where: str = "main") -> None:
        await expect(self.page.locator(where)).to_contain_text(text, timeout=10_000)


async def a_bad_night(stage: Stage) -> list[int]:
    """Two jobs failed, one of them three times for the same reason; what failed first was made good later."""
    await stage.define(a_job("CLEAN_UP", schedule=NIGHTLY))
    await stage.define(a_job("BILLING", title={"da": "Fakturering"}))
    await stage.failed("BILLING", "no connection to the bank")
    await stage.ran("BILLING")
    failed = []
    for number in range(3):
        run_id = await stage.trigger("CLEAN_UP", params={"part": number})
        await stage.start(run_id)
        error = f"disk {number} is full"
        await stage.happens(run_id, Failed(attempt=1, error=error, error_type="OSError", traceback="in sweep()"))
        failed.append(run_id)
    return failed


async def test_did_the_night_go_well_0_clicks(panel: Panel, stage: Stage) -> None:
    await a_bad_night(stage)
    reader = Reader(panel.page)
    await expect(panel.page).to_have_title("3 fejlet · Kronik", timeout=10_000)
    await reader.reads(re.compile("3 fejl i 1 job, 1 fuldført"), "#verdict h2")
    await reader.reads("1 fejl er rettet op af en senere kørsel", "#verdict")
    top = await panel.page.locator("#verdict").evaluate("one => one.getBoundingClientRect().top")
    assert top < 100, "the first line says so"
    assert reader.clicks == 0


async def test_a_night_in_which_all_went_well_is_one_quiet_line(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    await stage.ran("CLEAN_UP")
    await Reader(panel.page).reads("Alt er vel: 1 kørsel fuldført", "#verdict")
    await expect(panel.page).to_have_title("System jobs · Kronik")


async def test_what_failed_and_why_1_click(panel: Panel, stage: Stage) -> None:
    failed = await a_bad_night(stage)
    reader = Reader(panel.page)
    group = panel.page.locator("#verdict .groups li")
    await expect(group).to_have_count(1, timeout=10_000)
    await expect(group).to_contain_text("3× Oprydning disk 2 is full")
    await expect(panel.page.locator(f"#run-{failed[0]}")).to_contain_text("disk 0 is full")
    await reader.click(group.get_by_role("link", name="se"))
    await reader.reads("disk 2 is full")
    await reader.reads("in sweep()")
    assert reader.clicks == 1


async def test_run_those_again_2_clicks(panel: Panel, stage: Stage) -> None:
    await a_bad_night(stage)
    reader = Reader(panel.page)
    await reader.click(panel.page.locator("#verdict").get_by_role("link", name="Kør de 3 igen"))
    await reader.reads("Kør 3 kørsler igen?")
    await reader.click(panel.page.get_by_role("button", name="Kør 3 igen"))
    await reader.reads("3 / 3")
    assert reader.clicks == 2


async def test_run_those_of_one_cause_again_2_clicks(panel: Panel, stage: Stage) -> None:
    await a_bad_night(stage)
    await stage.failed("BILLING", "another reason")
    reader = Reader(panel.page)
    await reader.click(panel.page.locator("#verdict").get_by_role("link", name="kør disse igen"))
    await reader.click(panel.page.get_by_role("button", name="Kør 3 igen"))
    await reader.reads("3 / 3")
    assert reader.clicks == 2


async def test_why_did_it_not_run_at_two_0_clicks_on_the_lane_and_1_in_the_calendar(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP", schedule=NIGHTLY))
    here = stage.log.clock.now().astimezone(ZONE)
    at = here.replace(hour=max(0, here.hour - 2), minute=0, second=0, microsecond=0)  # today, also soon after midnight
    reason = "The schedule was paused by ADMIN:1 (flytning) when this slot came due."
    await stage.skipped("CLEAN_UP", at, "paused", reason)
    reader = Reader(panel.page)
    lane = panel.page.locator("#lane-CLEAN_UP svg[role=img]")
    await expect(lane).to_have_attribute("aria-label", re.compile("1 tidspunkt sprunget over: .*af admin.*flytning"))
    await expect(lane.locator("circle.k-skipped title")).to_contain_text("flytning")
    await reader.reads("af admin (flytning)")
    assert reader.clicks == 0
    await reader.click(panel.page.get_by_role("link", name="Kalender"))
    day = panel.page.locator("tr[aria-current=date]")
    await expect(day.locator(".skipped")).to_contain_text("1")
    await expect(day.locator(".skipped")).to_have_attribute("title", re.compile("flytning"))
    assert reader.clicks == 1
    await reader.click(day.locator("summary"))
    await expect(day.locator(".pop")).to_contain_text("flytning")


async def test_why_is_it_still_queued_is_said_on_the_run(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    await stage.ran("CLEAN_UP")
    first = await stage.trigger("CLEAN_UP")
    await stage.start(first)
    second = await stage.trigger("CLEAN_UP")
    reader = Reader(panel.page)
    await reader.click(panel.page.locator(f"#run-{second} .date a"))
    await reader.reads(f"1 af 1 kører: kørsel {first}")
    assert reader.clicks == 1


async def test_is_it_getting_slower_and_what_did_it_log_1_click_each(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    for _ in range(3):
        await stage.ran("CLEAN_UP")
    run_id = await stage.trigger("CLEAN_UP")
    await stage.start(run_id)
    await stage.say(run_id, "CLEAN_UP", level="info", event="swept the cellar", fields={})
    reader = Reader(panel.page)
    await expect(panel.card("CLEAN_UP").get_by_role("img", name="4 kørsler")).to_be_visible(timeout=10_000)
    await reader.click(panel.card("CLEAN_UP").get_by_role("heading").get_by_role("link"))
    await reader.reads(re.compile(r"plejer .* de sidste \d kørsler"))
    assert reader.clicks == 1
    await panel.open()
    await reader.click(panel.card("CLEAN_UP").get_by_role("link", name="I dag"))
    await reader.reads("swept the cellar", "#lines")
    assert reader.clicks == 2
    async with panel.page.expect_download() as downloading:
        await reader.click(panel.page.get_by_role("link", name="Hent den"))
    path: Any = await (await downloading.value).path()
    assert "swept the cellar" in path.read_text()


async def test_who_paused_it_is_said_where_the_job_is(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP", schedule=NIGHTLY))
    until = datetime(2099, 1, 1, 5, tzinfo=UTC)
    pause = Pause(by="ADMIN:1", reason="flytning", until=until)
    await stage.change("CLEAN_UP", ScheduleChanged(by="ADMIN:1", pause=pause))
    card = panel.card("CLEAN_UP")
    await expect(card).to_contain_text("sat på pause af admin indtil 1. jan 2099 06:00: flytning", timeout=10_000)
