"""Two runners, a canceller, the reconciler and every fault, as one state that goes on by one action at a time.

Canceller (services.api.commands.cancel) and reconciler (services.scheduler.reconciler) are the real code too.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from kronik import codec, subjects
from kronik.events import Abandoned
from kronik.run import Run, begin, evolve

from services.api.access.store import Identity
from services.api.commands.cancel import request_cancel
from services.api.problems import Problem
from services.log.append import LogUnavailable
from services.runner.attempt import Attempts
from services.scheduler import reconciler
from services.scheduler.open_runs import OpenRuns
from services.scheduler.schedules import Schedules
from tests.invariants import Fact, violations
from tests.model.actors import RUN_ID, Broker, Clock, Connection, Delivery, Leases, Runner, Violation, WatchedLog, gate
from tests.model.memory_log import Fate, MemoryLog, Publish, Read
from tests.model.tasks import Answer, Perform, Reply, Task

Action = tuple[str, int, Answer | None]
"""What happens, to which runner (or 0), and how the request that it waits for ends."""

_ADMIN = Identity(user_id="7", name="Anna", role="admin")


@dataclass(frozen=True)
class Bounds:
    """What may happen in one execution. faults: how many in all, limits: how many of each kind (absent: none).

    Kinds: crash, expire (a lease runs out under a holder that goes on), lost (an answer or an acknowledgement),
    drain (SIGTERM), recreate (the consumer is made anew), reconcile (the reconciler ends the run
    whatever goes on), ignore (the job goes on past its cancellation). cancels: an admin asks for the run to
    stop; sweeps: and the reconciler helps; slow_looks: what a runner reads when it looks after its attempt may
    be read before anything else and judged after it. replicated: as three replicas answer.
    """

    faults: int
    limits: Mapping[str, int]
    cancels: bool = True
    sweeps: bool = False
    slow_looks: bool = False
    replicated: bool = False


@dataclass(frozen=True)
class Mutant:
    """The protocol, or one that is broken in one place: what the model must notice. patches: of attempt's names."""

    attempts: Callable[..., Attempts] = Attempts
    log: Callable[..., MemoryLog] = WatchedLog
    leases: Callable[[], Leases] = Leases
    patches: Mapping[str, object] = field(default_factory=dict)


@dataclass
class World:
    """One execution so far. actions(): what can happen next; do(): let it happen. Raises Violation."""

    bounds: Bounds
    mutant: Mutant = field(default_factory=Mutant)

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.broker = Broker(replicated=self.bounds.replicated, on_stored=self._stored)
        self.performed: set[int] = set()
        self._spent: Counter[str] = Counter()
        self._claim: tuple[Runner, Delivery] | None = None
        self._before_recreation: tuple[Runner, Delivery] | None = None
        self._asked = False
        self._convicting = False
        self._canceller: Task | None = None
        self._reconciler: Task | None = None
        self._folded: tuple[int, Run] | None = None
        self.broker.publish("jobs.trigger.WORK.crm", b"")
        self.runners = [Runner(self, 0), Runner(self, 1)]

    def log(self, writer: str, connection: Connection | None = None) -> MemoryLog:
        return self.mutant.log(connection, self.clock, f"/kronik/{writer}", self.broker, gate)

    @property
    def run(self) -> Run:
        """The run as the stream has it."""
        trigger, *events = self.broker.events
        if self._folded is None or self._folded[0] != len(events):
            run = begin(trigger, subjects.TriggerSubject("WORK", "crm"))
            for event in events:
                run = evolve(run, event)
            self._folded = len(events), run
        return self._folded[1]

    # What can happen

    def actions(self) -> list[Action]:
        """In a fixed order; the first one is what happens when nothing goes wrong.

        An acknowledgement leaves with the decision to send it, or never: it may be lost, not late.
        """
        for runner in self.runners:
            if runner.task and isinstance(runner.task.request, Reply):
                return [("step", runner.index, Fate.FINE), *self._faults_of(runner, runner.task)]
        return [*self._necessary(), *self._optional(), *self._faults()]

    def _necessary(self) -> Iterator[Action]:
        """What will happen in the end, if nothing else does."""
        for runner in self.runners:
            if runner.task:
                yield from (("step", runner.index, answer) for answer in self._fine(runner))
            if runner.looking:
                yield "look_on", runner.index, None
            if runner.draining and runner.task and not runner.grace_over:
                yield "grace_over", runner.index, None
        if self.broker.state == "waiting":
            yield from (("deliver", runner.index, None) for runner in self.runners if not runner.draining)
        if self.broker.state == "delayed":
            yield "elapse", 0, None
        if self.broker.state == "out" and not self._beating:
            yield "expire", 0, None
        if self._canceller:
            yield "cancel_on", 0, Fate.FINE
        if self._reconciler:
            yield "reconcile_on", 0, Fate.FINE

    def _fine(self, runner: Runner) -> Iterator[Answer]:
        if not isinstance(runner.task and runner.task.request, Perform):
            yield Fate.FINE
            return
        yield "returns"
        yield "raises"
        if runner.holding and runner.holding.stop.said:
            yield "stops"

    def _optional(self) -> Iterator[Action]:
        for runner in self.runners:
            if runner.may_look():
                yield "look", runner.index, None
        if self.bounds.cancels and not self._asked:
            yield "cancel", 0, None
        run = self.run
        unattended = run.cancel_requested_by is not None and run.phase in ("queued", "retrying")
        if self.bounds.sweeps and unattended and not self._reconciler:
            yield "sweep", 0, None

    def _faults(self) -> Iterator[Action]:
        for runner in self.runners:
            if runner.task:
                yield from self._faults_of(runner, runner.task)
        if self.broker.state == "out" and self._beating and self._may("expire"):
            yield "expire", 0, None
        if self.broker.deliveries and self._may("recreate"):
            yield "recreate", 0, None
        if not self._reconciler and not self.run.finished and self._may("reconcile"):
            yield "convict", 0, None
        for name, task in (("cancel_on", self._canceller), ("reconcile_on", self._reconciler)):
            if task:
                yield from ((name, 0, fate) for fate in self._losses(task))

    def _faults_of(self, runner: Runner, task: Task) -> Iterator[Action]:
        yield from (("step", runner.index, fate) for fate in self._losses(task))
        stopping = isinstance(task.request, Perform) and runner.holding and runner.holding.stop.said
        if stopping and self._may("ignore"):
            yield "step", runner.index, "ignores"
        if self._may("crash"):
            yield "crash", runner.index, None
        if not runner.draining and self._may("drain"):
            yield "drain", runner.index, None

    def _losses(self, task: Task) -> Iterator[Fate]:
        match task.request:
            case Publish() if self._may("lost"):
                yield Fate.LOST_AFTER  # one that never arrives is sent again: no more than a pause
            case Reply() if self._may("lost"):
                yield Fate.LOST_BEFORE
            case Read() if task.lost:
                yield Fate.AWAY

    def _may(self, kind: str) -> bool:
        return self._spent.total() < self.bounds.faults and self._spent[kind] < self.bounds.limits.get(kind, 0)

    @property
    def _beating(self) -> bool:
        return any(runner.leases.beating for runner in self.runners)

    # What happens

    def do(self, action: Action) -> None:
        """Raises Violation, and whatever the code under test raises."""
        kind, index, answer = action
        getattr(self, f"_{kind}")(self.runners[index], answer)

    def _step(self, runner: Runner, answer: Answer) -> None:
        if answer in (Fate.LOST_BEFORE, Fate.LOST_AFTER):
            self._spent["lost"] += 1
        if answer == "ignores":
            self._spent["ignore"] += 1
        runner.go_on(answer)

    def _look(self, runner: Runner, _: None) -> None:
        runner.look()
        if not self.bounds.slow_looks:
            runner.go_on_looking()

    def _look_on(self, runner: Runner, _: None) -> None:
        runner.go_on_looking()

    def _deliver(self, runner: Runner, _: None) -> None:
        runner.take()

    def _elapse(self, _: Runner, __: None) -> None:
        self.clock.ticks += 1
        self.broker.state = "waiting"

    def _expire(self, _: Runner, __: None) -> None:
        if self._beating:
            self._spent["expire"] += 1
        self.broker.state = "waiting"
        for runner in self.runners:
            runner.leases.out = True
            runner.delivery.suspect = True

    def _recreate(self, _: Runner, __: None) -> None:
        self._spent["recreate"] += 1
        self._before_recreation = self._claim
        self.broker.state, self.broker.deliveries = "waiting", 0

    def _crash(self, runner: Runner, _: None) -> None:
        self._spent["crash"] += 1
        runner.start()

    def _drain(self, runner: Runner, _: None) -> None:
        self._spent["drain"] += 1
        runner.attempts.draining.set()

    def _grace_over(self, runner: Runner, _: None) -> None:
        runner.grace_over = True
        if runner.holding:
            runner.holding.end("drain")

    def _cancel(self, _: Runner, __: None) -> None:
        self._asked = True
        self._canceller = Task(request_cancel(self.log("api"), RUN_ID, _ADMIN))
        self._canceller.go_on()

    def _cancel_on(self, _: Runner, answer: Answer) -> None:
        assert self._canceller
        if isinstance(self._canceller.request, Publish) and answer is not Fate.LOST_BEFORE:
            for runner in self.runners:
                runner.hear()
        self._canceller = self._on(self._canceller, answer)

    def _sweep(self, _: Runner, __: None) -> None:
        self._reconciler = Task(self._new_reconciler()._cancel(RUN_ID))
        self._reconciler.go_on()

    def _convict(self, _: Runner, __: None) -> None:
        """The reconciler believes for long that nobody works on the run, be it true or not."""
        self._spent["reconcile"] += 1
        self._convicting = True
        judge = self._new_reconciler()
        judge._suspicions["WORK"] = {RUN_ID: reconciler._Suspicion("lost", 0, 0.0, patience_s=1.0)}
        self._reconciler = Task(judge._end("WORK", RUN_ID))
        self._reconciler.go_on()

    def _new_reconciler(self) -> reconciler.Reconciler:
        feed: Any = None
        return reconciler.Reconciler(self.log("reconciler"), Schedules(), feed, OpenRuns(), feed, "reconciler", 30.0)

    def _reconcile_on(self, _: Runner, answer: Answer) -> None:
        assert self._reconciler
        self._reconciler = self._on(self._reconciler, answer)

    def _on(self, task: Task, answer: Answer) -> Task | None:
        """None when it is over, be it that it was refused (Problem) or gave up with NATS away."""
        if answer in (Fate.LOST_BEFORE, Fate.LOST_AFTER):
            self._spent["lost"] += 1
        with contextlib.suppress(Problem, LogUnavailable):
            task.go_on(answer)
            return None if task.done else task
        return None

    # What must hold

    def _stored(self, name: str) -> None:
        """The moment at which an event was stored."""
        run, event = self.run, self.broker.events[-1]
        if name == "started":
            writer = self._writer()
            self._claim = (writer, writer.delivery) if writer else None
        elif isinstance(event.data, Abandoned) and event.data.reason == "lost" and self._claim and not self._convicting:
            runner, delivery = self._claim
            if self._spent["recreate"] and (self._spent["expire"] or self._claim is not self._before_recreation):
                # Two deliveries were out at once: it may cost an attempt, when one of them is handed back or adopted.
                return
            if runner.task and runner.delivery is delivery and not delivery.suspect:
                raise Violation(f"attempt {run.attempt} was given up while its runner was well")

    def _writer(self) -> Runner | None:
        body = self.broker.messages[-1].body
        ours = (runner for runner in self.runners if f'/{runner.attempts.incarnation}"'.encode() in body)
        return next(ours, None)

    @property
    def quiet(self) -> bool:
        """Nothing is left that will happen by itself."""
        return not any(True for _ in self._necessary())

    def check_quiet(self) -> None:
        """Raises Violation if the execution may not end like this."""
        if self.broker.state != "gone":
            raise Violation(f"stuck: the delivery is {self.broker.state}, and nobody does anything")
        found = violations(self._facts())
        run = self.run
        if run.ignored:
            found.append(f"{run.ignored} events ignored by the fold")
        if found:
            raise Violation("; ".join(found))

    def _facts(self) -> Iterator[Fact]:
        for message in self.broker.messages:
            document = codec._anything.decode(message.body) if message.body else {}
            yield Fact(message.sequence, message.subject, message.msg_id or "", document.get("data", {}))

    def close(self) -> None:
        """Let go of every coroutine."""
        tasks = (self._canceller, self._reconciler, *(each for runner in self.runners for each in runner.tasks))
        for task in tasks:
            if task:
                task.drop()

    def key(self) -> object:
        """Equal for worlds that will go on alike."""
        story = tuple((event.subject, getattr(event.data, "attempt", 0)) for event in self.broker.events[1:])
        runners = sorted(
            (self._key_of(runner) for runner in self.runners), key=hash
        )  # which is which makes no difference
        return (
            story,
            self.broker.state,
            self.broker.deliveries == 0,
            self.clock.ticks,
            tuple(runners),
            self._canceller and self._canceller.key(),
            self._reconciler and self._reconciler.key(),
            (self._asked, self._convicting, tuple(sorted(self.performed))),
            tuple(sorted(self._spent.items())),
        )

    def _key_of(self, runner: Runner) -> object:
        claims = self._claim is not None and self._claim[0] is runner and self._claim[1] is runner.delivery
        return (runner.key(), claims, claims and self._claim is self._before_recreation)
