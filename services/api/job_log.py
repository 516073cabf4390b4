"""What jobs say while they run: log lines and progress, from the stream JOBLOG. Kept two weeks, and not truth."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

import msgspec
from kronik import subjects
from msgspec import UNSET, Struct, UnsetType
from nats.aio.client import Client

from services.log import jetstream
from services.log.stored import Stored

_BATCH: Final = 1000
_KEPT: Final = 1000
_TAILS: Final = 32


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


def until(said: JobLog, time: datetime) -> JobLog:
    """What had been said until then; how far the job was is told of now alone."""
    return JobLog([line for line in said.lines if line.time <= time], said.left_out, None)


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


class Page(Struct, frozen=True):
    """lines: with their places in the log, from 1. total: how many there are; progress: the latest.

    not_passed_on: lines that the runner counted and dropped, because the job wrote too fast.
    """

    lines: list[tuple[int, Line]]
    total: int
    progress: Progress | None
    not_passed_on: int = 0


class _Tail:
    """One run's log as far as it was read: its newest lines, and where to read on."""

    def __init__(self) -> None:
        self.lines: deque[tuple[int, Line]] = deque(maxlen=_KEPT)
        self.total = 0
        self.not_passed_on = 0
        self.progress: Progress | None = None
        self.start = 1
        self.reading = asyncio.Lock()

    def add(self, messages: list[Stored]) -> None:
        for said in filter(None, map(_decode, messages)):
            self.progress = said.progress or self.progress
            self.not_passed_on += said.left_out
            if said.event is not UNSET:
                self.total += 1
                self.lines.append((self.total, Line(said.time, said.level, said.event, said.attempt, said.fields)))
        if messages:
            self.start = messages[-1].sequence + 1


class Tails:
    """The logs that are looked at now: however many look, however often, each line is read from the stream once."""

    def __init__(self) -> None:
        self._tails: OrderedDict[int, _Tail] = OrderedDict()

    async def newest(self, connection: Client, job_type: str, run_id: int, keep: int) -> Page:
        """The newest lines, oldest first. Raises LogUnavailable."""
        tail = self._tails.pop(run_id, None) or _Tail()
        self._tails[run_id] = tail
        while len(self._tails) > _TAILS:
            self._tails.popitem(last=False)
        async with tail.reading:
            async for batch in _batches(connection, job_type, run_id, tail.start):
                tail.add(batch)
        return Page(list(tail.lines)[-keep:], tail.total, tail.progress, tail.not_passed_on)


async def search(
    connection: Client,
    job_type: str,
    run_id: int,
    text: str,
    before: int | None,
    keep: int,
    until: datetime | None = None,
) -> Page:
    """The newest lines before this place that hold the text. Reads all of the log. Raises LogUnavailable.

    until: as if nothing had been said after it.
    """
    found: deque[tuple[int, Line]] = deque(maxlen=keep)
    total, wanted = 0, text.casefold()
    async for batch in _batches(connection, job_type, run_id, 1):
        for said in filter(None, map(_decode, batch)):
            if said.event is UNSET or (until is not None and said.time > until):
                continue
            total += 1
            line = Line(said.time, said.level, said.event, said.attempt, said.fields)
            if (before is None or total < before) and wanted in _whole(line):
                found.append((total, line))
    return Page(list(found), total, None)


def _whole(line: Line) -> str:
    return " ".join((line.level, line.event, *(f"{name}={value}" for name, value in line.fields.items()))).casefold()


async def lines(connection: Client, job_type: str, run_id: int) -> AsyncIterator[Line]:
    """All of them, oldest first. Raises LogUnavailable."""
    async for batch in _batches(connection, job_type, run_id, 1):
        for said in filter(None, map(_decode, batch)):
            if said.event is not UNSET:
                yield Line(said.time, said.level, said.event, said.attempt, said.fields)


async def _batches(connection: Client, job_type: str, run_id: int, start: int) -> AsyncIterator[list[Stored]]:
    while True:
        query = {"seq": start, "next_by_subj": subjects.log_lines(job_type, run_id), "batch": _BATCH}
        batch = await jetstream.get(connection, query, stream=subjects.LOG_STREAM)
        if batch:
            yield batch
        if len(batch) < _BATCH:
            return
        start = batch[-1].sequence + 1


async def read(connection: Client, job_type: str, run_id: int, keep: int = 200) -> JobLog:
    """The log of a run, of all its attempts. Raises LogUnavailable."""
    page = await Tails().newest(connection, job_type, run_id, keep)
    return JobLog([line for _, line in page.lines], page.total - len(page.lines) + page.not_passed_on, page.progress)


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
