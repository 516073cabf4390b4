"""The event log on a stream in memory: the real EventLog, with what it asks of NATS answered here.

What is replaced is the wire alone (one publish, one direct get); appending, settling by reading back and
folding are the code that runs in production. That the stream in memory answers as a real nats-server does is what
tests/integration/test_event_log_conformance.py checks, with one suite for both.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache

from kronik.errors import InvalidEvent
from kronik.events import Recorded, Unknown
from msgspec import Struct

from services.log import committer, stored
from services.log.append import EventLog, LogUnavailable
from services.log.committer import Unit

T0 = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


class Stored(Struct, frozen=True):
    sequence: int
    duplicate: bool


class Refused(Struct, frozen=True):
    """The aggregate's last sequence is not the expected one: 10071."""


@dataclass
class MemoryStream:
    """A stream with one subject filter per expectation and a dedupe window without end.

    replicated: answer as three replicas do, which look at the id before the expectation; one looks
    at the expectation first, so that a repeat is refused instead of recognised (docs/adr/0003).
    """

    replicated: bool = False
    messages: list[stored.Stored] = field(default_factory=list)
    events: list[Recorded] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)

    def publish(self, subject: str, body: bytes, headers: Mapping[str, str] | None = None) -> Stored | Refused:
        headers = headers or {}
        first = self.ids.get(headers.get("Nats-Msg-Id", ""))
        if self.replicated and first is not None:
            return Stored(first, duplicate=True)
        if not self._as_expected(headers):
            return Refused()
        if first is not None:
            return Stored(first, duplicate=True)
        return Stored(self._store(subject, body, headers), duplicate=False)

    def publish_unit(self, unit: Unit) -> committer.Stored | Refused:
        """All of it or nothing. Each expectation is looked at as if the others of the unit did not come."""
        if len(unit) == 1:
            answer = self.publish(unit[0].subject, unit[0].body, unit[0].headers)
            return answer if isinstance(answer, Refused) else committer.Stored((answer.sequence,), answer.duplicate)
        ids = [id for message in unit if (id := message.headers.get("Nats-Msg-Id"))]
        known = len(ids) != len(set(ids)) or any(id in self.ids for id in ids)
        if known or not all(self._as_expected(message.headers) for message in unit):
            return Refused()
        batch = [
            {**each.headers, "Nats-Batch-Id": "b", "Nats-Batch-Sequence": str(place)}
            for place, each in enumerate(unit, 1)
        ]
        found = [self._store(each.subject, each.body, headers) for each, headers in zip(unit, batch, strict=True)]
        return committer.Stored(tuple(found))

    def _as_expected(self, headers: Mapping[str, str]) -> bool:
        expected = headers.get("Nats-Expected-Last-Subject-Sequence")
        if expected is None:
            return True
        selected = self.select(headers["Nats-Expected-Last-Subject-Sequence-Subject"])
        return int(expected) == (selected[-1].sequence if selected else 0)

    def _store(self, subject: str, body: bytes, headers: Mapping[str, str]) -> int:
        sequence, id = len(self.messages) + 1, headers.get("Nats-Msg-Id")
        time, expects = T0 + timedelta(milliseconds=sequence), stored.expects_of(subject, headers)
        message = stored.Stored(sequence, subject, time, body, id, expects=expects)
        self.messages.append(message)
        self.events.append(message.recorded())
        if id:
            self.ids[id] = sequence
        return sequence

    def select(self, filter: str, start: int = 1) -> list[Recorded]:
        return [event for event in self.events[start - 1 :] if matches(filter, event.subject)]


@lru_cache(maxsize=4096)
def matches(filter: str, subject: str) -> bool:
    """Whether NATS would deliver this subject to a subscription on this filter."""
    wanted, tokens = filter.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(tokens) <= len(wanted):
            return False
        tokens = tokens[: len(wanted)]
    return len(wanted) == len(tokens) and all(each in ("*", token) for each, token in zip(wanted, tokens, strict=True))


def _id(body: bytes) -> str:
    id: str = json.loads(body)["id"]
    return id


class Fate(Enum):
    """What becomes of one request to NATS. LOST_…: a publish without an answer; AWAY: none in all the time."""

    FINE = "fine"
    LOST_BEFORE = "never arrives"
    LOST_AFTER = "answer lost"
    AWAY = "NATS away"


class Publish(Struct, frozen=True):
    """A request to store an event."""

    name: str
    id: str


class Read(Struct, frozen=True):
    """A request to read what a filter selects; an empty one: what stands at one sequence, which never changes."""

    filter: str


Gate = Callable[[Publish | Read], Awaitable[Fate]]


async def nothing_happens(_: Publish | Read) -> Fate:
    return Fate.FINE


@dataclass(frozen=True, slots=True)
class MemoryLog(EventLog):
    """gate: asked before each request what becomes of it. The connection is not used for the log."""

    stream: MemoryStream
    gate: Gate = nothing_happens

    async def _commit(self, unit: Unit) -> committer.Stored | None:
        fate = await self.gate(Publish(unit[0].subject.rpartition(".")[2], _id(unit[0].body)))
        if fate in (Fate.LOST_BEFORE, Fate.AWAY):
            return None
        answer = self.stream.publish_unit(unit)
        return None if fate is Fate.LOST_AFTER or isinstance(answer, Refused) else answer

    async def read(self, filter: str, start: int = 1, limit: int = 1000) -> list[Recorded]:
        await self._reach(filter)
        return self.stream.select(filter, max(start, 1))[:limit]

    async def last(self, filter: str) -> Recorded | None:
        await self._reach(filter)
        selected = self.stream.select(filter)
        return selected[-1] if selected else None

    async def get(self, sequence: int) -> Recorded | None:
        await self._reach("")
        if not 0 < sequence <= len(self.stream.events):
            return None
        event = self.stream.events[sequence - 1]
        if isinstance(event.data, Unknown) and event.data.type == "unreadable":
            raise InvalidEvent(str(event.data.data))
        return event

    async def _reach(self, filter: str) -> None:
        if await self.gate(Read(filter)) is Fate.AWAY:
            raise LogUnavailable("NATS did not answer a read")
