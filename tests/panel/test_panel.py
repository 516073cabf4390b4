"""The panel as people meet it: in a real browser, on the real API, told by real events."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from kronik import Params
from kronik.events import Started, Triggered, Warning
from msgspec import Meta
from playwright.async_api import Browser, Locator, expect

from services.infra.settings import DEFAULT_JOBS
from services.runner import registry
from tests.panel.house import House
from tests.panel.panel import Panel, Stage, a_job

DAILY, BILLING, IMPORT = "DAILY_MAINTENANCE", "MONTHLY_BILLING", "HEYNABO_IMPORT"

DAILY_RESULT = {"consume": {"consumed": 2}, "close": {"closed": 45}, "transact": {"created": 45}, "scaffold": None}
BILLING_RESULT = {"invoicesGenerated": 35, "totalAmount": 4_750_000}
IMPORT_RESULT = {"householdsCreated": 2, "inhabitantsCreated": 5, "usersCreated": 3}

XSS = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"


async def define_the_three(stage: Stage) -> None:
    for job in registry.load(DEFAULT_JOBS).values():
        await stage.define(registry.definition(job))


async def text_of(locator: Locator) -> str:
    """What is seen, on one line."""
    return " ".join((await locator.inner_text()).split())


async def test_the_page_is_as_it_was_drawn(panel: Panel, stage: Stage, emptied: House) -> None:
    await define_the_three(stage)
    await stage.ran(BILLING, BILLING_RESULT)
    await stage.ran(DAILY, DAILY_RESULT)
    await stage.ran(IMPORT, IMPORT_RESULT, Warning("1 household kunne ikke opdateres"))
    emptied.clock.jump(days=1)

    await expect(panel.page.get_by_role("row")).to_have_count(4)
    await panel.open()

    heading = panel.page.get_by_role("heading", level=1)
    assert await text_of(heading) == "🔄 SYSTEM JOBS"
    titles = panel.page.locator(".job > .job-head h2")
    assert [await text_of(one) for one in await titles.all()] == [
        "DAGLIG VEDLIGEHOLDELSE",
        "MÅNEDLIG FAKTURERING",
        "HEYNABO IMPORT",
    ]
    await expect(panel.card(DAILY)).to_contain_text("Kl. 02:00")
    await expect(panel.card(BILLING)).to_contain_text("1. hver md")
    await expect(panel.card(IMPORT)).to_contain_text("Manuel")

    await expect(panel.card(DAILY)).to_contain_text("Seneste kørsel: I går")
    await expect(panel.card(DAILY).get_by_role("img", name="Fuldført")).to_have_text("✅")
    await expect(panel.card(DAILY)).to_contain_text("Dinners consumed: 2, Orders closed: 45, Transactions: 45")
    await expect(panel.card(BILLING)).to_contain_text("Invoices generated: 35, Total amount: 47.500 kr")
    await expect(panel.card(IMPORT)).to_contain_text("Households: +2, Inhabitants: +5, Users: +3")
    await expect(panel.card(IMPORT)).to_contain_text("- Delvis fejl")
    await expect(panel.card(IMPORT)).to_contain_text("⚠️ 1 household kunne ikke opdateres (se detaljer)")

    section = panel.page.get_by_role("heading", name="Historik")
    assert await text_of(section) == "📋 HISTORIK (seneste 10 kørsler)"
    rows = [await row.get_by_role("cell").all_inner_texts() for row in await panel.page.get_by_role("row").all()]
    assert [(job, status.split()[0], result) for _, job, status, _, result in rows[1:]] == [
        ("Heynabo Import", "⚠️", "+5 inhab"),
        ("Daglig Vedligeholdelse", "✅", "45 trans"),
        ("Månedlig Fakturering", "✅", "35 fakturaer"),
    ]
    assert all(row[0].startswith("I går ") for row in rows[1:])
    assert all(row[3].endswith("s") for row in rows[1:])
    assert await text_of(panel.page.locator("thead")) == "Dato Job Status Varighed Resultat"


async def test_run_now_makes_a_run_that_is_seen_to_run_and_to_finish(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    card = panel.card("CLEAN_UP")
    await expect(card).to_contain_text("Aldrig kørt")

    await card.get_by_role("button", name="Kør nu").click()
    await expect(card).to_contain_text("Seneste kørsel: I dag")
    await expect(card).to_contain_text("I kø")
    run_id = await stage.last_trigger("CLEAN_UP")
    assert run_id is not None
    row = panel.page.locator(f"#run-{run_id}")
    await expect(row).to_contain_text("⏳")
    await panel.page.evaluate("window.same = true")

    await stage.start(run_id)
    await expect(card).to_contain_text("- Kører")
    await stage.complete(run_id, {"filesDeleted": 12})
    await expect(card).to_contain_text("Files deleted: 12")
    await expect(row).to_contain_text("✅")
    await expect(panel.page.locator("#announcer")).to_have_text("Oprydning: Fuldført")
    assert await panel.page.evaluate("window.same"), "the page was reloaded"


async def test_the_focus_stays_where_it_is_while_history_moves(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    button = panel.card("CLEAN_UP").get_by_role("button", name="Kør nu")
    await button.focus()
    await stage.ran("CLEAN_UP")
    await expect(panel.card("CLEAN_UP")).to_contain_text("✅")
    await expect(button).to_be_focused()


async def test_run_now_can_be_reached_and_pressed_with_the_keyboard(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    await stage.ran("CLEAN_UP")
    button = panel.card("CLEAN_UP").get_by_role("button", name="Kør nu")
    await expect(panel.card("CLEAN_UP")).to_contain_text("✅")
    for _ in range(40):
        await panel.page.keyboard.press("Tab")
        if await button.evaluate("one => one === document.activeElement"):
            break
    assert await button.evaluate("one => one.matches(':focus-visible') && getComputedStyle(one).outlineWidth") == "3px"
    await panel.page.keyboard.press("Enter")
    await expect(panel.card("CLEAN_UP")).to_contain_text("I kø")


async def test_a_button_pressed_twice_asks_once(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    button = panel.card("CLEAN_UP").get_by_role("button", name="Kør nu")
    form = {"key": await panel.card("CLEAN_UP").locator("input[name=key]").get_attribute("value") or ""}
    await button.click()
    await expect(panel.card("CLEAN_UP")).to_contain_text("I kø")
    first = await stage.last_trigger("CLEAN_UP")
    again = await panel.page.request.post(
        "/admin/system/job/CLEAN_UP/run", form=form, headers={"Origin": panel.address}
    )
    assert again.ok
    assert await stage.last_trigger("CLEAN_UP") == first


async def test_a_failed_run_can_be_run_again_from_its_page(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP", params_schema={"type": "object", "properties": {"month": {"type": "string"}}}))
    run_id = await stage.trigger("CLEAN_UP", origin="ops", params={"month": "2026-10"})
    await stage.start(run_id)
    await stage.fail(run_id, "disk full\nand more lines")
    await expect(panel.card("CLEAN_UP")).to_contain_text("- Fejlet")
    await expect(panel.card("CLEAN_UP")).to_contain_text("disk full (se detaljer)")

    await panel.card("CLEAN_UP").get_by_role("link", name="se detaljer").click()
    main = panel.page.get_by_role("main")
    for said in ("Fejlet", "and more lines", "tjenesten ops", '"month": "2026-10"', "Forsøg 1 startede", "runner-1"):
        await expect(main).to_contain_text(said)

    await panel.page.get_by_role("button", name="Kør igen").click()
    await expect(panel.page).not_to_have_url(f"{panel.address}/admin/system/run/{run_id}")
    await expect(main).to_contain_text(f"Kørsel {run_id}")
    last = await stage.log.last("jobs.trigger.CLEAN_UP.admin")
    assert last is not None
    assert isinstance(last.data, Triggered)
    assert (last.data.rerun_of, last.data.params) == (run_id, {"month": "2026-10"})


async def test_the_page_of_a_run_follows_it(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    run_id = await stage.trigger("CLEAN_UP")
    await panel.open(f"/admin/system/run/{run_id}")
    main = panel.page.get_by_role("main")
    await expect(main).to_contain_text("I kø")
    await stage.happens(run_id, Started(attempt=1, incarnation="runner-1", timeout_ms=1000))
    await expect(main).to_contain_text("Forsøg 1 startede")
    await stage.complete(run_id, {"filesDeleted": 12}, Warning("is locked", item="a.log"), Warning("is gone"))
    await expect(main).to_contain_text("Delvis fejl")
    await expect(main).to_contain_text("a.log: is locked")
    await expect(main).to_contain_text("2 advarsler")
    details = panel.page.locator("#result-json")
    await details.locator("summary").click()
    await expect(details).to_contain_text('"filesDeleted": 12')


async def test_progress_and_log_lines_are_seen_as_they_come(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    run_id = await stage.trigger("CLEAN_UP")
    await stage.start(run_id)
    card = panel.card("CLEAN_UP")
    await expect(card).to_contain_text("Kører")
    await stage.say(run_id, "CLEAN_UP", level="info", event="looked", fields={"files": "12"})
    await stage.say(run_id, "CLEAN_UP", progress={"done": 3, "total": 4, "text": "temp"})
    await expect(card.get_by_role("progressbar")).to_have_attribute("value", "3")
    await expect(card).to_contain_text("3 / 4 temp")

    await card.get_by_role("link", name="I dag").click()
    main = panel.page.get_by_role("main")
    await expect(main).to_contain_text("looked files=12")
    await expect(main).to_contain_text("3 / 4 temp")
    await stage.say(run_id, "CLEAN_UP", level="error", event=XSS, fields={})
    await stage.log.connection.jetstream().publish(f"joblog.CLEAN_UP.{run_id}", b"no line at all")
    await expect(main).to_contain_text("onerror=")
    await stage.complete(run_id)
    await expect(main).to_contain_text("Fuldført")
    await expect(main.get_by_role("progressbar")).to_have_count(0)


class Billing(Params, frozen=True):
    month: Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}$", description="YYYY-MM")]
    amount: Annotated[int, Meta(ge=1, le=10)] | None = None
    mode: Literal["dry", "real"] = "real"
    names: tuple[str, ...] = ()


async def test_a_form_asks_for_what_the_job_takes_and_keeps_what_was_typed(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP", params_schema=msgspec.json.schema(Billing)))
    await panel.card("CLEAN_UP").get_by_role("link", name="Kør nu").click()
    form = panel.page.get_by_role("main")
    await expect(form).to_contain_text("YYYY-MM")
    await form.get_by_label("Amount").fill("11")
    await form.get_by_label("Names").fill("Ada\nBo")
    await form.get_by_label("dry").check()
    await form.get_by_role("button", name="Kør nu").click()
    await expect(form.get_by_role("alert")).to_contain_text("Month: Det skal udfyldes.")
    await expect(form.get_by_role("alert")).to_contain_text("Amount: Det må højst være 10.")
    await expect(form.get_by_role("alert")).to_be_focused()
    await expect(form.get_by_label("Names")).to_have_value("Ada\nBo")
    await expect(form.get_by_label("dry")).to_be_checked()
    assert await stage.last_trigger("CLEAN_UP") is None

    await form.get_by_label("Month").fill("2026-10")
    await form.get_by_label("Amount").fill("3")
    await form.get_by_role("button", name="Kør nu").click()
    await expect(panel.page.get_by_role("heading", level=1)).to_have_text("Oprydning")
    last = await stage.log.last("jobs.trigger.CLEAN_UP.admin")
    assert last is not None
    assert isinstance(last.data, Triggered)
    assert last.data.params == {"month": "2026-10", "amount": 3, "mode": "dry", "names": ["Ada", "Bo"]}
    await stage.start(last.sequence)
    await stage.complete(last.sequence)
    await panel.page.get_by_role("link", name="Med andre parametre").click()
    await expect(form.get_by_label("Month")).to_have_value("2026-10")
    await expect(form.get_by_label("dry")).to_be_checked()
    panel.complaints.clear()  # the console names the page with status 400


async def test_all_runs_page_by_page_and_by_job(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    await stage.define(a_job("OTHER", title={"da": "Noget andet"}))
    oldest = await stage.trigger("OTHER")
    for _ in range(54):
        await stage.trigger("CLEAN_UP")
    newest = await stage.trigger("OTHER")
    await expect(panel.page.locator(f"#run-{newest}")).to_be_visible()

    await panel.page.get_by_role("link", name="Se alle").click()
    rows = panel.page.locator("tbody").get_by_role("row")
    await expect(rows).to_have_count(50)
    await panel.page.get_by_role("link", name="Ældre").click()
    await expect(rows).to_have_count(6)
    await expect(panel.page.locator(f"#run-{oldest}")).to_be_visible()
    await panel.page.get_by_role("link", name="Nyeste").click()
    await expect(panel.page.locator(f"#run-{newest}")).to_be_visible()

    await panel.page.locator("select[name=job]").select_option("Noget andet")
    await panel.page.get_by_role("button", name="Vis").click()
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("Noget andet")


async def test_english_is_remembered(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    await stage.ran("CLEAN_UP")
    await panel.page.get_by_role("link", name="English").click()
    await panel.open()
    await expect(panel.page.locator("html")).to_have_attribute("lang", "en")
    await expect(panel.card("CLEAN_UP")).to_contain_text("Last run: Today")
    await expect(panel.card("CLEAN_UP")).to_contain_text("Manual")
    await expect(panel.card("CLEAN_UP").get_by_role("heading")).to_have_text("Clean-up")
    await expect(panel.page.get_by_role("button", name="Run now")).to_be_visible()
    await panel.page.get_by_role("link", name="Dansk").click()
    await expect(panel.page.get_by_role("button", name="Kør nu")).to_be_visible()


async def test_the_policy_lets_nothing_in_but_our_own_files(panel: Panel) -> None:
    response = await panel.page.goto("/admin/system")
    assert response is not None
    policy = await response.header_value("content-security-policy") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    await panel.page.evaluate(
        "const s = document.createElement('script'); s.textContent = 'window.ran = true'; document.body.append(s)"
    )
    assert await panel.page.evaluate("window.ran") is None
    assert "Content Security Policy" in panel.complaints.pop()


async def test_who_is_not_signed_in_is_told_how_to(browser: Browser, address: str) -> None:
    async with await browser.new_context(base_url=address, locale="da-DK") as context:
        page = await context.new_page()
        response = await page.goto("/admin/system")
        assert response is not None
        assert response.status == 401
        await expect(page.get_by_role("heading", level=1)).to_have_text("Log ind")
        await expect(page.get_by_role("main")).to_contain_text("kronik signin")
        assert await page.evaluate("getComputedStyle(document.querySelector('.sheet')).borderRadius") == "12px"


async def test_a_viewer_sees_everything_and_runs_nothing(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    run_id = await stage.ran("CLEAN_UP")
    await panel.sign_in("viewer")
    await expect(panel.card("CLEAN_UP")).to_contain_text("✅")
    await expect(panel.page.get_by_role("button", name="Kør")).to_have_count(0)
    await panel.open(f"/admin/system/run/{run_id}")
    await expect(panel.page.get_by_role("button", name="Kør")).to_have_count(0)
    refused = await panel.page.request.post(
        "/admin/system/job/CLEAN_UP/run", form={"key": "k"}, headers={"Origin": panel.address, "Accept": "text/html"}
    )
    assert refused.status == 403
    assert "Det må du ikke" in await refused.text()


async def test_a_run_that_is_not_there_is_a_page_too(panel: Panel) -> None:
    response = await panel.page.request.get("/admin/system/run/999999", headers={"Accept": "text/html"})
    assert response.status == 404
    assert "Her er ikke noget" in await response.text()


async def test_what_cant_be_done_is_explained_in_the_language_of_the_page(panel: Panel, stage: Stage) -> None:
    await stage.define(a_job("CLEAN_UP"))
    waiting, finished = await stage.trigger("CLEAN_UP"), await stage.ran("CLEAN_UP")
    await expect(panel.page.locator(f"#run-{finished}")).to_contain_text("✅")
    refused = {
        f"run/{waiting}/rerun": (409, "kun en afsluttet kørsel kan køres igen"),
        f"run/{finished}/cancel": (409, "der er intet at annullere"),
        "run/999999/cancel": (404, "Den kørsel findes ikke"),
        "job/NOPE/run": (404, "Ingen runner har meldt sådan et job"),
    }
    for path, (status, said) in refused.items():
        headers = {"Origin": panel.address, "Accept": "text/html"}
        answer = await panel.page.request.post(f"/admin/system/{path}", form={"key": path}, headers=headers)
        assert (path, answer.status) == (path, status)
        assert said in await answer.text()


async def test_messages_that_cant_be_read_are_counted(panel: Panel, stage: Stage) -> None:
    for _ in range(2):
        await stage.log.connection.jetstream().publish("jobs.run.CLEAN_UP.7.started", b"not an event")
    await expect(panel.page.get_by_role("note")).to_contain_text("2 beskeder kan ikke læses", timeout=10_000)


async def test_slots_that_did_not_become_a_run_say_why(panel: Panel, stage: Stage) -> None:
    await define_the_three(stage)
    paused = "The schedule was paused by ADMIN:1 (flytning) when this slot came due."
    await stage.skipped("DAILY_MAINTENANCE", datetime(2026, 11, 20, 1, tzinfo=UTC), "paused", paused)
    skipped = panel.page.get_by_role("table", name="Tidspunkter, der ikke blev til en kørsel")
    await expect(skipped.get_by_role("row").nth(1)).to_have_text(
        re.compile(r"20\. nov 02:00.*\s+Daglig Vedligeholdelse\s+Tidsplanen var sat på pause"), timeout=10_000
    )
    await expect(skipped.get_by_text("af admin (flytning)")).to_be_visible()
    await skipped.locator("summary").first.click()
    await expect(skipped.get_by_text("2026-11-20T01:00:00Z")).to_be_visible()
