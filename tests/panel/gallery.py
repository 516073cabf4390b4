"""Every page of the panel in every state, with jobs, runs and texts that are hard to show: for tests to visit."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, NamedTuple

from kronik.events import Failed, Pause, Retrying, Schedule, ScheduleChanged, Warning
from kronik.show import Show
from playwright.async_api import Page, expect

from services.infra.settings import DEFAULT_JOBS
from services.runner import registry
from tests.panel.house import House
from tests.panel.panel import Panel, Stage, a_job

WIDTHS: Final = (320, 390, 768, 1024, 1440)
LANGUAGES: Final = ("da-DK", "en-GB")
LONG: Final = "En meget lang titel på et job, som ingen ville give det " * 5
WORD: Final = "W" * 300
HOME: Final = "/admin/system"
STRANGE: Final = (
    *("reset by peer, attempt", "more lines", "no luck", "database is locked", "Where", "no event", "looked at"),
    *("Dry run", "Heynabo Import"),
)
"""What strangers have written in English: errors and params of jobs, messages of others, titles."""

ASKS: Final = {
    "type": "object",
    "properties": {
        "month": {"type": "string", "description": "YYYY-MM"},
        "dryRun": {"type": "boolean", "default": False},
        "mode": {"enum": ["fast", "slow"]},
        "size": {"enum": [1, 2, 3, 4, 5]},
        "amount": {"type": "integer", "minimum": 1, "maximum": 10},
        "names": {"type": "array", "items": {"type": "string"}},
        "place": {"type": "object", "description": "Where"},
        "at": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "secret": {"type": "string", "writeOnly": True},
    },
    "required": ["month"],
}


async def as_it_is(page: Page) -> None:
    pass


class Shown(NamedTuple):
    """A page as it is looked at. act: what its reader does first."""

    name: str
    path: str
    act: Callable[[Page], Awaitable[None]] = as_it_is
    signed_in: bool = True
    status: int = 200


Room = Callable[[House, Panel, Stage], Awaitable[list[Shown]]]


async def empty(house: House, panel: Panel, stage: Stage) -> list[Shown]:
    """Nothing has happened yet."""
    pages = ("", "/history", "/calendar", "/journal", "/truth", "/access")
    return [
        *(Shown(f"empty{path.replace('/', '-')}", HOME + path) for path in pages),
        Shown("not-signed-in", HOME, signed_in=False, status=401),
        Shown("sign-in", await panel.sign_in_link("admin"), signed_in=False),
        Shown("sign-in-used-up", "/sign-in/nonsense", signed_in=False, status=403),
        Shown("no-such-page", f"{HOME}/nothing", status=404),
        Shown("no-such-run", f"{HOME}/run/999999", status=404),
        Shown("no-such-job", f"{HOME}/job/NOPE", status=404),
    ]


async def few(house: House, panel: Panel, stage: Stage) -> list[Shown]:
    """The page as it was drawn, with one job that nobody thought of when it was drawn."""
    for job in registry.load(DEFAULT_JOBS).values():
        await stage.define(registry.definition(job))
    await stage.define(a_job("EXPORT", title={"da": LONG, "en": LONG}, params_schema=ASKS, show=_SHOW))
    await stage.ran("EXPORT", {"ok": 1, "ratio": 0.99996, "word": WORD})
    await stage.ran("DAILY_MAINTENANCE", {"consume": {"consumed": 2}, "close": {"closed": 45}})
    await stage.ran("HEYNABO_IMPORT", {"householdsCreated": 2}, Warning(WORD, item="husstand 17"), Warning("b"))
    return [Shown("few", HOME), Shown("few-menu", HOME, _open_menu)]


async def many(house: House, panel: Panel, stage: Stage) -> list[Shown]:
    """More jobs, and everything that can become of them."""
    now = stage.log.clock.now()
    every_minute = Schedule(expression="* * * * *", tz="America/New_York")
    await stage.define(a_job("HEARTBEAT", title={"da": "Hjerteslag", "en": "Heartbeat"}, schedule=every_minute))
    await stage.define(a_job("WORD", title={"da": WORD, "en": WORD}, concurrency=2))
    await stage.change("HEARTBEAT", ScheduleChanged(by="ADMIN:1", pause=Pause(by="ADMIN:1", reason=WORD)))
    for number in range(4):
        await stage.ran("EXPORT", {"ok": number, "ratio": 0.99996, "word": WORD})
        await stage.failed("WORD", f"ConnectionError: reset by peer, attempt {number}: {WORD}")
    paused = f"The schedule was paused by ADMIN:1 ({WORD}) when this slot came due."
    await stage.skipped("DAILY_MAINTENANCE", now - timedelta(hours=1), "paused", paused)
    failed = await stage.failed("DAILY_MAINTENANCE", f"PermanentError: {WORD}\nmore lines")
    running = await stage.trigger("HEYNABO_IMPORT", origin="ops", params={"word": WORD})
    await stage.start(running)
    for number in range(30):
        await stage.say(
            running, "HEYNABO_IMPORT", level="info", event=f"looked at household {number}", fields={"n": "1"}
        )
    await stage.say(running, "HEYNABO_IMPORT", level="warning", event=f"looked {WORD}", fields={"files": "12"})
    await stage.say(running, "HEYNABO_IMPORT", progress={"done": 30, "total": 120, "text": "households"})
    queued = await stage.trigger("HEYNABO_IMPORT")
    waits = await stage.trigger("MONTHLY_BILLING", params={"month": "2026-10"})
    await stage.start(waits)
    retry_at = now + timedelta(minutes=9)
    await stage.happens(waits, Retrying(attempt=1, error="database is locked", error_type="OSError", retry_at=retry_at))
    misfit = await _what_cannot_be_read(stage)
    partial = await stage.ran("EXPORT", {"ok": 7, "word": WORD}, Warning(WORD, item=WORD), Warning("b"))
    await house.caught_up(stage.log)
    bulk = await panel.press(f"{HOME}/bulk", {"unresolved": "1", "job": "WORD"})
    rerun = await panel.press(f"{HOME}/run/{failed}/rerun", {})
    await panel.press(f"{HOME}/run/{queued}/cancel", {})
    await panel.press(f"{HOME}/truth/verify", {"do": "begin"})
    await stage.failed("WORD", "no luck")
    return [
        Shown("system", HOME),
        Shown("system-7d", f"{HOME}?since=7d"),
        Shown("system-menu", HOME, _open_menu),
        Shown("system-earlier", HOME, _open_earlier),
        Shown("system-then", f"{HOME}?asOf={partial}"),
        Shown("history-then", f"{HOME}/history?asOf={partial}"),
        Shown("run-then", f"{HOME}/run/{waits}?asOf={waits + 1}"),
        Shown("job-then", f"{HOME}/job/EXPORT?asOf={partial}"),
        Shown("system-keys", HOME, _open_keys),
        Shown("system-offline", HOME, _go_offline),
        Shown("history", f"{HOME}/history"),
        Shown("history-news", f"{HOME}/history", _hold_back),
        Shown("history-chosen", f"{HOME}/history", _choose),
        Shown("history-filtered", f"{HOME}/history?unresolved=1&status=NOPE&job=!EXPORT&job=NOPE&text={WORD}"),
        Shown("run-failed", f"{HOME}/run/{failed}"),
        Shown("run-running", f"{HOME}/run/{running}"),
        Shown("run-exact", f"{HOME}/run/{running}", _open_exact),
        Shown("run-queued", f"{HOME}/run/{queued}"),
        Shown("run-retrying", f"{HOME}/run/{waits}"),
        Shown("run-partial", f"{HOME}/run/{partial}", _open_all),
        Shown("run-rerun", rerun),
        Shown("run-misfit", f"{HOME}/run/{misfit}"),
        Shown("log", f"{HOME}/run/{running}/log"),
        Shown("log-search", f"{HOME}/run/{running}/log?q={WORD[:90]}"),
        Shown("job", f"{HOME}/job/EXPORT", _open_all),
        Shown("job-paused", f"{HOME}/job/HEARTBEAT"),
        Shown("form", f"{HOME}/job/EXPORT/run"),
        Shown("form-wrong", f"{HOME}/job/EXPORT/run", _send_nothing),
        Shown("form-from", f"{HOME}/job/HEYNABO_IMPORT/run?from={running}"),
        Shown("schedule", f"{HOME}/job/HEARTBEAT/schedule"),
        Shown("schedule-preview", f"{HOME}/job/DAILY_MAINTENANCE/schedule?preview=1&do=preview&cron=30+2+28+3+*"),
        Shown("schedule-wrong", f"{HOME}/job/DAILY_MAINTENANCE/schedule?preview=1&do=preview&cron=99+{WORD[:90]}"),
        Shown("bulk-plan", f"{HOME}/bulk/new?unresolved=1"),
        Shown("bulk-plan-none", f"{HOME}/bulk/new?job=EXPORT&command=cancel"),
        Shown("bulk-result", bulk),
        Shown("calendar", f"{HOME}/calendar"),
        Shown("calendar-wrong", f"{HOME}/calendar?month=2026-13&job=NOPE"),
        Shown("journal", f"{HOME}/journal"),
        Shown("truth", f"{HOME}/truth", _open_all),
        Shown("access", f"{HOME}/access"),
    ]


async def _what_cannot_be_read(stage: Stage) -> int:
    """Messages of others, and triggers whose params the job does not take: a run of these."""

    def refused(error: str) -> Failed:
        return Failed(attempt=0, error=error, error_type="InvalidParams")

    publish = stage.log.connection.jetstream().publish
    await publish("jobs.run.CLEAN_UP.7.started", f"no event {WORD}".encode())
    await publish("jobs.run.CLEAN_UP.7.started", b"{}")
    unreadable = await publish("jobs.trigger.MONTHLY_BILLING.ops", b"[]")
    await stage.happens(unreadable.seq, refused("the trigger's body must be a JSON object (the params), got an array"))
    misfit = await stage.trigger("EXPORT", origin="ops", params={"month": 1})
    await stage.happens(misfit, refused("params: Expected `str`, got `int` - at `$.month` (allowed: month)"))
    long_ago = stage.log.clock.now() - timedelta(hours=2)
    late = "Seen 1 h 10 min late, and the schedule does not catch up."
    await stage.skipped("MONTHLY_BILLING", long_ago, "missed", late)
    return misfit


ROOMS: Final[tuple[Room, ...]] = (empty, few, many)

_SHOW = (Show("ok", {"da": "Ok", "en": "Ok"}, short={"da": "ok", "en": "ok"}),)


async def _open_menu(page: Page) -> None:
    await page.locator("main details.menu summary").first.click()


async def _open_earlier(page: Page) -> None:
    await page.locator("#scrub summary").click()


async def _open_keys(page: Page) -> None:
    await page.keyboard.press("Control+k")
    await expect(page.locator("dialog li").nth(6)).to_be_visible()


async def _go_offline(page: Page) -> None:
    await page.context.set_offline(True)
    await expect(page.locator("#offline")).to_be_visible(timeout=10_000)
    await page.context.set_offline(False)


async def _hold_back(page: Page) -> None:
    """As if seven runs had come: the list stands still under its reader."""
    await page.locator("[data-news]").first.evaluate(
        "one => one.dispatchEvent(new CustomEvent('kronik:news', { bubbles: true, detail: 7 }))"
    )


async def _choose(page: Page) -> None:
    await page.locator(".runs tbody input").first.check()


async def _open_exact(page: Page) -> None:
    await page.locator("details.exact summary").last.click()


async def _open_all(page: Page) -> None:
    await page.evaluate(
        "for (const one of document.querySelectorAll('main details:not(.exact, .menu)')) one.open = true"
    )


async def _send_nothing(page: Page) -> None:
    await page.locator("main form.form button.strong").click()
    await expect(page.get_by_role("alert").filter(visible=True)).to_be_focused()
