"""The stream as anybody can read it: nats-py and json, nothing of Kronik.

What the fault tests believe about a stream they believe because of this reader and of tests.invariants.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from tests.invariants import TERMINAL, Fact, violations

STREAM = "JOBS"
EXPECTED = "Nats-Expected-Last-Subject-Sequence"
"""What an event of a run has to have been written with."""
_BATCH = 1000
_CLOCKS_S = 0.005
"""How far the server's clock and ours may differ: they are the same machine's, read at different moments."""


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Client]:
    """A plain connection, as another service would have one. It comes back whatever happens to the server."""

    async def quiet(_: Exception) -> None: ...

    connection = await nats.connect(
        url.split(","),
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.2,
        ping_interval=2,
        connect_timeout=2,
        error_cb=quiet,
    )
    try:
        yield connection
    finally:
        with suppress(OSError, NatsError, TimeoutError):
            await asyncio.wait_for(connection.close(), 5)


class OutOfOrder(Exception):
    """The reader's consumer lost something on the way; another one is made."""


@dataclass(frozen=True)
class Event:
    """One event of a run: the last part of its subject, its data, the stream's time in seconds since 1970."""

    sequence: int
    name: str
    data: dict[str, Any]
    at: float


@dataclass
class RawStream:
    """Everything read so far; `refresh` reads on, `anew` begins at the beginning."""

    connection: Client
    facts: list[Fact] = field(default_factory=list)
    times: dict[int, float] = field(default_factory=dict)
    runs: dict[int, list[Event]] = field(default_factory=dict)
    """By run id, only those whose trigger stands in the stream."""
    _reader: JetStreamContext.PullSubscription | None = None

    async def refresh(self, within_s: float = 30) -> "RawStream":
        """Read what has been added; asks again while the server is away."""
        give_up = time.monotonic() + within_s
        while True:
            try:
                await self._read_on()
                return self
            except (NatsError, TimeoutError, OutOfOrder):
                self._reader = None
                if time.monotonic() > give_up:
                    raise
                await asyncio.sleep(0.2)

    async def anew(self) -> "RawStream":
        """Forget and read it all: a stream that lost its tail would still be complete in our memory."""
        return await RawStream(self.connection).refresh()

    async def _read_on(self) -> None:
        jetstream = self.connection.jetstream(timeout=3)
        last = (await jetstream.stream_info(STREAM)).state.last_seq
        if self._last < last and self._reader is None:
            self._reader = await jetstream.pull_subscribe("jobs.>", stream=STREAM, config=_behind(self._last))
        while self._last < last and self._reader is not None:
            for message in await self._reader.fetch(min(_BATCH, last - self._last), timeout=3):
                self._take(message)

    @property
    def _last(self) -> int:
        return self.facts[-1].sequence if self.facts else 0

    def _take(self, message: Msg) -> None:
        metadata = message.metadata
        sequence = metadata.sequence.stream
        if sequence != self._last + 1:
            raise OutOfOrder(f"{sequence} after {self._last}")
        body = _json(message.data)
        fact = Fact(sequence, message.subject, str(body.get("id", "")), _dict(body.get("data")))
        self.facts.append(fact)
        self.times[sequence] = metadata.timestamp.timestamp()
        parts = message.subject.split(".")
        if parts[1] == "trigger":
            self.runs[sequence] = []
        elif (
            parts[1] == "run"
            and EXPECTED in (message.headers or {})
            and parts[3].isdigit()
            and int(parts[3]) in self.runs
        ):
            self.runs[int(parts[3])].append(Event(sequence, parts[4], fact.data, self.times[sequence]))

    def ended(self, run_id: int) -> bool:
        return any(event.name in TERMINAL for event in self.runs.get(run_id, ()))

    def held_by(self, instance: str, at: float = float("inf")) -> set[int]:
        """The runs whose attempt at this time was under way on this runner."""
        held = set()
        for run_id, events in self.runs.items():
            before = [event for event in events if event.at <= at and event.name != "cancel_requested"]
            if before and before[-1].name == "started" and runner_of(before[-1]) == instance:
                held.add(run_id)
        return held

    def events(self, name: str) -> list[Event]:
        return [event for events in self.runs.values() for event in events if event.name == name]


def _behind(sequence: int) -> ConsumerConfig:
    return ConsumerConfig(
        ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=sequence + 1,
        mem_storage=True,
        num_replicas=1,
        inactive_threshold=120,
    )


def runner_of(started: Event) -> str:
    """The instance that started this attempt: its incarnation without the part that each process makes up."""
    return str(started.data.get("incarnation", "")).rpartition("-")[0]


def _json(body: bytes) -> dict[str, Any]:
    try:
        return _dict(json.loads(body)) if body else {}
    except (ValueError, RecursionError):
        return {}


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True)
class Verdict:
    """What the invariants say of a stream; only empty and 0 are good."""

    broken: list[str]
    lost: int
    doubled: int
    events: int
    runs: int


def judge(stream: RawStream, acknowledged: Iterable[int]) -> Verdict:
    """acknowledged: sequences that publishers of triggers were given."""
    missing = [sequence for sequence in acknowledged if sequence not in stream.runs]
    broken = violations(stream.facts) + [f"acknowledged trigger {sequence} is gone" for sequence in missing]
    lost = len(missing) + sum(not stream.ended(run_id) for run_id in stream.runs)
    ends = Counter(sum(event.name in TERMINAL for event in events) for events in stream.runs.values())
    doubled = sum(count for number, count in ends.items() if number > 1)
    return Verdict(broken, lost, doubled, len(stream.facts), len(stream.runs))


@dataclass(frozen=True)
class Ack:
    """What a runner answered to a delivery. delivery: which one of this trigger, from 1. at: when we saw it."""

    run_id: int
    delivery: int
    kind: str
    at: float


@dataclass
class AckWatch:
    """Everything that anybody answers to deliveries of JOBS, seen from beside."""

    acks: list[Ack] = field(default_factory=list)

    async def on_message(self, message: Msg) -> None:
        # $JS.ACK.<stream>.<consumer>.<delivery>.<stream sequence>.…
        parts = message.subject.split(".")
        self.acks.append(Ack(int(parts[5]), int(parts[4]), message.data[:4].decode(), time.time()))

    def early(self, stream: RawStream) -> list[str]:
        """Acknowledgements of runs that had no end yet."""
        return [
            f"run {ack.run_id} was acknowledged without an end"
            for ack in self.acks
            if ack.kind == "+ACK"
            and not any(e.name in TERMINAL and e.at <= ack.at + _CLOCKS_S for e in stream.runs.get(ack.run_id, ()))
        ]


@asynccontextmanager
async def watch_acks(connection: Client) -> AsyncIterator[AckWatch]:
    watch = AckWatch()
    subscription = await connection.subscribe(f"$JS.ACK.{STREAM}.>", cb=watch.on_message)
    await connection.flush()
    try:
        yield watch
    finally:
        await subscription.unsubscribe()


async def until(stream: RawStream, reached: Callable[[RawStream], bool], within_s: float, what: str) -> None:
    """Read on until it is reached; fails after within_s."""
    give_up = time.monotonic() + within_s
    while not reached(await stream.refresh()):
        assert time.monotonic() < give_up, f"not within {within_s:g} s: {what}"
        await asyncio.sleep(0.05)
