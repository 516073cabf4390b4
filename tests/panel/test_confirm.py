"""Jobs that want to be confirmed before somebody runs them by hand, without JavaScript as with it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.panel.panel import Panel, Stage, a_job

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session", params=[True, False], ids=["with", "without"])
async def page(request: pytest.FixtureRequest, panel: Panel, browser: Browser) -> AsyncIterator[Page]:
    """Of the panel, with JavaScript and without."""
    state = await panel.page.context.storage_state()
    context = await browser.new_context(
        base_url=panel.address, storage_state=state, locale="da-DK", java_script_enabled=request.param
    )
    async with context:
        yield await context.new_page()


async def test_a_job_that_wants_to_be_confirmed_does_not_run_before_it_is(
    stage: Stage, panel: Panel, page: Page
) -> None:
    await stage.define(a_job("PURGE", confirm={"da": "Slet alt for altid?", "en": "Delete everything?"}))
    await expect(panel.card("PURGE")).to_be_visible(timeout=15_000)
    await page.goto("/admin/system")
    await page.locator("#run-now-PURGE").click()
    await expect(page.locator("main")).to_contain_text("Slet alt for altid?")
    await page.get_by_role("button", name="Kør nu").click()
    await expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("Jobbet skal bekræftes.")
    assert await stage.last_trigger("PURGE") is None
    await page.get_by_label("Slet alt for altid?").check()
    await page.get_by_role("button", name="Kør nu").click()
    await expect(page.locator("h1")).to_have_text("Oprydning")
    first = await stage.last_trigger("PURGE")
    assert first is not None
    await stage.start(first)
    await stage.fail(first, "no luck")

    again = page.get_by_role("button", name="Kør igen", exact=False)
    while await again.count() == 0:
        await page.goto(f"/admin/system/run/{first}")
    await again.click()
    await expect(page.locator("main")).to_contain_text("Slet alt for altid?")
    assert await stage.last_trigger("PURGE") == first
    await page.get_by_role("button", name="Ja, kør igen").click()
    await expect(page.locator(".facts")).to_contain_text(f"Kørsel {first}")
    await page.goto(f"/admin/system/bulk/new?id={first}")
    await expect(page.locator("main")).to_contain_text("Oprydning: Slet alt for altid?")
