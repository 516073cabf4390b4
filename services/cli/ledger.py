"""`kronik slots`, `kronik parked`: what did not become a run, through the HTTP API."""

from typing import Any

from rich.table import Table

from services.cli import api, target, terminal
from services.cli.history import Limit


def slots_command(*, job: str | None = None, limit: Limit = 10, json: terminal.AsJson = False) -> int:
    """The newest slots that were due and did not become a run, each with the reason.

    Parameters
    ----------
    job
        Only of this job type.
    limit
        How many at most.
    """
    with api.connect(target.find()) as calls:
        found = calls.get("/api/admin/slot", [("jobType", job), ("limit", limit)])
    return _show(found, _slots(found), "every slot that was due became a run", as_json=json)


def parked_command(*, limit: Limit = 10, json: terminal.AsJson = False) -> int:
    """The newest messages of the stream that can't be read, each with the reason.

    Parameters
    ----------
    limit
        How many at most.
    """
    with api.connect(target.find()) as calls:
        found = calls.get("/api/admin/parked", [("limit", limit)])
    return _show(found, _parked(found), "every message can be read", as_json=json)


def _show(found: list[dict[str, Any]], table: Table, none: str, *, as_json: bool) -> int:
    if as_json:
        terminal.print_json(found)
    elif found:
        terminal.show(table)
    else:
        terminal.print_line(none)
    return 0


def _slots(slots: list[dict[str, Any]]) -> Table:
    table = terminal.table(f"Slot ({terminal.zone()})", "Job", "Outcome", "Why")
    for slot in slots:
        due = terminal.instant(slot["scheduledFor"])
        table.add_row(due, slot["jobType"], slot["outcome"], terminal.cut(slot["reason"]))
    return table


def _parked(parked: list[dict[str, Any]]) -> Table:
    table = terminal.table("Event", f"Stored ({terminal.zone()})", "Subject", "Why", right=("Event",))
    for one in parked:
        why = terminal.cut(one["problem"])
        table.add_row(str(one["sequence"]), terminal.instant(one["time"]), terminal.cut(one["subject"][:60]), why)
    return table
