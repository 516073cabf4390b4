"""Rows of the history that are chosen one by one, in a browser."""

import pytest
from playwright.async_api import Browser, expect

from tests.panel.panel import Panel, Stage, a_job

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_chosen_rows_stand_still_and_are_run_again_together(stage: Stage, panel: Panel) -> None:
    for job_type in ("CLEAN_UP", "OTHER"):
        await stage.define(a_job(job_type))
    first, second, third = [await stage.failed("CLEAN_UP", "no luck") for _ in range(3)]
    running = await stage.trigger("OTHER")
    await stage.start(running)
    waiting = await stage.trigger("OTHER")
    page = panel.page
    await expect(page.locator(f"#run-{waiting}")).to_be_visible(timeout=15_000)
    await panel.open("/admin/system/history")
    buttons = page.locator(".chosen")
    await expect(buttons).to_be_hidden()
    for run_id in (first, third, running):
        await page.locator(f"#run-{run_id} input").check()
    await expect(buttons).to_contain_text("3")

    await stage.complete(running, {})
    await stage.start(waiting)
    await expect(page.locator(f"#run-{waiting}")).to_contain_text("Kører", timeout=10_000)
    await expect(page.locator(f"#run-{running}")).to_contain_text("Kører")
    await stage.trigger("CLEAN_UP")
    await expect(page.locator(".pill")).to_contain_text("1 ny kørsel ↑")
    await stage.trigger("CLEAN_UP")
    await expect(page.locator(".pill")).to_have_text("2 nye kørsler ↑")
    await expect(page.locator(".runs tbody tr")).to_have_count(5)
    await expect(page.locator(f"#run-{running}")).to_contain_text("Kører")

    await page.locator(f"#run-{running} input").uncheck()
    await buttons.get_by_role("button", name="Kør de valgte igen").click()
    await expect(page.locator("h1")).to_have_text("Kør 2 kørsler igen?")
    await page.locator("#do-it").click()
    await expect(page.locator("#state")).to_contain_text("færdig", timeout=15_000)
    await expect(page.locator(f"#pair-{first}")).to_be_visible()
    await expect(page.locator(f"#pair-{second}")).to_have_count(0)


async def test_without_javascript_rows_are_chosen_too(stage: Stage, panel: Panel, browser: Browser) -> None:
    await stage.define(a_job("CLEAN_UP"))
    run_id = await stage.failed("CLEAN_UP", "no luck")
    await expect(panel.page.locator(f"#run-{run_id}")).to_be_visible(timeout=15_000)
    state = await panel.page.context.storage_state()
    context = await browser.new_context(
        base_url=panel.address, storage_state=state, locale="da-DK", java_script_enabled=False
    )
    async with context:
        page = await context.new_page()
        await page.goto("/admin/system/history")
        await page.locator(f"#run-{run_id} input").check()
        await page.get_by_role("button", name="Kør de valgte igen").click()
        await expect(page.locator("h1")).to_have_text("Kør 1 kørsel igen?")
        await page.goto("/admin/system/bulk/new")
        await expect(page.locator("main")).to_contain_text("Ingen kørsler er valgt")
