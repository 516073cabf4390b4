"""`kronik jobs`."""

from typing import Any

from rich.table import Table

from services.cli import api, target, terminal


def jobs_command(*, json: terminal.AsJson = False) -> int:
    """The jobs that runners have announced, their schedules, and when they run next."""
    with api.connect(target.find()) as calls:
        jobs = calls.get("/api/admin/job")
    if json:
        terminal.print_json(jobs)
    else:
        terminal.out.print(_table(jobs))
    return 0


def _table(jobs: list[dict[str, Any]]) -> Table:
    table = terminal.table("Job", "Schedule", "Next", "Last run", "What it does")
    for job in jobs:
        last = job["lastRun"]
        table.add_row(
            job["jobType"],
            _schedule(job),
            terminal.instant(job["nextSlots"][0])[:-3] if job["nextSlots"] else "–",
            terminal.status_text(last["status"]) if last else "–",
            terminal.cut(job["description"].partition("\n")[0]),
        )
    return table


def _schedule(job: dict[str, Any]) -> str:
    words = str(job["scheduleInWords"].get("en") or "by hand")
    return f"{words} (paused)" if job["paused"] else words
