"""What a scheduler must know of the runs at its start, without reading the history: those that have no end yet.

Up to a job's acknowledgement floor all is settled: a runner acknowledges a trigger once its run has ended. So the
open runs are among the triggers behind the floor, and of those the last event of each of their subjects says
which. What is read grows with what is open, not with what ever was. The last events before the floor are looked at too,
for triggers that were acknowledged by somebody's mistake while no scheduler was there to see it.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from kronik import subjects
from kronik.errors import InvalidName
from kronik.events import Recorded, Unknown

from services.infra import logs
from services.log import jetstream
from services.log.append import EventLog
from services.log.jetstream import LogClosed, LogUnavailable
from services.log.stored import START, Position
from services.scheduler.open_runs import OpenRuns

logger = logs.get()

_MARGIN: Final = 2_000
"""Sequences before a floor that are looked at as well."""
_AGAIN_AFTER_S: Final = 0.5
_RUNS_AT_ONCE: Final = 140
"""A run has at most seven subjects, and the server tells of a thousand at once."""


async def begin(log: EventLog, runs: OpenRuns) -> Position:
    """Tell `runs` of every run that is open now; where to follow the stream from. Waits while NATS is away."""
    while True:
        try:
            return await _begin(log, runs)
        except LogClosed:
            raise
        except LogUnavailable as away:
            logger.warning("start_delayed", problem=str(away))
            await asyncio.sleep(_AGAIN_AFTER_S)


async def _begin(log: EventLog, runs: OpenRuns) -> Position:
    state = (await jetstream.stream_info(log.connection)).state
    if state.messages == 0:
        return START
    stored = await jetstream.get(log.connection, {"seq": state.last_seq})
    floors = {each.name: each.ack_floor.stream_seq for each in await jetstream.consumers(log.connection)}
    for job_type in await _job_types(log):
        floor = floors.get(subjects.runner_consumer(job_type), 0)
        await _tell(log, runs, job_type, max(state.first, floor + 1 - _MARGIN), state.last_seq)
    return stored[0].position if stored else Position(state.last_seq, "")


async def _job_types(log: EventLog) -> list[str]:
    """Those that a run was ever asked for of."""
    found: set[str] = set()
    for subject in await jetstream.subjects_of(log.connection, subjects.TRIGGERS):
        try:
            place = subjects.parse(subject)
        except InvalidName:
            continue
        if isinstance(place, subjects.TriggerSubject):
            found.add(place.job_type)
    return sorted(found)


async def _tell(log: EventLog, runs: OpenRuns, job_type: str, start: int, last: int) -> None:
    at = start
    while page := await log.read(subjects.triggers_of(job_type), start=at):
        triggers = [each for each in page if each.sequence <= last]
        for some in _parts(triggers):
            await _tell_of(log, runs, job_type, some)
        if len(triggers) < len(page):
            return
        at = page[-1].sequence + 1


async def _tell_of(log: EventLog, runs: OpenRuns, job_type: str, triggers: Sequence[Recorded]) -> None:
    filters = [subjects.run_aggregate(job_type, each.sequence) for each in triggers]
    events = sorted(await log.last_of_each(filters), key=lambda each: each.sequence)
    for recorded in (*triggers, *(each for each in events if not isinstance(each.data, Unknown))):
        runs.note(recorded.subject, recorded.sequence)


def _parts(triggers: Sequence[Recorded]) -> Iterator[Sequence[Recorded]]:
    for begin in range(0, len(triggers), _RUNS_AT_ONCE):
        yield triggers[begin : begin + _RUNS_AT_ONCE]
