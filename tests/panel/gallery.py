"""Every page of the panel, with jobs, runs and texts that are hard to show: for tests to walk through."""

from datetime import timedelta

from kronik.events import Pause, Retrying, Schedule, ScheduleChanged, Warning
from kronik.show import Show

from services.infra.settings import DEFAULT_JOBS
from services.runner import registry
from tests.panel.panel import Stage, a_job

WIDTHS = (320, 390, 768, 1024, 1440)
LONG = "En meget lang titel på et job, som ingen ville give det " * 5
WORD = "W" * 300

ASKS = {
    "type": "object",
    "properties": {
        "month": {"type": "string", "description": "YYYY-MM"},
        "dryRun": {"type": "boolean", "default": False},
        "mode": {"enum": ["fast", "slow"]},
        "size": {"enum": [1, 2, 3, 4, 5]},
        "amount": {"type": "integer", "minimum": 1, "maximum": 10},
        "names": {"type": "array", "items": {"type": "string"}},
        "secret": {"type": "string", "writeOnly": True},
    },
    "required": ["month"],
}


async def hang(stage: Stage) -> list[str]:
    """Make it all happen; the paths of the pages."""
    now = stage.log.clock.now()
    for job in registry.load(DEFAULT_JOBS).values():
        await stage.define(registry.definition(job))
    every_minute = Schedule(expression="* * * * *", tz="America/New_York")
    show = (Show("ok", {"da": "Ok", "en": "Ok"}, short={"da": "ok", "en": "ok"}),)
    await stage.define(a_job("HEARTBEAT", title={"da": "Hjerteslag", "en": "Heartbeat"}, schedule=every_minute))
    await stage.define(a_job("EXPORT", title={"da": LONG, "en": LONG}, params_schema=ASKS, show=show))
    await stage.define(a_job("WORD", title={"da": WORD, "en": WORD}))
    await stage.change("HEARTBEAT", ScheduleChanged(by="ADMIN:1", pause=Pause(by="ADMIN:1", reason=WORD)))
    for number in range(4):
        await stage.ran("EXPORT", {"ok": number, "ratio": 0.99996, "word": WORD})
        await stage.failed("WORD", f"ConnectionError: reset by peer, attempt {number}: {WORD}")
    await stage.ran("HEYNABO_IMPORT", {"householdsCreated": 2}, Warning(WORD, item="husstand 17"), Warning("b"))
    await stage.skipped("DAILY_MAINTENANCE", now - timedelta(hours=1), "paused", f"by ADMIN:1 {WORD}")
    failed = await stage.failed("DAILY_MAINTENANCE", f"PermanentError: {WORD}\nmore lines")
    running = await stage.trigger("HEYNABO_IMPORT", origin="ops", params={"word": WORD})
    await stage.start(running)
    await stage.say(running, "HEYNABO_IMPORT", level="warning", event=f"looked {WORD}", fields={"files": "12"})
    await stage.say(running, "HEYNABO_IMPORT", progress={"done": 30, "total": 120, "text": "households"})
    await stage.trigger("HEYNABO_IMPORT")
    waits = await stage.trigger("MONTHLY_BILLING")
    await stage.start(waits)
    retry_at = now + timedelta(minutes=9)
    await stage.happens(waits, Retrying(attempt=1, error="database is locked", error_type="OSError", retry_at=retry_at))
    await stage.log.connection.jetstream().publish("jobs.run.CLEAN_UP.7.started", f"no event {WORD}".encode())
    last = await stage.failed("WORD", "no luck")
    home = "/admin/system"
    return [
        home,
        f"{home}?since=7d",
        f"{home}/history?unresolved=1&status=NOPE&job=!EXPORT",
        f"{home}/run/{failed}",
        f"{home}/run/{running}",
        f"{home}/run/{running}/log",
        f"{home}/job/EXPORT",
        f"{home}/job/EXPORT/run",
        f"{home}/job/HEARTBEAT/schedule",
        f"{home}/bulk/new?unresolved=1",
        f"{home}/calendar",
        f"{home}/journal",
        f"{home}/truth",
        f"{home}/access",
        f"{home}/run/{last}",
    ]
