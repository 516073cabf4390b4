"""Whatever a stranger writes stays a text, wherever it is shown."""

from typing import Any
from urllib.parse import urlencode

import asyncpg
from kronik.errors import InvalidName
from kronik.events import Failed, Pause, Retirement, ScheduleChanged, Warning
from kronik.show import Show
from playwright.async_api import Page

from services.api.access import store
from tests.panel.house import House
from tests.panel.panel import Panel, Stage, a_job
from tests.panel.payloads import PAYLOADS

HOME = "/admin/system"

FOREIGN = """() => {
    const tags = 'SCRIPT IMG IFRAME OBJECT EMBED STYLE META LINK BASE VIDEO AUDIO SOURCE MATH PLAINTEXT'.split(' ');
    const ran = one => [...one.attributes].some(({ name, value }) =>
        name.startsWith('on') || name === 'style' || name === 'srcdoc' ||
        (['href', 'src', 'action', 'formaction', 'data'].includes(name) && !/^[/#?]/.test(value)));
    const own = [...document.querySelectorAll('main *')];
    return own.filter(one => tags.includes(one.tagName) || ran(one)).map(one => one.outerHTML.slice(0, 200));
}"""


async def everything(stage: Stage) -> list[str]:
    """Events with all of them in every text; the pages that show them."""
    each = dict(zip(PAYLOADS, PAYLOADS, strict=True))
    fields: dict[str, Any] = {
        text: {"type": "string", "title": text, "description": text, "default": text} for text in PAYLOADS
    }
    fields["choice"] = {"enum": list(PAYLOADS)}
    schema = {"type": "object", "title": PAYLOADS[0], "properties": fields}
    show = tuple(Show(text, {"da": text, "en": text}, short={"da": text}) for text in PAYLOADS)
    whole = "\n".join(PAYLOADS)
    await stage.define(
        a_job(
            "ALL", title={"da": PAYLOADS[1]}, description=whole, params_schema=schema, result_schema=schema, show=show
        )
    )
    for number, text in enumerate(PAYLOADS):
        await stage.define(a_job(f"J{number}", title={"da": text, "en": text}, description=text))
        await stage.failed(f"J{number}", text)
        await stage.log.connection.jetstream().publish("jobs.run.X.7.started", text.encode(), headers={"Nats-X": "y"})
    await stage.change("J0", ScheduleChanged(by=PAYLOADS[7], pause=Pause(by=PAYLOADS[8], reason=whole[:200])))
    await stage.change("J1", ScheduleChanged(by="ADMIN:1", retired=Retirement(by=PAYLOADS[9], reason=whole[:200])))
    await stage.skipped("J2", stage.log.clock.now(), "paused", whole)
    done = await stage.ran("ALL", each, *(Warning(text, item=text) for text in PAYLOADS))
    failed = await stage.trigger("ALL", origin="ops", params=each)
    await stage.start(failed)
    for text in PAYLOADS:
        await stage.say(failed, "ALL", level=text, event=text, fields={text: text})
    await stage.say(failed, "ALL", progress={"done": 1, "total": 2, "text": PAYLOADS[7]})
    running = await stage.trigger("ALL")
    await stage.start(running)
    await stage.say(running, "ALL", progress={"done": 1, "total": 2, "text": whole[:200]})
    await stage.happens(failed, Failed(attempt=1, error=whole, error_type=PAYLOADS[7], traceback=whole))
    asked = urlencode(
        [pair for text in PAYLOADS for pair in (("job", text), ("status", text), (f"param.{text}", text))]
    )
    return [
        *(
            "",
            "/history",
            "/history?unresolved=1",
            "/calendar",
            "/journal",
            "/truth",
            "/access",
            "/bulk/new?unresolved=1",
        ),
        *(f"/run/{done}", f"/run/{failed}", f"/run/{running}", f"/run/{failed}/log", f"/run/{failed}/log?q=<script>"),
        *("/job/ALL", "/job/ALL/run", f"/job/ALL/run?from={failed}", "/job/J0", "/job/J1", "/job/J0/schedule"),
        *(f"/history?{asked[:6000]}", f"/history?{urlencode({'text': PAYLOADS[7], 'triggeredBy': PAYLOADS[8]})}"),
        f"/calendar?{urlencode({'month': PAYLOADS[7][:20], 'job': PAYLOADS[8]})}",
        f"/job/J0/schedule?{urlencode({'preview': 1, 'cron': PAYLOADS[8], 'tz': PAYLOADS[7]})}",
        f"?{urlencode({'since': PAYLOADS[7][:20], 'asOf': PAYLOADS[8]})}",
        f"/nothing/{urlencode({'x': PAYLOADS[0]})}",
    ]


async def accounts(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    for text in PAYLOADS:
        try:
            account = await store.create_account(connection, text[:100], "viewer")
            await store.create_token(connection, account, text[:100])
        except InvalidName:
            continue
    await connection.close()


async def test_whatever_a_stranger_writes_stays_a_text(panel: Panel, stage: Stage, emptied: House) -> None:
    pages = await everything(stage)
    await accounts(emptied.database_url)
    await emptied.caught_up(stage.log)
    faults = []
    for path in pages:
        await panel.page.goto(HOME + path)
        faults += [f"{path[:80]}: {one}" for one in await wrong(panel.page)]
        faults += [f"{path[:80]}: {one}" for one in panel.complaints if "status of 4" not in one]
        panel.complaints.clear()
    assert not faults, "\n".join(faults)


async def wrong(page: Page) -> list[str]:
    """What ran, what is no text, what stands beyond the edge."""
    title = await page.title()
    found = ["ran"] if title == "owned" or not title.endswith("· Kronik") else []
    found += await page.evaluate(FOREIGN)
    for width in (390, 1440):
        await page.set_viewport_size({"width": width, "height": 800})
        wide = await page.evaluate("document.documentElement.scrollWidth")
        found += [f"{wide} px at {width}"] if wide > width else []
    tabs = page.get_by_role("navigation").first
    return found if await tabs.is_visible() else [*found, "the tabs are gone"]
