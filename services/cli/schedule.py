"""`kronik pause`, `resume`, `schedule`, `retire`: when a job runs by itself, through the HTTP API."""

from typing import Annotated, Any, Literal

from cyclopts import Parameter
from kronik import subjects

from services.cli import api, target, terminal
from services.cli.instants import instant
from services.cli.runs import Confirmed, DryRun, dry, print_plan
from services.cli.usage import BadUsage

CODE = "code"
"""The word for: what the job's code says."""

Given = Annotated[str | None, Parameter(negative="")]


def pause_command(
    job: str,
    /,
    *,
    reason: str | None = None,
    until: str | None = None,
    dry_run: DryRun = False,
    json: terminal.AsJson = False,
) -> int:
    """Keep a job's slots from starting runs, until `kronik resume`. Runs that wait already still run.

    Parameters
    ----------
    job
        The job type.
    reason
        Why, for who wonders later.
    until
        When the pause ends by itself: 2026-12-01T08:00, in this machine's time zone unless it says another.
    """
    body = {"reason": reason, "until": instant(until) if until else None}
    return _do(job, "pause", body, dry_run=dry_run, as_json=json)


def resume_command(job: str, /, *, dry_run: DryRun = False, json: terminal.AsJson = False) -> int:
    """Let a paused job's slots start runs again.

    Parameters
    ----------
    job
        The job type.
    """
    return _do(job, "resume", None, dry_run=dry_run, as_json=json)


def schedule_command(
    job: str,
    cron: str | None = None,
    /,
    *,
    tz: str | None = None,
    catch_up: Literal["latest", "all", "none", "code"] | None = None,
    overlap: Literal["queue", "skip", "code"] | None = None,
    deadline_ms: str | None = None,
    max_queued: str | None = None,
    when_full: Literal["refuse", "coalesce", "code"] | None = None,
    dry_run: DryRun = False,
    json: terminal.AsJson = False,
) -> int:
    """Change when a job runs by itself; without anything to change, show when it does.

    What is not named stays as it is; the word `code` gives a field back to the job's code.

    Parameters
    ----------
    job
        The job type.
    cron
        Five cron fields, in quotes: "30 3 * * MON-FRI". docs/schedules.md explains them.
    tz
        The IANA time zone that they are in: Europe/Copenhagen.
    catch_up
        Which slots run after a downtime.
    overlap
        What becomes of a slot while a run of the job is open.
    deadline_ms
        A slot that is late by more milliseconds than this is missed; 0 for no limit.
    max_queued
        How many of its runs may wait; 0 for no limit.
    when_full
        What becomes of one more.
    """
    named = {"cron": cron, "tz": tz, "catchUp": catch_up, "overlap": overlap, "whenFull": when_full}
    body: dict[str, object] = {name: None if value == CODE else value for name, value in named.items() if value}
    for name, text in (("deadlineMs", deadline_ms), ("maxQueued", max_queued)):
        if text is not None:
            body[name] = None if text == CODE else _number(name, text)
    if body:
        return _do(job, "schedule", body, dry_run=dry_run, as_json=json)
    with api.connect(target.find()) as calls:
        found = calls.get(_path(job))
    _show(found, as_json=json)
    return 0


def retire_command(
    job: str,
    /,
    *,
    reason: str | None = None,
    yes: Confirmed = False,
    dry_run: DryRun = False,
    json: terminal.AsJson = False,
) -> int:
    """Take a job out of use: no slots, no triggers, until a runner announces another definition of it.

    Parameters
    ----------
    job
        The job type.
    reason
        Why, for who wonders later.
    """
    if not (yes or dry_run or terminal.confirmed(f"Take {job} out of use?")):
        raise BadUsage(f"{job} was not retired: confirm it with --yes")
    return _do(job, "retire", {"reason": reason}, dry_run=dry_run, as_json=json)


def _number(name: str, text: str) -> int:
    """Raises BadUsage."""
    if not text.isdecimal():
        raise BadUsage(f"{name}: expected a number or `{CODE}`, got {text}")
    return int(text)


def _path(job: str) -> str:
    """Raises InvalidName."""
    return f"/api/admin/job/{subjects.check_job_type(job)}"


def _do(job: str, command: str, body: dict[str, Any] | None, *, dry_run: bool, as_json: bool) -> int:
    with api.connect(target.find()) as calls:
        answer = calls.post(f"{_path(job)}/{command}", body, query=dry(dry_run))
    if dry_run and not as_json:
        print_plan(answer)
    else:
        _show(answer, as_json=as_json)
    return 0


def _show(job: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        terminal.print_json(job)
        return
    terminal.print_line(f"{job['jobType']}: {job['scheduleInWords'].get('en') or 'by hand'}")
    if job["retired"]:
        terminal.print_line("  it is retired")
    if job["pause"]:
        terminal.print_line(f"  paused{_because(job)}")
    if job["nextSlots"]:
        listed = ", ".join(terminal.instant(one)[:16] for one in job["nextSlots"])
        terminal.print_line(f"  next ({terminal.zone()}): {listed}")
    changed = {field: who for field, who in job["comesFrom"].items() if who != CODE}
    for field, who in changed.items():
        terminal.print_line(f"  {field} was given by {job['names'].get(who, who)}")


def _because(job: dict[str, Any]) -> str:
    pause = job["pause"]
    by = f" by {job['names'].get(pause['by'], pause['by'])}" if pause.get("by") else ""
    until = f" until {terminal.instant(pause['until'])[:16]}" if pause.get("until") else ""
    return f"{by}{until}" + (f": {pause['reason']}" if pause.get("reason") else "")
