"""A continuous flow of events of every kind, written by nats-py and json alone, and what they must look like as rows.

Each run's events are in order; those of different runs mix. All of it follows from the seed.
"""

import asyncio
import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from tests.faults.load import expecting
from tests.faults.poison import definition
from tests.faults.raw_stream import RawStream

JOBS = ("FLOW_A", "FLOW_B", "FLOW_C")
LANES = 8


@dataclass
class Flow:
    """per_s: events a second, about."""

    connection: Client
    seed: int
    per_s: float = 300
    published: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def write(self, runs: int) -> None:
        """So many runs, as fast as it goes."""
        self.per_s, before = 1e6, self.per_s
        for _ in range(runs):
            await self._one()
        self.per_s = before

    async def lane(self) -> None:
        """Write until cancelled, over every absence of the server; LANES of these beside each other are the flow."""
        while True:
            await self._one()

    async def _one(self) -> None:
        await (self._run() if self._random.random() < 0.9 else self._other())

    async def _run(self) -> None:
        """Some are left open for good."""
        job = self._random.choice(JOBS)
        run_id = await self._publish(f"jobs.trigger.{job}.crm", json.dumps({"text": "æ\u2028👍" * 3}).encode())
        for name, data in self._life():
            if self._random.random() < 0.03:
                return
            await self._event(f"jobs.run.{job}.{run_id}.{name}", f"kronik.run.{name}.v1", data)

    def _life(self) -> Iterator[tuple[str, dict[str, Any]]]:
        draw, attempt = self._random, 1
        while True:
            yield "started", {"attempt": attempt, "incarnation": "flow-1", "timeoutMs": 1000}
            step = draw.random()
            if step < 0.15:
                again = {"error": "no", "errorType": "E", "retryAt": "2026-11-23T00:00:00Z"}
                yield "retrying", {"attempt": attempt, **again}
            elif step < 0.25:
                yield "abandoned", {"attempt": attempt, "reason": "lost", "detail": "gone"}
            else:
                break
            attempt += 1
        yield from self._end(attempt)

    def _end(self, attempt: int) -> Iterator[tuple[str, dict[str, Any]]]:
        end = self._random.random()
        if end < 0.6:
            yield "completed", {"attempt": attempt, "result": {"n": self._random.randrange(10**9)}}
        elif end < 0.75:
            warnings = [{"text": "hm", "item": "1"}]
            yield "completed", {"attempt": attempt, "result": None, "warnings": warnings, "warningCount": 1}
        elif end < 0.9:
            yield "failed", {"attempt": attempt, "error": "broke \u0000", "errorType": "E"}
        else:
            yield "cancel_requested", {"by": "ADMIN:1"}
            yield "cancelled", {"attempt": attempt, "by": "ADMIN:1"}

    async def _other(self) -> None:
        draw, job = self._random, self._random.choice(JOBS)
        match draw.randrange(4):
            case 0:
                at = f"2026-11-{draw.randrange(10, 30)}T{draw.randrange(10, 24)}:00:00Z"
                slot = {"scheduledFor": at, "outcome": "missed", "reason": "late"}
                await self._event(f"jobs.slot.{job}.missed", "kronik.slot.skipped.v1", slot)
            case 1:
                data = definition(jobType=job, description=str(draw.random()))
                await self._event(f"jobs.definition.{job}", "kronik.job.defined.v1", data)
            case 2:
                data = {"paused": draw.random() < 0.5, "schedule": None, "by": "ADMIN:1"}
                await self._event(f"jobs.schedule.{job}", "kronik.schedule.changed.v1", data)
            case _:
                await self._publish(f"jobs.schedule.{job}", b"\x00 rubbish")

    async def _event(self, subject: str, kind: str, data: dict[str, Any]) -> None:
        event = {"specversion": "1.0", "id": uuid.uuid4().hex, "source": "/flow", "type": kind, "data": data}
        await self._publish(subject, json.dumps({**event, "time": "2026-11-23T00:00:00Z"}).encode())

    async def _publish(self, subject: str, body: bytes) -> int:
        """The sequence; repeated until there is one, which may store it twice where an answer was lost."""
        await asyncio.sleep(self._random.expovariate(self.per_s / LANES))
        while True:
            try:
                headers = await expecting(self.connection, subject)
                answer = await self.connection.jetstream(timeout=2).publish(subject, body, headers=headers)
            except (NatsError, JetStreamError, TimeoutError):
                await asyncio.sleep(0.1)
                continue
            self.published += 1
            return answer.seq


def statuses(stream: RawStream) -> dict[int, str]:
    """Each run's status by its raw events."""
    return {run_id: _status([(each.name, each.data) for each in events]) for run_id, events in stream.runs.items()}


def _status(events: list[tuple[str, dict[str, Any]]]) -> str:
    for name, data in events:
        match name:
            case "completed":
                return "PARTIAL" if data.get("warningCount") else "SUCCESS"
            case "failed" | "cancelled":
                return "FAILED"
    return "RUNNING"
