"""The slot ledger of a job: every due slot becomes exactly one event on `jobs.slot.<JOB>.*`.

It is one aggregate: whoever appends to it expects its last event to be the one he knows, so of any number of schedulers
one decides each slot, whatever they decide and however long one of them was stopped with the append in its hands. A
slot that fires has its trigger behind it in the same atomic batch: neither stands without the other.

What was handled last is the slot of the ledger's last event, unless that lies in a future that never came: a slot that
was handled before its time, by a clock that has been put back since, is not believed, and comes again.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, assert_never

from kronik import codec, subjects
from kronik.events import Recorded, SlotFired, SlotSkipped, Triggered
from msgspec import Struct

from services.infra import logs
from services.log.append import EventLog, LogRefused, LogUnavailable
from services.log.committer import Committer, Message, Refused, Stored, Unit, expecting
from services.scheduler.decisions import Decision, Fire, Skip
from services.scheduler.stream_time import Time

log = logs.get()

EARLY: Final = timedelta(seconds=60)
"""How far ahead of its time a slot may be handled and still be believed: servers of a cluster differ by less."""

_JOBS_AT_ONCE: Final = 100
"""Their last events per subject are at most a thousand, the most that the server gives at once."""
_FIRST_STEP_BACK: Final = 1_000


class Position(Struct, frozen=True):
    """Where a job's ledger stands.

    sequence: of its last event, 0 for none: what the next append expects. handled: the last slot that was handled, and
    stored_at, when that was. trigger: the sequence of the last trigger that is known.
    """

    sequence: int = 0
    handled: datetime | None = None
    stored_at: datetime | None = None
    trigger: int = 0

    def is_believed(self, now: datetime, ahead: timedelta) -> bool:
        """now, ahead: see Time."""
        if self.handled is None or self.stored_at is None:
            return True
        return self.handled <= self.stored_at + ahead + EARLY and self.stored_at <= now - ahead + EARLY


class Written(Struct, frozen=True):
    """The decisions stand. fired: run ids by slot."""

    position: Position
    fired: dict[datetime, int]


class Ledger:
    """log: for reading. source: what the events name as their writer."""

    def __init__(self, log: EventLog, committer: Committer) -> None:
        self._log = log
        self._committer = committer

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
        if told is not None and told.is_believed(time.now(), time.ahead):
            return told
        # The clock may have been turned on since it was looked at: whoever wrote the event had looked by then.
        await time.look()
        if told is not None and told.is_believed(time.now(), time.ahead):
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
                if told is not None and told.is_believed(time.now(), time.ahead):
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
        token = uuid.uuid4().hex[:12]
        unit = self._unit(job, position, decisions, token)
        answer = await self._committer.commit(unit)
        if isinstance(answer, Stored):
            sequences = answer.sequences
        else:
            begin = await self._settled(job, position, f"{job}@{iso(decisions[0].slot)}.{token}", answer)
            if begin is None:
                return None
            sequences = tuple(range(begin, begin + len(unit)))
        return _written(job, position, decisions, sequences, unit, stream_now)

    def _unit(self, job: str, position: Position, decisions: Sequence[Decision], token: str) -> Unit:
        """Only its first message expects: all the others stand or fall with it."""
        messages: list[Message] = []
        ledger = subjects.slots_of(job)
        for decision in decisions:
            id = f"{job}@{iso(decision.slot)}.{token}"
            headers = {} if messages else expecting(ledger, position.sequence)
            for subject, event, id_ in _events(job, decision, id):
                time = self._log.clock.now()
                body = codec.encode(event, id=id_, source=self._log.source, time=time, about=job)
                messages.append(Message(subject, body, headers, aggregate=ledger if headers else None))
                headers = {}
        return tuple(messages)

    async def _settled(self, job: str, position: Position, id: str, answer: object) -> int | None:
        """The unit's first sequence if it stands all the same; None: another event does. Raises LogUnavailable."""
        newer = await self._log.read(subjects.slots_of(job), start=position.sequence + 1, limit=1)
        if newer:
            return newer[0].sequence if newer[0].id == id else None
        if isinstance(answer, Refused):
            raise LogRefused(f"NATS refused the slots of {job}: {answer.reason}")
        raise LogUnavailable(f"NATS did not confirm the slots of {job}")


def _events(job: str, decision: Decision, id: str) -> list[tuple[str, SlotFired | SlotSkipped | Triggered, str]]:
    match decision:
        case Fire(slot=slot):
            return [
                (subjects.slot(job, "fired"), SlotFired(scheduled_for=slot), id),
                (_cron(job), Triggered(scheduled_for=slot), f"{id}.run"),
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
    unit: Unit,
    stream_now: datetime,
) -> Written:
    triggers = [at for at, message in zip(sequences, unit, strict=True) if message.subject == _cron(job)]
    slots = [at for at, message in zip(sequences, unit, strict=True) if message.subject != _cron(job)]
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
