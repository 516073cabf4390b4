"""A runner process and the broker: services.runner.attempt as it is, on a stream and a consumer in memory.

Stood in for is what has no place in an order of events: the job's own work, the heartbeats' thread and the
sockets. The broker does what was measured of JetStream: acknowledgements are not fenced, so that anybody's
counts, and any process's heartbeats keep the delivery from running out.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

from kronik import Job, NoParams, Retry, RunContext, job_of, seconds
from kronik import job as declare

from services.log import stored
from services.log.append import Appended, Conflict, Entry
from services.runner.attempt import Attempts, Holding
from services.runner.context import Context
from services.runner.outcome import Ignored, Outcome, Raised, Returned, Stopped
from services.runner.stop import Stop
from services.runner.suspects import Suspects
from tests.invariants import TERMINAL
from tests.model import tasks
from tests.model.memory_log import T0, Fate, MemoryLog, MemoryStream, Publish, Read, Refused, Stored
from tests.model.tasks import Answer, Perform, Reply, Task, ask

if TYPE_CHECKING:
    from tests.model.world import World

RUN_ID = 1


@declare("WORK", retry=Retry(attempts=2, wait=seconds(1), max_wait=seconds(1)))
async def work(run: RunContext, params: NoParams) -> None: ...


WORK: Job = job_of(work)  # type: ignore[assignment]


class Violation(AssertionError):
    """A promise was broken."""


@dataclass
class Delivery:
    """suspect: its lease ran out at some time, so that whoever took it for dead may be forgiven."""

    suspect: bool = False


class Clock:
    def __init__(self) -> None:
        self.ticks = 0

    def now(self) -> datetime:
        return T0 + timedelta(seconds=10 * self.ticks)


@dataclass(frozen=True, slots=True)
class WatchedLog(MemoryLog):
    """What is said to be appended must stand there, as this writer wrote it."""

    async def append_unit(
        self, entries: Sequence[Entry], *, patience_s: float = 10.0
    ) -> tuple[Appended, ...] | Conflict:
        answer = await MemoryLog.append_unit(self, entries, patience_s=patience_s)
        for entry, appended in zip(entries, answer, strict=True) if isinstance(answer, tuple) else ():
            message = self.stream.messages[appended.sequence - 1]
            if message.subject != entry.subject or f'"source":"{self.source}"'.encode() not in message.body:
                raise Violation(f"{self.source} believes that its {entry.subject} stands at {message.sequence}")
        return answer


@dataclass
class Broker(MemoryStream):
    """The stream, and the consumer's one message: waiting, out for work, delayed, or gone."""

    state: str = "waiting"
    deliveries: int = 0
    on_stored: Callable[[str], None] = lambda name: None
    refused: ClassVar[Task | None] = None

    def publish(self, subject: str, body: bytes, headers: Mapping[str, str] | None = None) -> Stored | Refused:
        answer = super().publish(subject, body, headers)
        Broker.refused = tasks.running if isinstance(answer, Refused) and not tasks.running.lost else None
        return answer

    def _store(self, subject: str, body: bytes, headers: Mapping[str, str]) -> int:
        sequence = super()._store(subject, body, headers)
        self.on_stored(subject.rpartition(".")[2])
        return sequence

    def hand_out(self) -> stored.Delivery:
        self.state = "out"
        self.deliveries += 1
        reply = f"$JS.ACK.JOBS.runner-WORK.{self.deliveries}.{RUN_ID}.{self.deliveries}.0.0"
        trigger = self.messages[0]
        return stored.delivery_of(trigger.subject.encode(), reply.encode(), None, trigger.body)

    def settle(self, answer: bytes) -> None:
        """An acknowledgement, whoever sent it and for whichever delivery."""
        if self.state == "gone":
            return
        if answer.startswith(b"+ACK"):
            if not any(event.subject.rpartition(".")[2] in TERMINAL for event in self.events):
                raise Violation("acknowledged a run that has no end")
            self.state = "gone"
        else:
            delayed = b"delay" in answer and b'"delay": 0}' not in answer
            self.state = "delayed" if delayed else "waiting"


async def _nobody(job_type: str, params: Mapping[str, Any]) -> bool:
    return False


@dataclass
class Leases:
    """The LeaseKeeper without its thread: a lease has lapsed exactly when the broker's ack_wait has."""

    replies: dict[int, str] = field(default_factory=dict)
    out: bool = False
    doubtful: bool = False

    def hold(self, run_id: int, reply: str, since_s: float, for_s: float) -> None:
        self.replies[run_id], self.out, self.doubtful = reply, False, False

    def adopt(self, run_id: int, reply: str) -> bool:
        if run_id not in self.replies:
            return False
        self.hold(run_id, reply, 0, 0)
        return True

    def prolong(self, run_id: int, for_s: float) -> None: ...

    def release(self, run_id: int) -> None:
        self.replies.pop(run_id, None)

    def lapsed(self, run_id: int) -> bool:
        return self.out or self.doubtful

    def confirm(self, run_id: int) -> None:
        self.out, self.doubtful = False, self.out or self.doubtful

    def truce_s(self) -> float:
        return 0.0

    def reply(self, run_id: int) -> str:
        return self.replies[run_id]

    @property
    def beating(self) -> bool:
        return bool(self.replies) and not self.out


class Connection:
    """A runner's: it carries acknowledgements."""

    is_connected = True

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def publish(self, reply: str, answer: bytes) -> None:
        if await ask(Reply(answer)) is Fate.FINE:
            self._broker.settle(answer)


async def gate(request: Publish | Read) -> Fate:
    """Not every request is worth a stop: what stands at a sequence never changes, and a publish that was refused is
    settled in the same way whenever the aggregate is read back."""
    if isinstance(request, Read) and (not request.filter or tasks.running is Broker.refused):
        Broker.refused = None
        return Fate.FINE
    return await ask(request)


class Runner:
    """One runner process at a time: when one ends, the next has its place."""

    def __init__(self, world: "World", index: int) -> None:
        self._world = world
        self.index = index
        self._started = 0
        self.task: Task | None = None
        self.looking: Task | None = None
        self.start()

    @property
    def tasks(self) -> list[Task]:
        return [task for task in (self.task, self.looking) if task]

    def start(self) -> None:
        world = self._world
        self._started += 1
        incarnation = f"r{self.index}.{self._started}"
        self.leases = world.mutant.leases()
        self.attempts = world.mutant.attempts(
            log=world.log(incarnation, Connection(world.broker)),
            answers=Connection(world.broker),
            leases=self.leases,
            incarnation=incarnation,
            ack_wait_s=30.0,
            grace_s=1.0,
            threads=self,
            isolation=SimpleNamespace(perform=lambda job, params, context, stop, grace_s: self.perform(context, stop)),
            suspects=Suspects(),
            others_take=_nobody,
            replace_me=asyncio.Event(),
            commons=contextlib.nullcontext(),
        )
        for task in self.tasks:
            task.drop()
        self.task, self.looking, self.heard, self.grace_over = None, None, False, False
        self.delivery = Delivery()

    @property
    def draining(self) -> bool:
        return self.attempts.draining.is_set()

    @property
    def holding(self) -> Holding | None:
        return self.attempts.holdings.get(RUN_ID)

    async def perform(self, context: Context, stop: Stop) -> Outcome:
        """The job, as long as it takes."""
        token = context.token
        if token in self._world.performed:
            raise Violation(f"the attempt of token {token} is performed twice")
        self._world.performed.add(token)
        match await ask(Perform(token)):
            case "returns":
                return Returned({"done": 1})
            case "raises":
                return Raised("no flour", "OutOfFlour")
            case "stops":
                return Stopped()
        return Ignored("was told to stop")

    def take(self) -> None:
        if self.task is None:
            self.delivery = Delivery()
        task = Task(self.attempts.deliver(WORK, self._world.broker.hand_out(), 0.0))
        task.go_on()
        if not task.done:
            self.task = task

    def go_on(self, answer: Answer) -> None:
        assert self.task
        self.task.go_on(answer)
        self.heard = self.heard and not self.performing
        if self.task.done:
            self.task = None
            if self.draining or self.attempts.replace_me.is_set():
                self.start()

    def hear(self) -> None:
        """A cancel was published, stored or not. One that is heard while the job is at work is as good as a look."""
        self.heard = self.holding is not None and not self.performing

    @property
    def performing(self) -> bool:
        return self.task is not None and isinstance(self.task.request, Perform)

    def may_look(self) -> bool:
        """Heard a cancel, or the time has come (which is told only where the look would find something)."""
        holding = self.holding
        if holding is None or holding.stop.said or self.looking:
            return False
        if not self.performing:
            return self.heard
        run = self._world.run
        return run.cancel_requested_by is not None or run.token != holding.run.token or run.phase != "executing"

    def look(self) -> None:
        assert self.holding
        self.heard = False
        self.looking = Task(self.attempts.look(self.holding))
        self.looking.go_on()

    def go_on_looking(self) -> None:
        assert self.looking
        self.looking.go_on(Fate.FINE)
        if self.looking.done:
            self.looking = None

    def key(self) -> object:
        holding = self.holding
        return (
            self.task and self.task.key(),
            self.looking and self.looking.key(),
            self.heard,
            self.draining,
            self.grace_over,
            self.leases.beating,
            self.leases.doubtful,
            self.delivery.suspect,
            holding and (holding.why, holding.run.version, holding.run.phase, holding.run.token),
        )


@dataclass(frozen=True)
class Mutant:
    """The protocol, or one that is broken in one place: what the model must notice."""

    attempts: Callable[..., Attempts] = Attempts
    log: Callable[..., MemoryLog] = WatchedLog
