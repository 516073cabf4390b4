"""`kronik trigger`, `kronik history`, `kronik jobs`: through the HTTP API."""

import json
import time
from typing import Annotated, Any, Literal

from cyclopts import Parameter, validators
from kronik import KronikError
from rich.table import Table
from rich.text import Text

from services.cli import api, target, terminal
from services.cli.api import Api
from services.infra.printable import one_line

_LOOK_EVERY_S = 0.25
_RUNS = "/api/admin/job-run"

Params = Annotated[list[str], Parameter(name=("--param", "-p"), negative="")]
Limit = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=100))]
Status = Literal["RUNNING", "SUCCESS", "PARTIAL", "FAILED"]


class BadParam(KronikError):
    """A --param that is not NAME=VALUE."""


def trigger_command(
    job: str, /, *, param: Params | None = None, wait: bool = False, json: terminal.AsJson = False
) -> int:
    """Ask for a run. Exit status 0, with --wait 1 if the run failed.

    Parameters
    ----------
    job
        The job type, as `kronik jobs` lists them.
    param
        NAME=VALUE, any number of times. VALUE is JSON where it can be read so, else text: -p month=2026-10 -p n=3
    wait
        Return when the run has finished: 0 for SUCCESS and PARTIAL, 1 for FAILED.
    """
    body: dict[str, object] = {"jobType": job}
    if param:
        body["params"] = parse_params(param)
    with api.connect(target.find()) as calls:
        run = calls.post(f"{_RUNS}/trigger", body)
        if wait:
            run = _follow(calls, run, quiet=json)
    if json:
        terminal.print_json(run)
    else:
        _print_run(run)
    return 1 if run["status"] == "FAILED" else 0


def parse_params(params: list[str]) -> dict[str, object]:
    """Raises BadParam."""
    parsed: dict[str, object] = {}
    for each in params:
        name, equals, text = each.partition("=")
        if not name or not equals:
            raise BadParam(f"--param {each}: expected NAME=VALUE")
        try:
            parsed[name] = json.loads(text)
        except ValueError:
            parsed[name] = text
    return parsed


def _follow(calls: Api, run: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """The run once it has finished; how far it is, on a terminal."""
    with terminal.err.status("", spinner="dots") as spinner:
        while run["completedAt"] is None:
            if not quiet:
                spinner.update(Text(f"run {run['id']} is {run['phase']}"))
            time.sleep(_LOOK_EVERY_S)
            run = calls.get(f"{_RUNS}/{run['id']}")
    return run


def _print_run(run: dict[str, Any]) -> None:
    text = terminal.status_text(run["status"])
    took = f" in {terminal.duration(run['durationMs'])}" if run["durationMs"] is not None else ""
    terminal.print_line(text.append(f"  {run['jobType']} run {run['id']}{took}", style="default"))
    if words := terminal.summary(run, width=400):
        terminal.print_line(f"  {words}")
    for warning in run.get("warnings") or []:
        item = f"{warning['item']}: " if warning.get("item") else ""
        terminal.print_line(f"  ! {one_line(item + warning.get('text', ''))}")


def history_command(
    *, job: str | None = None, status: Status | None = None, limit: Limit = 10, json: terminal.AsJson = False
) -> int:
    """The newest runs.

    Parameters
    ----------
    job
        Only of this job type.
    status
        Only with this status.
    limit
        How many at most.
    """
    with api.connect(target.find()) as calls:
        runs = calls.get(_RUNS, jobType=job, status=status, limit=limit)
    if json:
        terminal.print_json(runs)
    else:
        terminal.out.print(_table(runs) if runs else "no runs yet")
    return 0


def _table(runs: list[dict[str, Any]]) -> Table:
    table = terminal.table("Run", "Job", "Status", "Started", "Took", "By", "Result", right=("Run", "Took"))
    for run in runs:
        table.add_row(
            str(run["id"]),
            run["jobType"],
            terminal.status_text(run["status"]),
            terminal.instant(run["startedAt"]),
            terminal.duration(run["durationMs"]),
            run["triggeredBy"],
            terminal.cut(terminal.summary(run, width=200)),
        )
    return table
