"""`kronik jobs`."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.table import Table
from rich.text import Text

from services.cli import api, target, terminal


def jobs_command(*, json: terminal.AsJson = False) -> int:
    """The jobs that runners have announced, their schedules, and when they run next."""
    with api.connect(target.find()) as calls:
        jobs = calls.get("/api/admin/job")
    if json:
        terminal.print_json(jobs)
    else:
        terminal.show(_table(jobs))
    return 0


def _table(jobs: list[dict[str, Any]]) -> Table:
    headings = ("Job", "Schedule", "Next", "Last run", "Runners", "Runs in", "What it does")
    table = terminal.table(*headings, right=("Runners",))
    for job in jobs:
        last = job["lastRun"]
        table.add_row(
            job["jobType"],
            _schedule(job),
            _next(job),
            terminal.status_text(last["status"]) if last else "–",
            str(len(job["runners"])) if job["runners"] else Text("nobody", style="yellow"),
            "own process" if job["isolation"] == "process" else "runner",
            terminal.cut(job["description"].partition("\n")[0]),
        )
    return table


def _schedule(job: dict[str, Any]) -> str:
    words = str(job["scheduleInWords"].get("en") or "by hand")
    states = [name for name in ("paused", "retired") if job[name]]
    return f"{words} ({', '.join(states)})" if states else words


def _next(job: dict[str, Any]) -> str:
    """In the schedule's own zone, whose hours its words name: `2026-11-28 02:00 Copenhagen`."""
    if not job["nextSlots"]:
        return "–"
    tz = job["schedule"]["tz"]
    slot = datetime.fromisoformat(job["nextSlots"][0]).astimezone(ZoneInfo(tz))
    return f"{slot:%Y-%m-%d %H:%M} {terminal.place(tz)}"
