"""The log: the one way to append an event, and the ways to read some back.

Appending expects: a writer says which event it believes to be the aggregate's last, and the
stream refuses it where another came first. An answer that is a conflict, a duplicate or a
timeout says nothing by itself (docs/adr/0003): the aggregate is read back, and either our event
stands in it, or another does, or neither and it is sent again, unchanged, which is safe
because the stream refuses what expects the past, and stores an id once where nothing is expected.
Appends that wait at the same moment leave together (services/log/committer.py, docs/adr/0007).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import assert_never

from kronik import KronikError, codec, subjects
from kronik.errors import InvalidEvent, InvalidName
from kronik.events import RUN_EVENT_NAME, AnyEvent, Recorded, RunEvent
from kronik.run import Run, begin, evolve, holds
from msgspec import Struct
from msgspec.structs import replace
from nats.aio.client import Client

from services.infra.clock import Clock, monotonic_s
from services.log import jetstream, stored
from services.log.committer import Closed, Committer, Message, NatsWire, Refused, Stored, Unit, expecting
from services.log.jetstream import LogClosed, LogUnavailable

MEET_AGAIN = frozenset({10071, 10158, 10164, 10176, 10201, 10210, 10211})
"""JetStream's codes for a wrong expected sequence, for an append still in flight, and of batches: a message lost on its
way, an id that was stored before, too many at the same time."""

_ANSWER_WITHIN_S = 4.0
_BETWEEN_TRIES_S = 0.05
_PAGE = 1_000
_HEADERS_ROOM = 1_024
"""What expectation and batch may add to an event's bytes."""


class LogRefused(KronikError):
    """The stream refused the event for good, with the server's reason: it is not stored."""


class TooLarge(LogRefused):
    """The event has more bytes than the server takes: it can't be stored as it is."""


class Expected(Struct, frozen=True):
    """The aggregate (a subject filter) and the sequence of its last event, 0 for none."""

    filter: str
    sequence: int


class Appended(Struct, frozen=True):
    """The event stands at `sequence`. duplicate: it stood there before, by its id."""

    sequence: int
    duplicate: bool = False


class Conflict(Struct, frozen=True):
    """The aggregate is not as expected: read again, decide again."""


class Entry(Struct, frozen=True):
    """An event on its way into the stream. expected: where it has to stand; about: the envelope's subject."""

    subject: str
    event: AnyEvent
    id: str
    expected: Expected | None = None
    about: str = ""
    causation: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None


class _Taken(Struct, frozen=True):
    """The id of an event that expects nothing is the id of somebody else's message, which stands at this sequence."""

    sequence: int


@dataclass(frozen=True, slots=True)
class EventLog:
    """Appends and reads on one connection. source: what the envelopes name as their writer, `/kronik/runner/host-1`."""

    connection: Client
    clock: Clock
    source: str
    committer: Committer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "committer", Committer(NatsWire(self.connection)))

    async def append(
        self,
        subject: str,
        event: AnyEvent,
        *,
        id: str,
        expected: Expected | None = None,
        about: str = "",
        causation: str | None = None,
        patience_s: float = 10.0,
    ) -> Appended | Conflict:
        """Store the event, or learn that it can't be: a unit of one, see append_unit."""
        entry = Entry(subject, event, id, expected, about, causation)
        answer = await self.append_unit([entry], patience_s=patience_s)
        return answer if isinstance(answer, Conflict) else answer[0]

    async def append_unit(
        self, entries: Sequence[Entry], *, patience_s: float = 10.0
    ) -> tuple[Appended, ...] | Conflict:
        """Store these events, which stand or fall together and follow each other in the stream, or learn that
        they can't be.

        One expectation guards the whole unit. A single event may go without any: then it is stored unless its id was
        stored on its subject within the last hour. Raises LogUnavailable when there is no certainty within
        patience_s, LogRefused, and InvalidEvent for what JSON can't hold. Nothing is sent once patience_s has
        passed, however long the process was stopped in between.
        """
        unit = self._unit(entries)
        give_up = monotonic_s() + patience_s
        while True:
            answer = await self._commit(unit)
            if answer is not None and not answer.duplicate:
                return tuple([Appended(sequence) for sequence in answer.sequences])
            settled = await self._settle(entries, answer)
            if isinstance(settled, _Taken):
                unit = (self._by_id(entries[0], f"{entries[0].id}~{settled.sequence}"),)
                continue
            if settled is not None:
                return settled
            await asyncio.sleep(_BETWEEN_TRIES_S)
            if monotonic_s() > give_up:
                if await self._is_missing(entries):
                    return Conflict()
                subject = entries[0].subject
                raise LogUnavailable(f"NATS did not confirm an event on {subject} within {patience_s:g} s")

    def _unit(self, entries: Sequence[Entry]) -> Unit:
        """The stream knows a repeat of it by what it expects; of one event that expects nothing, by its id."""
        if len(entries) == 1 and entries[0].expected is None:
            return (self._by_id(entries[0], entries[0].id),)
        assert entries[0].expected or any(entry.expected for entry in entries), "a repeat would be stored twice"
        return tuple([self._by_expectation(entry) for entry in entries])

    def _by_id(self, entry: Entry, id: str) -> Message:
        assert subjects.aggregate(entry.subject) is None, "without an expectation it would be no event"
        return Message(entry.subject, self._body(entry), {"Nats-Expected-Stream": subjects.STREAM, "Nats-Msg-Id": id})

    def _by_expectation(self, entry: Entry) -> Message:
        """Without a Nats-Msg-Id: strangers can choose those too, and with ours would keep the event out."""
        if (expected := entry.expected) is None:
            return Message(entry.subject, self._body(entry), {"Nats-Expected-Stream": subjects.STREAM})
        headers = expecting(expected.filter, expected.sequence)
        return Message(entry.subject, self._body(entry), headers, aggregate=expected.filter)

    def _body(self, entry: Entry) -> bytes:
        return codec.encode(
            entry.event,
            id=entry.id,
            source=self.source,
            time=self.clock.now(),
            about=entry.about,
            causation=entry.causation,
            correlation_id=entry.correlation_id,
            traceparent=entry.traceparent,
        )

    async def append_to_run(
        self, run: Run, event: RunEvent, *, by: str, causation: str | None = None, patience_s: float = 10.0
    ) -> Run | Conflict:
        """Append to a run, expecting it to be as `run` has it; the run with the event.

        Conflict: the run has gone on without this event, or past it; read it again. by: the writer, unique to its
        delivery or request: a process would take its own old event for the new one. Raises as append_unit does.
        """
        name = RUN_EVENT_NAME[type(event)]
        entry = Entry(
            subjects.run_event(run.job_type, run.id, name),
            event,
            id=f"{run.id}.{run.version}.{name}.{by}",
            expected=Expected(subjects.run_aggregate(run.job_type, run.id), run.version),
            about=str(run.id),
            causation=causation,
            correlation_id=run.correlation_id,
            traceparent=run.traceparent,
        )
        answer = await self.append_unit([entry], patience_s=patience_s)
        if isinstance(answer, Conflict):
            return answer
        (appended,) = answer
        if appended.duplicate:
            return await self._still(run, appended.sequence)
        # Folded with our time instead of the stream's, which no decision depends on.
        return evolve(run, Recorded(appended.sequence, entry.subject, self.clock.now(), entry.id, event, self.source))

    async def _still(self, run: Run, sequence: int) -> Run | Conflict:
        """The run, if the event at this sequence still has the last word. Found by reading back, perhaps long after it
        was stored: others may have written since."""
        found = await self.read_run(run.id)
        if found is None:
            return Conflict()
        now = found[0]
        return now if now.version == sequence or holds(now, sequence) else Conflict()

    async def _commit(self, unit: Unit) -> Stored | None:
        """None where the answer needs a look at the aggregate, or none came. Raises LogRefused, TooLarge, LogClosed."""
        largest = len(unit[0].body) if len(unit) == 1 else max([len(message.body) for message in unit])
        if largest > self.connection.max_payload - _HEADERS_ROOM:
            # It would be refused, and with it all that go out in its company.
            raise TooLarge(
                f"an event on {unit[0].subject} has {largest} bytes; NATS takes {self.connection.max_payload}"
            )
        answer = await self.committer.commit(unit)
        match answer:
            case Stored():
                return answer
            case Closed():
                raise LogClosed("the connection to NATS is closed")
            case Refused() if answer.code not in MEET_AGAIN:
                raise LogRefused(f"NATS refused an event on {unit[0].subject}: {answer.reason}")
            case Refused() | None:
                return None
            case _:
                assert_never(answer)

    async def _settle(
        self, entries: Sequence[Entry], answer: Stored | None
    ) -> tuple[Appended, ...] | Conflict | _Taken | None:
        """What stands in the aggregates now; None: nothing new yet, or NATS does not answer."""
        if len(entries) == 1 and entries[0].expected is None:
            return await self._recognise(entries[0], answer) if answer else None
        begins: set[int | None] = set()
        for place, entry in enumerate(entries):
            if entry.expected is not None:
                found = await self._find(entry.id, entry.expected)
                if isinstance(found, Conflict):
                    return found
                begins.add(None if found is None else found - place)
        if None in begins:
            return None
        # They stand side by side, because they were stored as one.
        first, *others = [begin for begin in begins if begin is not None]
        return Conflict() if others else tuple(Appended(first + n, duplicate=True) for n in range(len(entries)))

    async def _is_missing(self, entries: Sequence[Entry]) -> bool:
        """Whether an event that is expected does not stand in the stream: it lost its tail, or was made anew. A replica
        that lags behind looks the same, so this is asked when all patience is over."""
        for expected in (entry.expected for entry in entries):
            if expected is not None and expected.sequence > 0:
                try:
                    last = await self.last(expected.filter)
                except LogUnavailable:
                    return False
                if last is None or last.sequence < expected.sequence:
                    return True
        return False

    async def _find(self, id: str, expected: Expected) -> int | Conflict | None:
        """Where our event stands in the aggregate; Conflict: another came first; None: nothing that can be seen yet."""
        try:
            newer = await self.read(expected.filter, start=expected.sequence + 1)
        except LogUnavailable:
            return None
        ours = [recorded.sequence for recorded in newer if recorded.id == id]
        return ours[0] if ours else Conflict() if newer else None

    async def _recognise(self, entry: Entry, answer: Stored) -> tuple[Appended, ...] | _Taken | None:
        """Of an event that expects nothing: a duplicate is ours if it stands where ours would."""
        (sequence,) = answer.sequences
        try:
            found = await self.get(sequence)
        except (InvalidEvent, InvalidName):
            return _Taken(sequence)
        except LogUnavailable:
            return None
        if found is None:
            return None
        return (Appended(sequence, duplicate=True),) if found.subject == entry.subject else _Taken(sequence)

    async def last(self, filter: str) -> Recorded | None:
        """The newest event that the filter selects, if there is one; as Unknown where it can't be decoded.

        Raises LogUnavailable.
        """
        found = await self._direct({"last_by_subj": filter})
        return found[0].recorded() if found else None

    async def last_of_each(self, filters: Sequence[str]) -> list[Recorded]:
        """The newest event of each subject that one of the filters selects: of a thousand subjects at most.

        Raises LogUnavailable; what can't be decoded stands there as Unknown.
        """
        found = await self._direct({"multi_last": list(filters), "batch": _PAGE})
        return [each.recorded() for each in found]

    async def get(self, sequence: int) -> Recorded | None:
        """The event at this sequence, if there is one. Raises LogUnavailable, InvalidEvent, InvalidName."""
        found = await self._direct({"seq": sequence})
        return found[0].decode() if found else None

    async def read(self, filter: str, start: int = 1, limit: int = _PAGE) -> list[Recorded]:
        """Up to `limit` events that the filter selects from sequence `start` on, in order. For short histories.

        Raises LogUnavailable; what can't be decoded stands there as Unknown: a writer must expect it too.
        """
        found = await self._direct({"seq": max(start, 1), "next_by_subj": filter, "batch": limit})
        return [each.recorded() for each in found]

    async def _read_all(self, filter: str, start: int) -> list[Recorded]:
        found: list[Recorded] = []
        while True:
            page = await self.read(filter, start)
            found += page
            if len(page) < _PAGE:
                return found
            start = page[-1].sequence + 1

    async def read_run(self, run_id: int) -> tuple[Run, list[Recorded]] | None:
        """The run and its events, the trigger first; None where no trigger stands at run_id.

        Raises LogUnavailable.
        """
        try:
            trigger = await self.get(run_id)
        except (InvalidEvent, InvalidName):
            return None
        if trigger is None:
            return None
        place = subjects.parse(trigger.subject)
        if not isinstance(place, subjects.TriggerSubject):
            return None
        run, events = begin(trigger, place), [trigger]
        aggregate = subjects.run_aggregate(run.job_type, run_id)
        for recorded in await self._read_all(aggregate, start=run_id):
            run = evolve(run, recorded)
            events.append(recorded)
        if len(events) == 1 and (early := await self.last(aggregate)) and early.sequence < run_id:
            # Written before there was such a run, it says nothing of it; an append has to expect it all the same.
            run = replace(run, version=early.sequence)
        return run, events

    async def _direct(self, query: dict[str, object]) -> list[stored.Stored]:
        """A direct get, asked again while NATS keeps silent (it may be starting).

        Raises LogUnavailable after _ANSWER_WITHIN_S.
        """
        give_up = monotonic_s() + _ANSWER_WITHIN_S
        while True:
            try:
                return await jetstream.get(self.connection, query)
            except LogClosed:
                raise
            except LogUnavailable:
                if monotonic_s() > give_up:
                    raise
                await asyncio.sleep(_BETWEEN_TRIES_S)


__all__ = ["Appended", "Conflict", "Entry", "EventLog", "Expected", "LogRefused", "LogUnavailable", "TooLarge"]
