"""The log: the one way to append an event, and the ways to read some back.

Appending expects: a writer says which event it believes to be the aggregate's last, and the
stream refuses it where another came first. An answer that is a conflict, a duplicate or a
timeout says nothing by itself (docs/adr/0003): the aggregate is read back, and either our event
stands in it, or another does, or neither and it is sent again, unchanged, which is safe
because the stream stores an id once and refuses what expects the past.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from kronik import KronikError, codec, subjects
from kronik.errors import InvalidEvent, InvalidName
from kronik.events import RUN_EVENT_NAME, AnyEvent, Recorded, RunEvent
from kronik.run import Run, begin, evolve
from msgspec import Struct
from msgspec.structs import replace
from nats.aio.client import Client
from nats.errors import ConnectionClosedError, NoRespondersError, OutboundBufferLimitError
from nats.errors import TimeoutError as NatsTimeout
from nats.js.errors import APIError, NoStreamResponseError, ServiceUnavailableError

from services.infra.clock import Clock, monotonic_s
from services.log import jetstream
from services.log.jetstream import LogClosed, LogUnavailable
from services.log.stored import Stored

_MEET_AGAIN = frozenset({10071, 10158, 10164})
"""JetStream's codes for a wrong expected sequence and for an append still in flight."""

_AWAY = (NatsTimeout, NoStreamResponseError, NoRespondersError, OutboundBufferLimitError, ServiceUnavailableError)
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
    """The aggregate is not as expected, or the id stands elsewhere in the stream: read again, decide again."""


@dataclass(frozen=True, slots=True)
class EventLog:
    """Appends and reads on one connection. source: what the envelopes name as their writer, `/kronik/runner/host-1`."""

    connection: Client
    clock: Clock
    source: str

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
        """Store the event, or learn that it can't be.

        Without `expected` it is stored unless its id was stored within the last hour. Raises LogUnavailable
        when there is no certainty within patience_s, LogRefused, and InvalidEvent for what JSON can't hold.
        Nothing is sent once patience_s has passed, however long the process was stopped in between.
        """
        body = codec.encode(event, id=id, source=self.source, time=self.clock.now(), about=about, causation=causation)
        headers = _headers(id, expected)
        give_up = monotonic_s() + patience_s
        while True:
            answer = await self._publish(subject, body, headers)
            if isinstance(answer, Appended) and not (answer.duplicate and expected):
                return answer
            if expected is not None:
                settled = await self._settle(id, expected) or await self._elsewhere(id, expected, answer)
                if settled is not None:
                    return settled
            await asyncio.sleep(_BETWEEN_TRIES_S)
            if monotonic_s() > give_up:
                raise LogUnavailable(f"NATS did not confirm an event on {subject} within {patience_s:g} s")

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

    async def _publish(self, subject: str, body: bytes, headers: dict[str, str]) -> Appended | None:
        """None where the answer needs a look at the aggregate, or none came."""
        if not self.connection.is_connected:
            return None
        try:
            ack = await self.connection.jetstream(timeout=_ANSWER_WITHIN_S).publish(subject, body, headers=headers)
        except _AWAY:
            return None
        except APIError as refusal:
            if refusal.err_code in _MEET_AGAIN:
                return None
            raise LogRefused(f"NATS refused an event on {subject}: {refusal.description}") from refusal
        except ConnectionClosedError as closed:
            raise LogClosed("the connection to NATS is closed") from closed
        return Appended(ack.seq, bool(ack.duplicate))

    async def _settle(self, id: str, expected: Expected) -> Appended | Conflict | None:
        """What stands in the aggregate now; None: nothing new yet, or NATS does not answer."""
        try:
            newer = await self.read(expected.filter, start=expected.sequence + 1)
        except LogUnavailable:
            return None
        for recorded in newer:
            if recorded.id == id:
                return Appended(recorded.sequence, duplicate=True)
        return Conflict() if newer else None

    async def _elsewhere(self, id: str, expected: Expected, answer: Appended | None) -> Conflict | None:
        """A duplicate that did not turn up in the aggregate. Behind the expected sequence it may only not have
        reached the server that was read from."""
        if answer is None:
            return None
        try:
            stored = await self.get(answer.sequence)
        except (LogUnavailable, InvalidEvent, InvalidName):
            return None
        if stored is None or stored.id != id:
            return None
        awaited = answer.sequence > expected.sequence and _selects(expected.filter, stored.subject)
        return None if awaited else Conflict()

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
        return [stored.recorded() for stored in found]

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

    async def _direct(self, query: dict[str, object]) -> list[Stored]:
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


def _headers(id: str, expected: Expected | None) -> dict[str, str]:
    headers = {"Nats-Msg-Id": id, "Nats-Expected-Stream": subjects.STREAM}
    if expected is not None:
        headers["Nats-Expected-Last-Subject-Sequence"] = str(expected.sequence)
        headers["Nats-Expected-Last-Subject-Sequence-Subject"] = expected.filter
    return headers


def _selects(filter: str, subject: str) -> bool:
    wanted, tokens = filter.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, tokens = wanted[:-1], tokens[: len(wanted) - 1]
    return len(wanted) == len(tokens) and all(each in ("*", token) for each, token in zip(wanted, tokens, strict=True))


__all__ = ["Appended", "Conflict", "EventLog", "Expected", "LogRefused", "LogUnavailable"]
