"""`kronik trigger`, `rerun`, `cancel`, `logs`: one run, through the HTTP API."""

import json
import uuid
from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from services.cli import api, target, terminal
from services.cli.api import Api, Unreachable
from services.cli.usage import BadUsage
from services.infra.printable import one_line

RUNS = "/api/admin/job-run"
_WAIT_S = 10
"""Well within what a call may take."""
_ASKED_WITHIN_S = 10.0

Params = Annotated[list[str], Parameter(name=("--param", "-p"), negative="")]
Confirmed = Annotated[bool, Parameter(name=("--yes", "-y"), negative="", help="Don't ask.")]
DryRun = Annotated[bool, Parameter(negative="", help="Do nothing; say what would be done.")]


def trigger_command(
    job: str,
    /,
    *,
    param: Params | None = None,
    wait: bool = False,
    yes: Confirmed = False,
    dry_run: DryRun = False,
    json: terminal.AsJson = False,
) -> int:
    """Ask for a run. Exit status 0, with --wait 1 if the run failed.

    Parameters
    ----------
    job
        The job type, as `kronik jobs` lists them.
    param
        NAME=VALUE, any number of times. VALUE is JSON where it can be read so, else text: -p month=2026-10 -p n=3
    wait
        Return when the run has finished: 0 for SUCCESS and PARTIAL, 1 for FAILED. A restart of the API meanwhile does
        no harm.
    """
    body: dict[str, object] = {"jobType": job}
    if param:
        body["params"] = parse_params(param)
    return _ask(f"{RUNS}/trigger", body, wait=wait, yes=yes, dry_run=dry_run, as_json=json)


def rerun_command(
    id: int,
    /,
    *,
    param: Params | None = None,
    wait: bool = False,
    yes: Confirmed = False,
    dry_run: DryRun = False,
    json: terminal.AsJson = False,
) -> int:
    """Run a finished run's job again, as it was or with other params. Exit status as of `kronik trigger`.

    Parameters
    ----------
    id
        The run's, as `kronik history` lists them.
    param
        NAME=VALUE, any number of times: instead of all the params that the run had.
    wait
        Return when the new run has finished.
    """
    body: dict[str, object] = {"params": parse_params(param)} if param else {}
    return _ask(f"{RUNS}/{id}/rerun", body, wait=wait, yes=yes, dry_run=dry_run, as_json=json)


def cancel_command(id: int, /, *, dry_run: DryRun = False, json: terminal.AsJson = False) -> int:
    """Ask for a run to stop. Exit status 1 where it is finished already.

    Parameters
    ----------
    id
        The run's, as `kronik history` lists them.
    """
    with api.connect(target.find()) as calls:
        answer = calls.post(f"{RUNS}/{id}/cancel", query=dry(dry_run))
    if json:
        terminal.print_json(answer)
    elif dry_run:
        print_plan(answer)
    else:
        _print_run(answer)
    return 0


def dry(dry_run: bool) -> api.Query:
    return [("dryRun", dry_run or None)]


def print_plan(plan: dict[str, Any]) -> None:
    """What would be done, and what is worth knowing before."""
    terminal.print_line(f"would: {plan['does']}")
    for note in plan.get("notes") or []:
        terminal.print_line(f"  {note}")
    for heading, slots in (("next slots", plan.get("nextSlots")), ("skips", plan.get("skips"))):
        if slots:
            terminal.print_line(
                f"  {heading} ({terminal.zone()}): {', '.join(terminal.instant(one)[:16] for one in slots)}"
            )


def parse_params(params: list[str]) -> dict[str, object]:
    """Raises BadUsage."""
    parsed: dict[str, object] = {}
    for each in params:
        name, equals, text = each.partition("=")
        if not name or not equals:
            raise BadUsage(f"--param {each}: expected NAME=VALUE")
        parsed[name] = _value(name, text)
    return parsed


def _value(name: str, text: str) -> object:
    """Python reads as JSON what JSON can't say: NaN, numbers without end, halves of characters. Raises BadUsage."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    except RecursionError:
        raise _not_json(name, text) from None
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise _not_json(name, text) from None
    return value


def _not_json(name: str, text: str) -> BadUsage:
    return BadUsage(
        f"--param {name}={text[:80]}: expected JSON of finite numbers and whole characters, or text;"
        f""" what is text all the same is put in quotes: '{name}="NaN"'"""
    )


def _ask(path: str, body: dict[str, object], *, wait: bool, yes: bool, dry_run: bool, as_json: bool) -> int:
    """Ask for a run, and wait for it where that is wished; a key makes it one run however often it is asked for.

    Raises BadUsage where its job wants to be confirmed and is not.
    """
    if not (yes or dry_run):
        _confirm(path, body, patiently=wait)
    key = uuid.uuid4().hex

    def ask(calls: Api) -> Any:
        return calls.post(path, body, query=dry(dry_run), key=None if dry_run else key)

    with api.connect(target.find()) as calls:
        try:
            answer = ask(calls)
        except Unreachable:
            if not wait:
                raise
            answer = api.insist(ask, patience_s=_ASKED_WITHIN_S)
    if wait and not dry_run:
        answer = follow(answer)
    if as_json:
        terminal.print_json(answer)
    elif dry_run:
        print_plan(answer)
    else:
        _print_run(answer)
    return 1 if answer.get("status") == "FAILED" else 0


def _confirm(path: str, body: dict[str, object], *, patiently: bool) -> None:
    def plan(calls: Api) -> Any:
        return calls.post(path, body, query=dry(True))

    with api.connect(target.find()) as calls:
        planned = api.insist(plan, patience_s=_ASKED_WITHIN_S) if patiently else plan(calls)
    question = planned.get("confirm") or {}
    asked = question.get("en") or next(iter(question.values()), "")
    if asked and not terminal.confirmed(one_line(asked)):
        raise BadUsage(f"{planned['jobType']} was not run: {one_line(asked)} Confirm it with --yes")


def follow(run: dict[str, Any]) -> dict[str, Any]:
    """The run once it has finished, whatever becomes of the API meanwhile; it is named at once, on stderr."""
    id, job_type = run["id"], run["jobType"]
    terminal.say(f"{job_type} run {id} is {run['phase']}; `kronik show {id}` tells of it")
    with terminal.err.status("", spinner="dots") as spinner:
        while run["completedAt"] is None:
            spinner.update(Text(f"{job_type} run {id} is {run['phase']}"))
            run = api.insist(lambda calls: calls.get(f"{RUNS}/{id}", [("wait", _WAIT_S)]))
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
