"""Pages as they were at an earlier moment, in a browser."""

from playwright.async_api import expect

from tests.panel.house import House
from tests.panel.panel import Panel, Stage, a_job


async def test_a_page_of_an_earlier_moment_changes_nothing_and_leads_back_to_now(
    stage: Stage, panel: Panel, emptied: House
) -> None:
    await stage.define(a_job("CLEAN_UP"))
    first = await stage.ran("CLEAN_UP", {"rows": 1})
    second = await stage.trigger("CLEAN_UP")
    await stage.start(second)
    await stage.fail(second, "no luck")
    page = panel.page
    await expect(page.locator(f"#run-{second}")).to_contain_text("no luck", timeout=15_000)

    await panel.open(f"/admin/system?asOf={second + 1}")
    then = page.locator("#then")
    await expect(then).to_contain_text(f"efter hændelse {second + 1}")
    await expect(page.locator(f"#run-{second}")).to_contain_text("Kører")
    assert await page.locator("main form, main button").count() == 0
    await page.locator(f"#run-{second} .date a").click()
    await expect(page.locator("h1")).to_have_text("Oprydning")
    await expect(page.locator(".timeline li")).to_have_count(2)
    assert await page.locator("main form, main button").count() == 0

    await panel.open(f"/admin/system/history?asOf={second - 1}&job=CLEAN_UP")
    await expect(page.locator(".runs tbody tr")).to_have_count(1)
    await then.get_by_text("hændelsen efter").click()
    await expect(page.locator(".runs tbody tr")).to_have_count(2)
    await then.get_by_text("Tilbage til nu").click()
    await expect(page).to_have_url(f"{panel.address}/admin/system/history?job=CLEAN_UP")
    await expect(page.locator(f"#run-{first}")).to_be_visible()

    await page.locator("#scrub summary").click()
    await page.locator("#as-of-event").fill(str(second - 1))
    await page.locator("#scrub form").nth(1).get_by_role("button").click()
    await expect(page.locator(".runs tbody tr")).to_have_count(1)

    for path, said in (
        ("calendar", "efter hændelse"),
        ("journal", "efter hændelse"),
        ("truth", f"stod ved hændelse {second - 1}"),
        (f"run/{first}/log", "0 linjer i alt"),
    ):
        await panel.open(f"/admin/system/{path}?asOf={second - 1}")
        await expect(page.locator("body")).to_contain_text(said)
        assert await page.locator("main form[method=post]").count() == 0
        await expect(then.get_by_text("Tilbage til nu")).to_be_visible()

    for _ in range(2):
        third = await stage.trigger("CLEAN_UP", origin="ops")
    await emptied.caught_up(stage.log)
    await panel.open("/admin/system/journal")
    await expect(page.locator(".journal li").first).to_contain_text("tjenesten ops kørte Oprydning 2 gange")
    await page.locator(".journal li a").first.click()
    await expect(page.locator(".runs tbody tr")).to_have_count(2)
    await panel.open(f"/admin/system/journal?asOf={third - 1}")
    await expect(page.locator(".journal li").first).to_contain_text("tjenesten ops kørte Oprydning")
    await panel.open(f"/admin/system/journal?asOf={second}")
    await expect(page.locator("main")).not_to_contain_text("ops")

    for asked, said in (("2020-01-01T00:00", "før den første hændelse"), ("999999", "findes ikke endnu")):
        await panel.open(f"/admin/system?asOf={asked}")
        await expect(page.locator("main")).to_contain_text(said)
    panel.complaints.clear()  # the browser's own, of two answers with 400
