"""What jobs say while they run: log lines and progress, from the stream JOBLOG. Kept two weeks, and not truth."""

from collections import deque
from datetime import datetime
from typing import Any, Final

import msgspec
from kronik import subjects
from msgspec import UNSET, Struct, UnsetType
from nats.aio.client import Client

from services.log import jetstream
from services.log.stored import Stored

_BATCH: Final = 1000


class Line(Struct, frozen=True, rename="camel"):
    """One line of a job's log. time: the runner's clock."""

    time: datetime
    level: str
    event: str
    attempt: int = 0
    fields: dict[str, Any] = {}


class Progress(Struct, frozen=True, rename="camel"):
    """How far a job is: `done` of `total`, where a total is known."""

    done: int
    total: int | None = None
    text: str = ""


class JobLog(Struct, frozen=True, rename="camel"):
    """lines: the newest, oldest first. left_out: how many more there were. progress: the latest."""

    lines: list[Line]
    left_out: int
    progress: Progress | None


class _Message(Struct, frozen=True):
    """A message is a line or a progress. left_out: in a runner's word of how many lines it did not pass on."""

    time: datetime
    level: str = "info"
    event: str | UnsetType = UNSET
    attempt: int = 0
    fields: dict[str, Any] = {}
    progress: Progress | None = None
    left_out: int = msgspec.field(default=0, name="leftOut")


_messages: Final = msgspec.json.Decoder(_Message)


async def read(connection: Client, job_type: str, run_id: int, keep: int = 200) -> JobLog:
    """The log of a run, of all its attempts. Raises LogUnavailable."""
    lines: deque[Line] = deque(maxlen=keep)
    count, not_passed_on, progress, start = 0, 0, None, 1
    while True:
        query = {"seq": start, "next_by_subj": subjects.log_lines(job_type, run_id), "batch": _BATCH}
        batch = await jetstream.get(connection, query, stream=subjects.LOG_STREAM)
        for said in filter(None, map(_decode, batch)):
            progress = said.progress or progress
            not_passed_on += said.left_out
            if said.event is not UNSET:
                count += 1
                lines.append(Line(said.time, said.level, said.event, said.attempt, said.fields))
        if len(batch) < _BATCH:
            return JobLog(list(lines), count - len(lines) + not_passed_on, progress)
        start = batch[-1].sequence + 1


async def latest_progress(connection: Client, job_type: str, run_id: int) -> Progress | None:
    """The progress if it is the last that the job said; a runner writes it behind the lines. Raises LogUnavailable."""
    query = {"last_by_subj": subjects.log_lines(job_type, run_id)}
    found = await jetstream.get(connection, query, stream=subjects.LOG_STREAM)
    said = _decode(found[0]) if found else None
    return said.progress if said else None


def _decode(stored: Stored) -> _Message | None:
    """None for what is no line: anybody who may publish here can write anything."""
    try:
        return _messages.decode(stored.body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
