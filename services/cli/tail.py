"""`kronik tail`: events as they are stored."""

import os
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence

from kronik import subjects
from kronik.errors import InvalidEvent, InvalidName
from kronik.events import Recorded
from rich.text import Text

from services.cli import api, stream, target, terminal
from services.cli.api import Refused, Unreachable
from services.cli.event_words import as_json, words
from services.cli.target import NotRunning, Target
from services.infra.lifecycle import run_until_ctrl_c
from services.infra.printable import one_line
from services.log.append import EventLog
from services.log.stored import Position, Stored
from services.log.subscription import StreamReplaced, Subscription


def tail_command(*, job: str | None = None, since: int = 0, json: terminal.AsJson = False) -> int:
    """Print every event as it happens, until Ctrl-C (exit status 0).

    Parameters
    ----------
    job
        Only of this job type.
    since
        Begin with the event at this sequence; 0 for what comes from now on.
    """
    to = target.find()
    names = None if json else _names(to)
    try:
        run_until_ctrl_c(_tail(to.nats(), job, since, names))
    except KeyboardInterrupt:
        return 0
    return 0


def _names(to: Target) -> dict[str, str]:
    """Of all accounts, by their ids; none where there is no API to ask, or where it tells them to admins alone."""
    try:
        with api.connect(to) as calls:
            return {str(one["id"]): one["name"] for one in calls.get("/api/admin/access/account")}
    except (NotRunning, Unreachable, Refused):
        return {}


async def _tail(nats_url: str, job: str | None, since: int, names: Mapping[str, str] | None) -> None:
    """names: of accounts, by their ids; None for lines of JSON."""
    belongs = _chosen(job)

    async def take(batch: Sequence[Stored]) -> None:
        for stored in batch:
            if belongs(stored.subject):
                _print(stored, names)

    async with stream.connect(nats_url) as log:
        if names is not None:
            terminal.say("waiting for events; Ctrl-C ends")
        start = since
        while True:
            start = start or await _end(log) + 1
            try:
                await _subscription(log, take, start).run()
            except StreamReplaced as replaced:
                terminal.say(f"{replaced} Going on with what comes from now on.")
                start = 0


async def _end(log: EventLog) -> int:
    last = await log.last(subjects.ALL)
    return last.sequence if last else 0


def _subscription(log: EventLog, take: Callable[[Sequence[Stored]], Awaitable[None]], start: int) -> Subscription:
    def said(problem: str | None) -> None:
        if problem is not None:
            terminal.say(f"{problem}; trying again")

    # Without a dash: an operator's consumers have none, see log.accounts.
    name = f"tail_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    return Subscription(log.connection, name, take, position=Position(start - 1, ""), on_problem=said)


def _chosen(job: str | None) -> Callable[[str], bool]:
    """Whether an event on this subject is to be shown."""
    if job is None:
        return lambda subject: True
    token = subjects.check_job_type(job)
    return lambda subject: subject.split(".")[2:3] == [token]


def _print(stored: Stored, names: Mapping[str, str] | None) -> None:
    try:
        recorded = stored.decode()
    except (InvalidName, InvalidEvent) as error:
        terminal.say(one_line(f"#{stored.sequence} {stored.subject}: {error}"))
        return
    if names is None:
        terminal.print_line(terminal.json_line(as_json(recorded)))
    else:
        terminal.print_line(_line(recorded, names))


def _line(recorded: Recorded, names: Mapping[str, str]) -> Text:
    said = words(recorded.data, names)
    return Text.assemble(
        (f"{terminal.instant(recorded.time)} #{recorded.sequence:<6} ", "dim"),
        f"{_about(recorded.subject)} ",
        (said.name, said.style),
        f"  {one_line(said.details)}" if said.details else "",
    )


def _about(subject: str) -> str:
    place = subjects.parse(subject)
    match place:
        case subjects.RunSubject():
            return f"{place.job_type} run {place.run_id}"
        case subjects.TriggerSubject():
            return f"{place.job_type} ({place.origin})"
        case subjects.ServiceSubject():
            return f"service {place.origin}"
        case _:
            return place.job_type
