"""Random load: other services that publish triggers at random times, and users who change their minds.

All of it follows from the seed, except what the machine does with it.
"""

import asyncio
import json
import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from tests.faults.raw_stream import STREAM
from tests.invariants import TERMINAL

KINDS = ("raise", "once", "permanent", "text", "unsayable", "exit", "interrupt", "list", "object", "nan", "deep")
BAD_PARAMS = ('{"ms":', "[1]", '{"ms":"long"}', '{"hours":1}', "[" * 5000, '{"specversion":"9"}')


@dataclass
class Load:
    """acknowledged: the sequences that the stream promised us. unanswered: publishes that may or may not stand there.

    gentle: only jobs that succeed, whatever their params.
    """

    connection: Client
    seed: int
    gentle: bool = False
    acknowledged: list[int] = field(default_factory=list)
    unanswered: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    async def go_on(self, per_s: float) -> None:
        """Trigger at random times until cancelled; each publish waits for its own answer, beside the next ones."""
        async with asyncio.TaskGroup() as publishing:
            while True:
                publishing.create_task(self.trigger(*self._next()))
                if not self.gentle and self._random.random() < 0.1:
                    publishing.create_task(self._cancel_one(self._random.choice([0.0, 0.1, 0.5])))
                await asyncio.sleep(self._random.expovariate(per_s))

    async def trigger(self, job: str, body: str) -> int | None:
        """Publish as a careful service does: again with the same id when no answer came. The run's id, if known."""
        headers = {"Nats-Msg-Id": f"load-{self.seed}-{uuid.uuid4().hex}"}
        for _ in range(3):
            if not self.connection.is_connected:
                await asyncio.sleep(1)  # nats-py would keep it, and thousands more, to send them all at its return
                continue
            try:
                answer = await self.connection.jetstream(timeout=2).publish(
                    f"jobs.trigger.{job}.crm", body.encode(), headers=headers
                )
            except (NatsError, JetStreamError, TimeoutError):
                continue
            if answer.seq not in self.acknowledged:
                self.acknowledged.append(answer.seq)
            return answer.seq
        self.unanswered += 1
        return None

    def _next(self) -> tuple[str, str]:
        draw, ms = self._random, self._random.randint(0, 600)
        ways = [
            ("NAP", json.dumps({"ms": ms}), 20),
            ("HOLD", json.dumps({"ms": ms * 3}), 35),
            ("NOOP", "", 20),
            ("WARNS", "{}", 5),
            ("ALONE", json.dumps({"ms": ms // 10}), 5),
            ("THREAD", json.dumps({"ms": ms // 2}), 5),
            ("BREAKS", json.dumps({"kind": draw.choice(KINDS)}), 0 if self.gentle else 10),
            ("NAP", draw.choice(BAD_PARAMS), 0 if self.gentle else 5),
        ]
        job, body, _ = draw.choices(ways, [weight for *_, weight in ways])[0]
        return job, body

    async def _cancel_one(self, after_s: float) -> None:
        """Ask to stop a new run of ALONE, of which most wait, or of HOLD, of which most run."""
        job = self._random.choice(["ALONE", "HOLD"])
        run_id = await self.trigger(job, json.dumps({"ms": 400}))
        await asyncio.sleep(after_s)
        if run_id is not None:
            await cancel(self.connection, job, run_id)


async def cancel(connection: Client, job: str, run_id: int) -> None:
    """Append cancel_requested as any writer must: expecting the run as it was read. Gives up when it is over."""
    id, subject = uuid.uuid4().hex, f"jobs.run.{job}.{run_id}.cancel_requested"
    for _ in range(10):
        try:
            last, name = await last_event(connection, f"jobs.run.{job}.{run_id}.>")
        except (NatsError, JetStreamError, TimeoutError):
            continue
        if name in {*TERMINAL, "cancel_requested"}:
            return
        headers = {"Nats-Msg-Id": id, **expectation(subject, last)}
        event = {
            "specversion": "1.0",
            "id": id,
            "source": "/test/load",
            "type": "kronik.run.cancel_requested.v1",
            "time": datetime.now(UTC).isoformat(),
            "subject": str(run_id),
            "data": {"by": "ADMIN:7"},
        }
        try:
            await connection.jetstream(timeout=2).publish(subject, json.dumps(event).encode(), headers=headers)
        except (NatsError, JetStreamError, TimeoutError):
            continue
        return


async def expecting(connection: Client, subject: str) -> dict[str, str]:
    """The headers without which an event on this subject is none; nothing for a trigger."""
    if subject.split(".")[1] not in ("run", "slot", "definition", "schedule") or "*" in subject or ">" in subject:
        return {}
    return expectation(subject, (await last_event(connection, _aggregate(subject)))[0])


def expectation(subject: str, last: int) -> dict[str, str]:
    return {
        "Nats-Expected-Last-Subject-Sequence": str(last),
        "Nats-Expected-Last-Subject-Sequence-Subject": _aggregate(subject),
    }


def _aggregate(subject: str) -> str:
    group = subject.rpartition(".")[0]
    return {"run": f"{group}.>", "slot": f"{group}.*"}.get(subject.split(".")[1], subject)


async def last_event(connection: Client, aggregate: str) -> tuple[int, str]:
    """Sequence and name of the run's last event; 0 and nothing where it has none."""
    try:
        message = await connection.jetstream(timeout=2).get_last_msg(STREAM, aggregate)
    except NotFoundError:
        return 0, ""
    return message.seq or 0, str(message.subject).rpartition(".")[2]
