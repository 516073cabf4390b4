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

from kronik import KronikError, codec, subjects
from kronik.errors import InvalidEvent, InvalidName
from kronik.events import RUN_EVENT_NAME, AnyEvent, Recorded, RunEvent
from kronik.run import Run, begin, evolve
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


class LogRefused(KronikError):
    """The stream refused the event for good, with the server's reason: it is not stored."""


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

        One expectation guards the whole unit; without any they are stored unless an id of theirs was stored within
        the last hour. Raises
        LogUnavailable when there is no certainty within patience_s, LogRefused, and InvalidEvent for what JSON can't
        hold. Nothing is sent once patience_s has passed, however long the process was stopped in between.
        """
        guarded = any(entry.expected for entry in entries)
        unit = tuple(self._message(entry, guarded=guarded) for entry in entries)
        give_up = monotonic_s() + patience_s
        while True:
            answer = await self._commit(unit)
            if answer is not None:
                return tuple(Appended(sequence, answer.duplicate) for sequence in answer.sequences)
            if (settled := await self._settle(entries)) is not None:
                return settled
            await asyncio.sleep(_BETWEEN_TRIES_S)
            if monotonic_s() > give_up:
                subject = entries[0].subject
                raise LogUnavailable(f"NATS did not confirm an event on {subject} within {patience_s:g} s")

    def _message(self, entry: Entry, *, guarded: bool) -> Message:
        """guarded: an expectation keeps it from being stored twice. Then it goes without a Nats-Msg-Id: strangers can
        choose those too, and with ours would keep the event out."""
        body = codec.encode(
            entry.event,
            id=entry.id,
            source=self.source,
            time=self.clock.now(),
            about=entry.about,
            causation=entry.causation,
        )
        headers = {"Nats-Expected-Stream": subjects.STREAM} | ({} if guarded else {"Nats-Msg-Id": entry.id})
        if (expected := entry.expected) is None:
            return Message(entry.subject, body, headers)
        headers |= expecting(expected.filter, expected.sequence)
        return Message(entry.subject, body, headers, aggregate=expected.filter)

    async def append_to_run(
        self, run: Run, event: RunEvent, *, by: str, causation: str | None = None, patience_s: float = 10.0
    ) -> Appended | Conflict:
        """Append to a run, expecting it to be as `run` has it.

        by: the writer, unique to its delivery or request: a process would take its own old event for the new one.
        """
        name = RUN_EVENT_NAME[type(event)]
        return await self.append(
            subjects.run_event(run.job_type, run.id, name),
            event,
            id=f"{run.id}.{run.version}.{name}.{by}",
            expected=Expected(subjects.run_aggregate(run.job_type, run.id), run.version),
            about=str(run.id),
            causation=causation,
            patience_s=patience_s,
        )

    async def _commit(self, unit: Unit) -> Stored | None:
        """None where the answer needs a look at the aggregate, or none came. Raises LogRefused, LogClosed."""
        answer = await self.committer.commit(unit)
        match answer:
            case Closed():
                raise LogClosed("the connection to NATS is closed")
            case Refused() if answer.code not in MEET_AGAIN:
                raise LogRefused(f"NATS refused an event on {unit[0].subject}: {answer.reason}")
            case Refused():
                return None
            case _:
                return answer

    async def _settle(self, entries: Sequence[Entry]) -> tuple[Appended, ...] | Conflict | None:
        """What the aggregate of the first entry that expects something says; None: nothing new, or NATS is silent."""
        for place, entry in enumerate(entries):
            if entry.expected is not None:
                settled = await self._look(entry.id, entry.expected)
                if not isinstance(settled, Appended):
                    return settled
                first = settled.sequence - place
                return tuple(Appended(first + each, duplicate=True) for each in range(len(entries)))
        return None

    async def _look(self, id: str, expected: Expected) -> Appended | Conflict | None:
        """What stands in the aggregate now; None: nothing new yet, or NATS does not answer."""
        try:
            newer = await self.read(expected.filter, start=expected.sequence + 1)
        except LogUnavailable:
            return None
        for recorded in newer:
            if recorded.id == id:
                return Appended(recorded.sequence, duplicate=True)
        return Conflict() if newer else None

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


__all__ = ["Appended", "Conflict", "Entry", "EventLog", "Expected", "LogRefused", "LogUnavailable"]
