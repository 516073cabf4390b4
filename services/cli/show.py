"""`kronik show`: one run, read from the stream itself."""

import asyncio
from datetime import timedelta

from kronik.events import Recorded
from kronik.run import Run
from rich.table import Table
from rich.text import Text

from services.cli import api, people, stream, target, terminal
from services.cli.api import Refused, Unreachable
from services.cli.event_words import as_json, words
from services.cli.target import NotRunning, Target
from services.cli.usage import BadUsage


class NoSuchRun(BadUsage):
    """No run has this id."""


def show_command(id: int | None = None, /, *, json: terminal.AsJson = False) -> int:
    """A run's events, read from the stream: when, what, and the particulars.

    Parameters
    ----------
    id
        The run's, as `kronik history` lists them; without it the newest run.
    """
    to = target.find()
    run, events = asyncio.run(_read(to.nats(), _newest(to) if id is None else id))
    if json:
        shown = [as_json(event) for event in events]
        terminal.print_json({"id": run.id, "jobType": run.job_type, "traceback": run.traceback, "events": shown})
        return 0
    state = run.status if run.finished else run.phase
    terminal.print_line(Text(f"{run.job_type} run {run.id}: {state}  (times in {terminal.zone()})", style="bold"))
    terminal.out.print(_timeline(events, _names(to, run.id)))
    for line in (run.traceback or "").splitlines():
        terminal.print_line(f"  {line}")
    return 0


def _newest(to: Target) -> int:
    with api.connect(to) as calls:
        runs = calls.get("/api/admin/job-run", [("limit", 1)])
    if not runs:
        raise NoSuchRun("there are no runs yet; `kronik trigger JOB` asks for one")
    return int(runs[0]["id"])


def _names(to: Target, id: int) -> dict[str, str]:
    """Of the accounts that had to do with the run; none where there is no API to ask."""
    try:
        with api.connect(to) as calls:
            run = calls.get(f"/api/admin/job-run/{id}")
    except (NotRunning, Unreachable, Refused):
        return {}
    return people.of_run(run)


async def _read(nats_url: str, id: int) -> tuple[Run, list[Recorded]]:
    async with stream.connect(nats_url) as log:
        found = await log.read_run(id) if id > 0 else None
    if found is None:
        raise NoSuchRun(f"there is no run {id}; `kronik history` lists them")
    return found


def _timeline(events: list[Recorded], names: dict[str, str]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    began = events[0].time
    for event in events:
        said = words(event.data, names)
        table.add_row(
            Text(f"#{event.sequence}", style="dim"),
            terminal.instant(event.time),
            Text(_since(event.time - began), style="dim"),
            Text(said.name, style=said.style),
            Text(said.details),
        )
    return table


def _since(passed: timedelta) -> str:
    return "" if not passed else f"+{terminal.duration(passed.total_seconds() * 1000)}"
