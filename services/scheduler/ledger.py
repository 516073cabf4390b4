"""The slot ledger of a job: every due slot becomes exactly one event on `jobs.slot.<JOB>.*`.

It is one aggregate: whoever appends to it expects its last event to be the one he knows, so of any number of schedulers
one decides each slot, whatever they decide and however long one of them was stopped with the append in its hands. A
slot that fires has its trigger before it in the same atomic batch: neither stands without the other. Should a power cut
tear the batch all the same (docs/adr/0013), its beginning is left: a slot's trigger tells that it was handled, while
`fired` without its run would be a run lost.

What was handled last is the slot of the ledger's last event, unless that lies in a future that never came: a slot that
was handled before its time, by a clock that has been put back since, is not believed, and comes again.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, assert_never

from kronik import subjects
from kronik.events import Recorded, SlotFired, SlotSkipped, Triggered
from msgspec import Struct

from services.infra import logs
from services.log.append import Conflict, Entry, EventLog, Expected
from services.scheduler.decisions import Decision, Fire, Skip
from services.scheduler.stream_time import Time

log = logs.get()

EARLY: Final = timedelta(seconds=1)
"""How far ahead of its time a slot may be handled and still be believed: servers of a cluster differ by less."""

_JOBS_AT_ONCE: Final = 100
"""Their last events per subject are at most a thousand, the most that the server gives at once."""
_FIRST_STEP_BACK: Final = 1_000
_PATIENCE_S: Final = 5.0


class Position(Struct, frozen=True):
    """Where a job's ledger stands.

    sequence: of its last event, 0 for none: what the next append expects. handled: the last slot that was handled, and
    stored_at, when that was. trigger: the sequence of the last trigger that is known.
    """

    sequence: int = 0
    handled: datetime | None = None
    stored_at: datetime | None = None
    trigger: int = 0

    def is_believed(self, stream_now: datetime, ahead: timedelta) -> bool:
        """stream_now, ahead: see Time."""
        if self.handled is None or self.stored_at is None:
            return True
        return self.handled <= self.stored_at + ahead + EARLY and self.stored_at <= stream_now + EARLY


class Written(Struct, frozen=True):
    """The decisions stand. fired: run ids by slot."""

    position: Position
    fired: dict[datetime, int]


class Ledger:
    """The ledgers of all jobs, on one log."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def look(self, jobs: Sequence[str], time: Time) -> dict[str, Position]:
        """Where the ledgers of these jobs stand. Raises LogUnavailable."""
        found: dict[str, Position] = {}
        for begin in range(0, len(jobs), _JOBS_AT_ONCE):
            some = jobs[begin : begin + _JOBS_AT_ONCE]
            filters = [filter for job in some for filter in (subjects.slots_of(job), _cron(job))]
            last: dict[str, list[Recorded]] = {job: [] for job in some}
            for recorded in await self._log.last_of_each(filters):
                last[recorded.subject.split(".")[2]].append(recorded)
            for job, events in last.items():
                found[job] = await self._position(job, events, time)
        return found

    async def _position(self, job: str, events: list[Recorded], time: Time) -> Position:
        """events: the last one of each of the job's subjects."""
        if not events:
            return Position()
        newest_first = sorted(events, key=lambda each: each.sequence, reverse=True)
        triggers = [each.sequence for each in events if each.subject == _cron(job)]
        sequence = max((each.sequence for each in events if each.subject != _cron(job)), default=0)
        position = Position(sequence, trigger=triggers[0] if triggers else 0)
        told = _at(position, newest_first[0])
        if told is not None and told.is_believed(time.stream_now(), time.ahead):
            return told
        # The clock may have been turned on since it was looked at: whoever wrote the event had looked by then.
        await time.look()
        if told is not None and told.is_believed(time.stream_now(), time.ahead):
            return told
        return await self._search(job, position, newest_first[0].sequence, time)

    async def _search(self, job: str, position: Position, last: int, time: Time) -> Position:
        """The last event names no slot (somebody's own cron trigger), or one in a future that never came."""
        log.warning("ledger_not_believed", job=job, sequence=last)
        back = _FIRST_STEP_BACK
        while True:
            start = max(1, last - back)
            for recorded in reversed(await self._from(job, start)):
                told = _at(position, recorded)
                if told is not None and told.is_believed(time.stream_now(), time.ahead):
                    return told
            if start == 1:
                return position
            back *= 8

    async def _from(self, job: str, start: int) -> list[Recorded]:
        found: list[Recorded] = []
        for filter in (subjects.slots_of(job), _cron(job)):
            at = start
            while page := await self._log.read(filter, start=at):
                found += page
                at = page[-1].sequence + 1
        return sorted(found, key=lambda each: each.sequence)

    async def append(
        self, job: str, position: Position, decisions: Sequence[Decision], stream_now: datetime
    ) -> Written | None:
        """All of the decisions, as one; None where the ledger is not as the position says: look again, decide again.

        stream_now: the stream's own time. Raises LogUnavailable, LogRefused.
        """
        entries = _entries(job, position, decisions, uuid.uuid4().hex[:12])
        answer = await self._log.append_unit(entries, patience_s=_PATIENCE_S)
        if isinstance(answer, Conflict):
            return None
        return _written(job, position, decisions, [each.sequence for each in answer], entries, stream_now)


def _entries(job: str, position: Position, decisions: Sequence[Decision], token: str) -> list[Entry]:
    """Only the first slot expects: all else stands or falls with it."""
    events = [each for decision in decisions for each in _events(job, decision, f"{job}@{iso(decision.slot)}.{token}")]
    expected = Expected(subjects.slots_of(job), position.sequence)
    guard = 1 if isinstance(decisions[0], Fire) else 0
    return [
        Entry(subject, event, id, expected if place == guard else None, about=job)
        for place, (subject, event, id) in enumerate(events)
    ]


def _events(job: str, decision: Decision, id: str) -> list[tuple[str, SlotFired | SlotSkipped | Triggered, str]]:
    match decision:
        case Fire(slot=slot):
            return [
                (_cron(job), Triggered(scheduled_for=slot), f"{id}.run"),
                (subjects.slot(job, "fired"), SlotFired(scheduled_for=slot), id),
            ]
        case Skip(slot=slot, outcome=outcome, reason=reason):
            skipped = SlotSkipped(scheduled_for=slot, outcome=outcome, reason=reason)
            return [(subjects.slot(job, outcome), skipped, id)]
        case _:
            assert_never(decision)


def _written(
    job: str,
    position: Position,
    decisions: Sequence[Decision],
    sequences: Sequence[int],
    entries: Sequence[Entry],
    stream_now: datetime,
) -> Written:
    triggers = [at for at, entry in zip(sequences, entries, strict=True) if entry.subject == _cron(job)]
    slots = [at for at, entry in zip(sequences, entries, strict=True) if entry.subject != _cron(job)]
    fired = dict(zip((each.slot for each in decisions if isinstance(each, Fire)), triggers, strict=True))
    trigger = triggers[-1] if triggers else position.trigger
    return Written(Position(slots[-1], decisions[-1].slot, stream_now, trigger), fired)


def _at(position: Position, recorded: Recorded) -> Position | None:
    match recorded.data:
        case Triggered(scheduled_for=slot) | SlotFired(scheduled_for=slot) | SlotSkipped(scheduled_for=slot) if slot:
            return Position(position.sequence, slot, recorded.time, position.trigger)
    return None


def _cron(job: str) -> str:
    return subjects.trigger(job, subjects.CRON)


def iso(slot: datetime) -> str:
    """`2026-10-25T00:30:00Z`"""
    return slot.isoformat().replace("+00:00", "Z")
