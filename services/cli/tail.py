"""`kronik tail`: events as they are stored."""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator

from kronik import subjects
from kronik.errors import InvalidEvent, InvalidName
from kronik.events import Recorded
from nats.aio.client import Client
from rich.text import Text

from services.cli import stream, target, terminal
from services.cli.event_words import as_json, words
from services.infra.lifecycle import run_until_ctrl_c
from services.infra.printable import one_line
from services.log.event_reader import ReaderLost, Stored, open_reader

_AGAIN_AFTER_S = 1.0


def tail_command(*, job: str | None = None, since: int = 0, json: terminal.AsJson = False) -> int:
    """Print every event as it happens, until Ctrl-C (exit status 0).

    Parameters
    ----------
    job
        Only of this job type.
    since
        Begin with the event at this sequence; 0 for what comes from now on.
    """
    try:
        run_until_ctrl_c(_tail(target.find().nats(), job, since, as_lines=json))
    except KeyboardInterrupt:
        return 0
    return 0


async def _tail(nats_url: str, job: str | None, since: int, *, as_lines: bool) -> None:
    async with stream.connect(nats_url) as log:
        filters = _filters(job)
        last = await log.last(subjects.ALL)
        start = since or (last.sequence if last else 0) + 1
        if not as_lines:
            terminal.say("waiting for events; Ctrl-C ends")
        while True:
            try:
                async for stored in _stored(log.connection, start, filters):
                    _print(stored, as_lines=as_lines)
                    start = stored.sequence + 1
            except ReaderLost as lost:
                terminal.say(f"{lost}; trying again")
                await asyncio.sleep(_AGAIN_AFTER_S)


async def _stored(connection: Client, start: int, filters: tuple[str, ...]) -> AsyncIterator[Stored]:
    name = f"tail-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    async with open_reader(connection, name=name, start=start, filters=filters) as reader:
        async for batch in reader:
            for stored in batch:
                yield stored


def _filters(job: str | None) -> tuple[str, ...]:
    if job is None:
        return ()
    runs = f"jobs.run.{subjects.check_job_type(job)}.>"
    return (
        subjects.triggers_of(job),
        runs,
        subjects.slots_of(job),
        subjects.definition(job),
        subjects.schedule(job),
    )


def _print(stored: Stored, *, as_lines: bool) -> None:
    try:
        recorded = stored.decode()
    except (InvalidName, InvalidEvent) as error:
        terminal.say(one_line(f"#{stored.sequence} {stored.subject}: {error}"))
        return
    if as_lines:
        terminal.print_line(terminal.json_line(as_json(recorded)))
    else:
        terminal.print_line(_line(recorded))


def _line(recorded: Recorded) -> Text:
    said = words(recorded.data)
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
