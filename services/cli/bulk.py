"""`kronik bulk`, `kronik empty-queue`: many runs at once, through the HTTP API."""

import time
import uuid
from typing import Any, Literal
from urllib.parse import quote

from kronik import subjects
from rich.text import Text

from services.cli import api, target, terminal
from services.cli.runs import Confirmed, DryRun
from services.cli.selecting import EVERYTHING, Selection
from services.cli.usage import BadUsage

_BULK = "/api/admin/bulk"
_LOOK_EVERY_S = 0.5
_DOES = {"rerun": "run again", "cancel": "asked to stop"}


def bulk_command(
    action: Literal["rerun", "cancel", "list", "show", "stop"],
    id: str | None = None,
    /,
    *,
    which: Selection = EVERYTHING,
    yes: Confirmed = False,
    wait: bool = False,
    dry_run: DryRun = False,
    json: terminal.AsJson = False,
) -> int:
    """Do something to every run that a filter selects; it goes on in the background.

    kronik bulk rerun --status FAILED --unresolved: shows the plan, asks, and begins. kronik bulk list, show ID and
    stop ID watch it and end it.

    Parameters
    ----------
    action
        rerun and cancel take a filter; show and stop take an ID.
    id
        The work's, as `kronik bulk list` lists them.
    wait
        Return when the work has ended.
    """
    if action in ("rerun", "cancel"):
        if id is not None:
            raise BadUsage(f"{id}: a filter is given by options, like --job {id}")
        return _begin(f"{_BULK}/{action}", which.query(), yes=yes, wait=wait, dry_run=dry_run, as_json=json)
    if action == "list":
        with api.connect(target.find()) as calls:
            _print_list(calls.get(_BULK), as_json=json)
        return 0
    if id is None:
        raise BadUsage(f"kronik bulk {action} ID: say which, as `kronik bulk list` lists them")
    with api.connect(target.find()) as calls:
        place = f"{_BULK}/{quote(id, safe='')}"
        work = calls.get(place) if action == "show" else calls.post(f"{place}/stop")
    return _end(work, wait=wait, as_json=json)


def empty_queue_command(
    job: str,
    /,
    *,
    yes: Confirmed = False,
    wait: bool = False,
    dry_run: DryRun = False,
    json: terminal.AsJson = False,
) -> int:
    """Cancel every run of a job that waits for its first attempt.

    Parameters
    ----------
    job
        The job type.
    wait
        Return when all of them have been asked to stop.
    """
    path = f"/api/admin/job/{subjects.check_job_type(job)}/empty-queue"
    return _begin(path, (), yes=yes, wait=wait, dry_run=dry_run, as_json=json)


def _begin(path: str, query: api.Query, *, yes: bool, wait: bool, dry_run: bool, as_json: bool) -> int:
    """The plan first; the work where it is wished for."""
    with api.connect(target.find()) as calls:
        if dry_run or not yes:
            plan = calls.post(path, query=[*query, ("dryRun", True)])
            if as_json and dry_run:
                terminal.print_json(plan)
            else:
                _print_plan(plan, terminal.print_line if dry_run else terminal.say)
            if dry_run:
                return 0
            if not terminal.confirmed("Go on?"):
                raise BadUsage("nothing was done: confirm it with --yes")
        work = calls.post(path, query=query, key=uuid.uuid4().hex)
    return _end(work, wait=wait, as_json=as_json)


def _end(work: dict[str, Any], *, wait: bool, as_json: bool) -> int:
    id = work["id"]
    while wait and work["endedAt"] is None:
        time.sleep(_LOOK_EVERY_S)
        work = api.insist(lambda calls: calls.get(f"{_BULK}/{id}"))
    if as_json:
        terminal.print_json(work)
    else:
        _print(work)
    return 0


def _print_plan(plan: dict[str, Any], line: Any) -> None:
    line(f"{terminal.runs(plan['selected'])} selected, {plan['eligible']} would be {_DOES[plan['command']]}")
    for left in plan["left"]:
        more = ", …" if left["count"] > len(left["runIds"]) else ""
        line(f"  {left['count']} not: {left['words']} ({', '.join(map(str, left['runIds']))}{more})")


def _print(work: dict[str, Any]) -> None:
    by = work["askedByName"] or work["askedBy"]
    terminal.print_line(Text(f"{work['command']} {work['id']} is {work['status']}, asked for by {by}", style="bold"))
    terminal.print_line(
        f"  of {terminal.runs(work['selected'])} {work['done']} {_DOES[work['command']]}, {work['waiting']} waiting"
    )
    for why, count in work["left"].items():
        terminal.print_line(f"  {count} left: {why.replace('_', ' ')}")
    if work["endedAt"] is None:
        terminal.say(f"it goes on: kronik bulk show {work['id']}")


def _print_list(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(found)
        return
    table = terminal.table("Id", "Command", "Status", "Done", "Of", f"Asked ({terminal.zone()})", "By", "Filter")
    for work in found:
        by = work["askedByName"] or work["askedBy"]
        counts = (str(work["done"]), str(work["selected"]))
        asked = terminal.instant(work["askedAt"])
        table.add_row(work["id"], work["command"], work["status"], *counts, asked, by, terminal.cut(work["filter"]))
    if found:
        terminal.show(table)
    else:
        terminal.print_line("nothing yet")
