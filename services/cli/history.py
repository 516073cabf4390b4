"""`kronik history`: runs, newest first, through the HTTP API."""

import re
from typing import Annotated, Any

from cyclopts import Parameter, validators
from rich.table import Table

from services.cli import api, target, terminal
from services.cli.instants import moment
from services.cli.runs import RUNS
from services.cli.selecting import EVERYTHING, Selection

Limit = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=100))]
_OLDER = re.compile(r'<[^>]*[?&]before=([0-9]+)[^>]*>; rel="next"')


def history_command(
    *,
    which: Selection = EVERYTHING,
    limit: Limit = 10,
    before: int | None = None,
    as_of: str | None = None,
    json: terminal.AsJson = False,
) -> int:
    """Runs, newest first; the oldest run of a page is where the next page begins: --before.

    Parameters
    ----------
    limit
        How many at most, 1 to 100.
    before
        Only runs with a smaller id than this: the next page.
    as_of
        As the history was then: an instant, or an event's sequence.
    """
    query = [*which.query(), ("limit", limit), ("before", before), ("asOf", moment(as_of))]
    with api.connect(target.find()) as calls:
        answer = calls.page(RUNS, query)
    runs = answer.json()
    if json:
        terminal.print_json(runs)
        return 0
    if runs:
        terminal.show(_table(runs))
    else:
        terminal.print_line("no runs" if before or len(query) > 3 else "no runs yet")
    if older := _OLDER.search(answer.headers.get("Link", "")):
        terminal.say(f"older ones: --before {older[1]}")
    return 0


def _table(runs: list[dict[str, Any]]) -> Table:
    started = f"Started ({terminal.zone()})"
    table = terminal.table("Run", "Job", "Status", started, "Took", "By", "Result", right=("Run", "Took"))
    for run in runs:
        table.add_row(
            str(run["id"]),
            run["jobType"],
            terminal.status_text(run["status"]),
            terminal.instant(run["startedAt"]),
            terminal.duration(run["durationMs"]),
            run.get("triggeredByName") or run["triggeredBy"],
            terminal.cut(terminal.summary(run, width=200)),
        )
    return table
