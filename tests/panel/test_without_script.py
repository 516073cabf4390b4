"""Every action of an admin, with JavaScript off."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
from kronik.events import JobDefined, Schedule, Triggered
from playwright.async_api import Browser, Page, expect

from services.api.access import store
from tests.panel.conftest import each_test
from tests.panel.house import House
from tests.panel.panel import Panel, Stage, a_job

HOME = "/admin/system"
ASKS: dict[str, Any] = {
    "type": "object",
    "properties": {"month": {"type": "string", "title": "Month"}, "mode": {"enum": ["dry", "real"]}},
    "required": ["month"],
}


@each_test
async def plain(browser: Browser, emptied: House) -> AsyncIterator[Page]:
    """A page of a browser that runs no scripts, signed in by the button behind a link."""
    kept: Any = {"base_url": emptied.address, "locale": "da-DK", "viewport": {"width": 1100, "height": 800}}
    async with await browser.new_context(java_script_enabled=False, **kept) as context:
        page = await context.new_page()
        await page.goto(await Panel(page, emptied.address, emptied.database_url).sign_in_link("admin"))
        await page.get_by_role("button", name="Log ind").click()
        await expect(page).to_have_url(f"{emptied.address}{HOME}")
        yield page


async def seen(page: Page, text: str) -> None:
    """The page says it, now or when it is loaded again: it does not follow by itself."""
    for _ in range(40):
        if text in await page.locator("main").inner_text():
            return
        await page.wait_for_timeout(100)
        await page.reload()
    raise AssertionError(f"no {text!r} on {page.url}:\n{await page.locator('main').inner_text()}")


def job(**fields: Any) -> JobDefined:
    return a_job("CLEAN_UP", schedule=Schedule(expression="0 2 * * *", tz="Europe/Copenhagen"), **fields)


async def test_runs_are_asked_for_repeated_and_cancelled(plain: Page, stage: Stage, emptied: House) -> None:
    await stage.define(job(params_schema=ASKS))
    await emptied.caught_up(stage.log)
    await plain.goto(HOME)
    await plain.get_by_role("link", name="Kør nu").click()
    await plain.get_by_role("button", name="Kør nu").click()
    await expect(plain.get_by_role("alert").filter(visible=True)).to_contain_text("Det skal udfyldes")
    await plain.get_by_label("Month").fill("2026-10")
    await plain.get_by_label("dry").check()
    await plain.get_by_role("button", name="Kør nu").click()
    first = int(plain.url.rpartition("/")[2])
    await plain.get_by_role("button", name="Annullér").click()
    await seen(plain, "Bliver annulleret")

    await stage.start(first)
    await stage.fail(first, "no luck")
    await emptied.caught_up(stage.log)
    await plain.goto(f"{HOME}/run/{first}")
    await plain.get_by_role("button", name="Kør igen").click()
    await expect(plain).not_to_have_url(f"{emptied.address}{HOME}/run/{first}")
    await plain.goto(f"{HOME}/run/{first}")
    await plain.get_by_role("link", name="Med andre parametre").click()
    await expect(plain.get_by_label("Month")).to_have_value("2026-10")
    await plain.get_by_label("Month").fill("2026-11")
    await plain.get_by_role("button", name="Kør nu").click()
    last = await stage.log.last("jobs.trigger.CLEAN_UP.admin")
    assert last is not None
    assert isinstance(last.data, Triggered)
    assert last.data.params == {"month": "2026-11", "mode": "dry"}


async def test_a_schedule_is_changed_paused_resumed_and_retired(plain: Page, stage: Stage, emptied: House) -> None:
    await stage.define(job())
    await emptied.caught_up(stage.log)
    form, main = f"{HOME}/job/CLEAN_UP/schedule", plain.get_by_role("main")
    await plain.goto(f"{HOME}/job/CLEAN_UP")
    await plain.get_by_role("link", name="Tidsplan og pause").click()
    await plain.get_by_label("Cron-udtryk").fill("30 3 * * *")
    await plain.get_by_role("button", name="Se de næste tidspunkter").click()
    await expect(main).to_contain_text("Ville ikke længere udløses")
    await plain.get_by_role("button", name="Ret tidsplanen").click()
    await seen(plain, "Kl. 03:30")
    await plain.goto(form)
    await plain.get_by_role("button", name="Tilbage til jobbets egen").click()
    await seen(plain, "Kl. 02:00")

    await plain.goto(form)
    await plain.get_by_label("Hvorfor").fill("flytning")
    await plain.get_by_label("Indtil").fill("2099-01-01T06:00")
    await plain.get_by_role("button", name="Sæt på pause").click()
    await seen(plain, "sat på pause af admin indtil 1. jan 2099 06:00: flytning")
    await plain.goto(form)
    await plain.get_by_role("button", name="Genoptag").click()
    await plain.goto(form)
    await expect(main).not_to_contain_text("flytning")
    await plain.get_by_role("button", name="Tag jobbet ud af brug").click()
    await seen(plain, "ud af brug")


async def test_many_runs_are_run_again_and_the_history_is_narrowed_down(
    plain: Page, stage: Stage, emptied: House
) -> None:
    await stage.define(job())
    await stage.ran("CLEAN_UP")
    failed = [await stage.failed("CLEAN_UP", f"no luck {number}") for number in range(3)]
    await emptied.caught_up(stage.log)
    await plain.goto(HOME)
    await plain.get_by_role("link", name="Historik", exact=True).click()
    await plain.locator("select[name=status]").select_option("FAILED")
    await plain.get_by_role("button", name="Vis", exact=True).click()
    rows = plain.locator(".runs tbody tr")
    await expect(rows).to_have_count(3)
    await plain.get_by_role("link", name="Kør alle disse igen").click()
    await plain.get_by_role("button", name="Kør 3 igen").click()
    await seen(plain, "færdig")
    await expect(plain.locator(f"#pair-{failed[0]}")).to_be_visible()


async def test_what_waits_of_a_bulk_is_left_alone_and_a_queue_is_emptied(
    plain: Page, stage: Stage, emptied: House
) -> None:
    await stage.define(job(max_queued=1))
    for number in range(3):
        await stage.failed("CLEAN_UP", f"no luck {number}")
    await emptied.caught_up(stage.log)
    await plain.goto(f"{HOME}/bulk/new?unresolved=1")
    await plain.get_by_role("button", name="Kør 3 igen").click()
    await seen(plain, "1 / 3")
    await plain.get_by_role("button", name="Lad resten være").click()
    await seen(plain, "stoppet af admin")
    await plain.goto(f"{HOME}/history?phase=queued&job=CLEAN_UP")
    await plain.get_by_role("link", name="Annullér alle disse").click()
    await plain.get_by_role("button", name="Annullér 1").click()
    await seen(plain, "færdig")


async def test_a_session_is_ended_and_a_token_revoked_once_that_is_confirmed(
    plain: Page, browser: Browser, emptied: House
) -> None:
    connection = await asyncpg.connect(emptied.database_url)
    token = await store.create_token(connection, await store.create_account(connection, "crm", "admin"), "nightly")
    await connection.close()
    async with await browser.new_context(base_url=emptied.address, locale="da-DK") as context:
        other = Panel(await context.new_page(), emptied.address, emptied.database_url)
        await other.sign_in("operator")
        await plain.goto(f"{HOME}/access")
        await expect(plain.locator("tr", has_text="din")).to_contain_text("admin")
        theirs = plain.locator("section", has_text="Logget ind nu").locator("tr", has_text="operator").first
        ask = await theirs.get_by_role("link", name="Afslut").get_attribute("href") or ""
        assert (await other.page.request.get(ask)).status == 403
        assert (await other.page.request.post(ask, headers={"Origin": emptied.address})).status == 403
        await theirs.get_by_role("link", name="Afslut").click()
        await plain.get_by_role("link", name="Ikke nu").click()
        assert (await other.page.request.get(HOME)).status == 200
        await theirs.get_by_role("link", name="Afslut").click()
        await plain.get_by_role("button", name="Afslut den").click()
        await expect(plain.locator("h1")).to_have_text("Adgang")
        assert (await other.page.request.get(HOME)).status == 401
        nightly = plain.locator("tr", has_text="nightly").first
        await nightly.get_by_role("link", name="Tilbagekald").click()
        await plain.get_by_role("button", name="Tilbagekald den").click()
        await expect(nightly).to_contain_text("tilbagekaldt")
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await context.request.get("/api/admin/job-run", headers=bearer)).status == 401


async def test_the_proof_is_started_and_a_rebuild_waits_for_a_word(plain: Page, stage: Stage, emptied: House) -> None:
    await stage.define(job())
    await stage.ran("CLEAN_UP")
    await emptied.caught_up(stage.log)
    await plain.goto(f"{HOME}/truth")
    await plain.locator("#verify").get_by_role("button", name="Efterprøv").click()
    await seen(plain, "Historikken er, hvad hændelserne fortæller")
    await plain.locator("#rebuild").get_by_role("button", name="Genopbyg").click()
    await seen(plain, "Hvad ombytningen ændrer")
    await plain.locator("#rebuild").get_by_role("button", name="Annullér").click()
    await seen(plain, "annulleret")
    await plain.locator("#rebuild").get_by_role("button", name="Genopbyg").click()
    await seen(plain, "Hvad ombytningen ændrer")
    await plain.locator("#rebuild").get_by_role("button", name="Byt", exact=True).click()
    await seen(plain, "færdig")


async def test_language_and_sign_out(plain: Page, emptied: House) -> None:
    await plain.goto(HOME)
    await plain.get_by_role("link", name="English").click()
    await expect(plain.locator("html")).to_have_attribute("lang", "en")
    await plain.get_by_role("button", name="Sign out").click()
    await expect(plain.get_by_role("heading", level=1)).to_have_text("Sign in")
