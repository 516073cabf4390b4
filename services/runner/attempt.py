"""One delivery of a trigger, from its arrival to its acknowledgement.

    read the run ─▶ claim an attempt ─▶ perform the job ─▶ conclude ─▶ acknowledge

Every step that says something about the run is an append expecting the run as it was read. Who wins the
`started` append owns the attempt; its sequence is the fencing token. Who finds at the end that the
token is no longer the run's last word has been replaced: it appends nothing and acknowledges
nothing. The acknowledgement comes after the terminal event is stored; if it is lost, the trigger is
delivered again, the run is found finished, and only the acknowledgement is repeated.

tests/model walks through every order in which two runners, a canceller and the reconciler can do all this.
"""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, assert_never

import msgspec
import structlog
from kronik import Job, KronikError, Params, subjects
from kronik.endings import end_of_cancelled
from kronik.errors import InvalidEvent, InvalidName
from kronik.events import Abandoned, Cancelled, Completed, Failed, Retrying, RunEvent, Started
from kronik.run import Done, Run, Wait, begin, decide_delivery, decide_error, holds
from kronik.text import clean
from msgspec.structs import replace

from services.infra import logs, params
from services.infra.failpoints import failpoint
from services.infra.misfit_words import in_words
from services.log.append import Conflict, EventLog, LogUnavailable, TooLarge
from services.log.stored import Delivery, Stored
from services.runner.answers import Answers
from services.runner.commons import Commons
from services.runner.context import Context, publish_last_lines, publish_lines
from services.runner.isolation import Isolation
from services.runner.lease import LeaseKeeper
from services.runner.outcome import Ignored, Outcome, Raised, Returned, Stopped, TimedOut, timed_out
from services.runner.performance import perform
from services.runner.registry import milliseconds, policy
from services.runner.stop import Stop
from services.runner.suspects import Suspects

log = logs.get()

Why = Literal["cancel", "drain", "lost"]
Conclusion = Abandoned | Retrying | Completed | Failed | Cancelled
_APPEND_PAUSE_S = 1.0
_LOOKS_AT_ONCE = 50
_SPEAK_EVERY_S = 0.3
_LOOK_AGAIN = timedelta(seconds=5)
_WAITING = 10_000
_TO_ANOTHER_RELEASE_NS = 500_000_000


class RunGone(KronikError):
    """The stream does not have the run any more."""


@dataclass(slots=True)
class Holding:
    """A delivery that this process is busy with. `stop` ends its attempt early, `why` says for what reason.

    by: names the delivery in the ids of what it appends. Were it the process, an event that this process
    appended in an earlier delivery would pass for the one it appends now, and a finished job would run again.
    context: while its job is at work.
    """

    run: Run
    by: str
    context: Context | None = None
    stop: Stop = field(default_factory=Stop)
    why: Why | None = None

    missing: int = 0

    def end(self, why: Why) -> None:
        if self.why is None:
            self.why = why
            self.stop.say()


@dataclass(frozen=True, slots=True)
class Attempts:
    """All that one runner process needs to take deliveries; `holdings` are those under way, by run id."""

    log: EventLog
    answers: Answers
    leases: LeaseKeeper
    incarnation: str
    ack_wait_s: float
    grace_s: float
    threads: ThreadPoolExecutor
    isolation: Isolation
    suspects: Suspects
    others_take: Callable[[str, Mapping[str, Any]], Awaitable[bool]]
    replace_me: asyncio.Event
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    holdings: dict[int, Holding] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    commons: Commons = field(default_factory=Commons)
    waiting: dict[int, str] = field(default_factory=dict)
    """The ack subjects of deliveries that were handed back until their retry, by run id."""

    async def deliver(self, job: Job, delivery: Delivery, since_s: float) -> None:
        """Take one delivery through to its acknowledgement. Returns without one when the run is not ours any more.

        since_s: when the delivery was asked for, monotonic: it was sent after that.
        """
        stored = delivery.stored
        if self.leases.adopt(stored.sequence, delivery.reply):
            log.warning("own_run_delivered_again", run_id=stored.sequence)
            return
        self.waiting.pop(stored.sequence, None)
        self.leases.hold(stored.sequence, delivery.reply, since_s, for_s=self.ack_wait_s * 10)
        try:
            # Of this delivery's own task, with which it goes away.
            structlog.contextvars.bind_contextvars(job=job.job_type, run_id=stored.sequence)
            await self._take(job, stored, first=delivery.times == 1)
        except RunGone as gone:
            log.error("run_gone", run_id=stored.sequence, problem=str(gone))
        finally:
            self.holdings.pop(stored.sequence, None)
            self.leases.release(stored.sequence)

    async def _take(self, job: Job, stored: Stored, *, first: bool) -> None:
        try:
            trigger = stored.decode()
        except InvalidName as error:
            log.warning("not_a_trigger", subject=stored.subject, error=str(error))
            return await self._reply(stored.sequence, b"+TERM not a trigger of Kronik")
        place = subjects.parse(trigger.subject)
        assert isinstance(place, subjects.TriggerSubject)
        run = begin(trigger, place)
        # A first delivery has no events yet, nearly always; where it has, the claim conflicts and reads them.
        by = f"{self.incarnation}.{next(self.numbers)}"
        holding = self.holdings[run.id] = Holding(run if first else await self._read(run) or run, by)
        await self._proceed(job, holding)

    async def _read(self, run: Run) -> Run | None:
        """The run with the events that stand in the stream now, if it does; waits while NATS is away."""
        while True:
            try:
                found = await self.log.read_run(run.id)
            except LogUnavailable as error:
                log.warning("waiting_for_nats", error=str(error))
                await asyncio.sleep(_APPEND_PAUSE_S)
                continue
            return found[0] if found else None

    async def _proceed(self, job: Job, holding: Holding) -> None:
        """Decide and append until the attempt is ours or the delivery is settled.

        An attempt that was claimed since we read is left alone: this delivery comes again after ack_wait,
        unless the attempt's own heartbeats go on.
        """
        given, token = as_params(job.params_type, holding.run), holding.run.token
        if isinstance(given, str) and holding.run.problem is None and await self._others_take(holding.run):
            log.info("handed_to_another_release", problem=given)
            return await self._hand_back(holding.run.id, b'-NAK {"delay": %d}' % _TO_ANOTHER_RELEASE_NS)
        while True:
            run, now = holding.run, self.log.clock.now()
            if isinstance(given, str):
                run = replace(run, problem=given)
            step = decide_delivery(
                run,
                incarnation=self.incarnation,
                policy=policy(job.retry),
                timeout_ms=milliseconds(job.timeout),
                now=now,
            )
            match step:
                case Done():
                    return await self._reply(run.id, b"+ACK")
                case _ if self.leases.lapsed(run.id):
                    # Read after the run was: whoever works on it now may have got it after us, and be well.
                    log.warning("delivery_too_old", last=run.version)
                    return None
                case Wait():
                    # No longer than that at once: our clock may be wrong, and put right in a moment.
                    log.info("not_due_yet", until=step.until.isoformat())
                    return await self._come_back(run.id, min(step.until - now, _LOOK_AGAIN))
                case Started() if self.draining.is_set():
                    return await self._reply(run.id, b"-NAK")
                case Abandoned() if run.token != token:
                    log.info("claimed_meanwhile", incarnation=run.incarnation, attempt=run.attempt)
                    return None
                case Abandoned() if (truce_s := self.leases.truce_s()) > 0:
                    log.info("holder_may_be_back", incarnation=run.incarnation, truce_s=truce_s)
                    return await self._come_back(run.id, timedelta(seconds=truce_s))
                case Started() | Abandoned() | Failed() | Cancelled():
                    failpoint(f"before_{type(step).__name__.lower()}")
                    won = await self._append(holding, step)
                    if isinstance(step, Abandoned):
                        self.suspects.add(job.job_type)
                    if won and isinstance(step, Started) and isinstance(given, Params):
                        failpoint("after_claim")
                        return await self._attempt(job, holding, given, now)
                case _:
                    assert_never(step)

    async def _others_take(self, run: Run) -> bool:
        """Not while it is executing: whoever holds it has read its params."""
        if run.finished or run.phase == "executing":
            return False
        try:
            return await self.others_take(run.job_type, run.params)
        except LogUnavailable:
            return True  # not known: it comes again

    async def _append(self, holding: Holding, event: RunEvent) -> bool:
        """Append and fold; False: the run has gone on without us, and was read again. Waits while NATS is away."""
        run = holding.run
        while True:
            try:
                answer = await self.log.append_to_run(run, event, by=holding.by)
                break
            except LogUnavailable as error:
                log.warning("waiting_for_nats", error=str(error))
                await asyncio.sleep(_APPEND_PAUSE_S)
        if isinstance(answer, Conflict):
            found = await self._read(run)
            if found is None:
                raise RunGone(f"run {run.id} does not stand in the stream any more: it lost its tail, or was made anew")
            holding.run = found
            return False
        holding.run = answer
        return True

    async def _attempt(self, job: Job, holding: Holding, given: Params, now: datetime) -> None:
        run = holding.run
        self.leases.prolong(run.id, for_s=job.timeout.total_seconds() + 2 * self.grace_s)
        log.info("attempt_started", attempt=run.attempt, triggered_by=run.triggered_by)
        context = holding.context = Context(run, now, self.log.clock)
        outcome = await self._perform(job, given, holding, context)
        failpoint("after_job")
        if isinstance(outcome, Raised):
            log.warning("job_raised", error=outcome.error, exception=outcome.traceback)
        await self._conclude(job, holding, context, outcome)

    async def _perform(self, job: Job, given: Params, holding: Holding, context: Context) -> Outcome:
        try:
            if job.isolation == "process" or self.suspects.includes(holding.run):
                return await self.isolation.perform(job, given, context, holding.stop, self.grace_s)
            with self.commons:
                return await perform(job, given, context, holding.stop, self.threads, self.grace_s)
        finally:
            await publish_last_lines(self.log.connection, context)

    async def _conclude(self, job: Job, holding: Holding, context: Context, outcome: Outcome) -> None:
        """Append what came of the attempt, if it is still ours, then settle the delivery."""
        token = context.token
        while holds(holding.run, token):
            now, jitter = self.log.clock.now(), random.random()
            event = conclusion(job, holding.run, outcome, context, why=holding.why, now=now, jitter=jitter)
            try:
                won = await self._append(holding, event)
            except (InvalidEvent, TooLarge) as error:
                # Not done again for it: the next attempt's would be no more fit to be stored.
                outcome = Raised(f"what the job returned can't be stored: {error}", "InvalidResult", permanent=True)
                context.warnings.clear()
                continue
            if won:
                failpoint("after_conclusion")
                log.info("attempt_ended", attempt=context.attempt, outcome=type(event).__name__)
                await self._settle(holding.run.id, event)
                break
        else:
            log.warning("attempt_fenced", attempt=context.attempt, token=token, last=holding.run.version)
        if isinstance(outcome, Ignored):
            log.error("job_ignored_its_end", attempt=context.attempt, why=outcome.why)
            self.replace_me.set()

    async def _settle(self, run_id: int, event: Conclusion) -> None:
        match event:
            case Completed() | Failed() | Cancelled():
                await self._reply(run_id, b"+ACK")
            case Retrying():
                await self._come_back(run_id, timedelta(milliseconds=event.wait_ms or 0))
            case Abandoned():
                await self._hand_back(run_id, b"-NAK")
            case _:
                assert_never(event)

    async def heard_cancel(self, run_id: int) -> None:
        """Somebody wants the run to stop. One that waits for its retry here ends now and frees its place now, instead
        of when the retry was due. Raises LogUnavailable, LogRefused."""
        if (holding := self.holdings.get(run_id)) is not None:
            return await self.look(holding)
        if run_id not in self.waiting or (found := await self.log.read_run(run_id)) is None:
            return
        run, event = found[0], end_of_cancelled(found[0])
        if event is not None:
            answer = await self.log.append_to_run(run, event, by=f"{self.incarnation}.{next(self.numbers)}")
            run = await self._read(run) or run if isinstance(answer, Conflict) else answer
        if run.finished and (reply := self.waiting.pop(run_id, None)):
            await self.answers.publish(reply, b"+ACK")

    def _remember(self, run_id: int) -> None:
        """For a while: those that were delivered to other runners since are never asked for again."""
        self.waiting[run_id] = self.leases.reply(run_id)
        if len(self.waiting) > _WAITING:
            del self.waiting[next(iter(self.waiting))]

    async def _come_back(self, run_id: int, after: timedelta) -> None:
        """Hand the delivery back for so long, by the server's clock. One that comes earlier is handed back again."""
        delay_ns = max(0, after // timedelta(microseconds=1)) * 1000
        self._remember(run_id)
        await self._hand_back(run_id, b'-NAK {"delay": %d}' % delay_ns)

    async def _hand_back(self, run_id: int, answer: bytes) -> None:
        """Not with a lapsed lease: the server would take it for the new holder's answer, and deliver to a third."""
        if not self.leases.lapsed(run_id):
            await self._reply(run_id, answer)

    async def _reply(self, run_id: int, answer: bytes) -> None:
        await self.answers.publish(self.leases.reply(run_id), answer)

    async def look_after(self) -> None:
        """Look at every attempt three times per ack_wait: a cancel whose signal was missed, or another holder, ends it.

        One task for all of them, like speak(): most attempts are over before it comes round.
        """
        while True:
            await asyncio.sleep(self.ack_wait_s / 3)
            at_work = [holding for holding in self.holdings.values() if holding.context]
            for first in range(0, len(at_work), _LOOKS_AT_ONCE):
                looks = map(self.look, at_work[first : first + _LOOKS_AT_ONCE])
                for problem in await asyncio.gather(*looks, return_exceptions=True):
                    if problem is not None:
                        log.error("look_failed", error=repr(problem))

    async def speak(self) -> None:
        """Publish what the jobs say, as they go on."""
        while True:
            await asyncio.sleep(_SPEAK_EVERY_S)
            for context in [holding.context for holding in self.holdings.values() if holding.context]:
                await publish_lines(self.log.connection, context)

    async def look(self, holding: Holding) -> None:
        """End the attempt if the stream says that it was cancelled or is not ours any more."""
        try:
            found = await self.log.read_run(holding.run.id)
        except LogUnavailable:
            return
        if found is None:
            # Once may be a replica that lags behind; with the run gone from the stream there is nothing to work for.
            holding.missing += 1
            if holding.missing > 1:
                holding.end("lost")
            return
        # After the read: what we claim meanwhile is newer than what was read, and not lost.
        run, ours, holding.missing = found[0], holding.run, 0
        if run.cancel_requested_by is not None:
            holding.end("cancel")
        if ours.phase != "executing" or run.version < ours.token:
            return
        if holds(run, ours.token):
            self.leases.confirm(run.id)
        else:
            holding.end("lost")


def as_params(kind: type[Params], run: Run) -> Params | str:
    """The run's params as the job wants them, or what is wrong with them.

    Judged as by who accepted them (services.infra.params): 1.0 is an integer there.
    """
    if run.problem is not None:
        return run.problem
    try:
        return msgspec.convert(run.params, kind)
    except (msgspec.ValidationError, RecursionError, ValueError) as error:
        if params.accepts(params.schema_of(kind), run.params):
            with contextlib.suppress(msgspec.ValidationError, RecursionError, ValueError):
                return msgspec.convert(run.params, kind, strict=False)
        allowed = ", ".join(field.encode_name for field in msgspec.structs.fields(kind)) or "none"
        return f"params: {clean(in_words(str(error)), 1_000)} (allowed: {allowed})"


def conclusion(
    job: Job, run: Run, outcome: Outcome, context: Context, *, why: Why | None, now: datetime, jitter: float
) -> Conclusion:
    """The event that says what came of the attempt. Pure."""
    match outcome:
        case Returned():
            return Completed(
                attempt=run.attempt,
                result=outcome.result,
                warnings=tuple(context.warnings),
                warning_count=context.warning_count,
            )
        case _ if run.cancel_requested_by is not None:
            return Cancelled(attempt=run.attempt, by=run.cancel_requested_by)
        case Stopped() | Ignored() if why == "drain":
            return Abandoned(attempt=run.attempt, reason="drained", detail="its runner was told to stop")
        case Stopped():
            return Abandoned(attempt=run.attempt, reason="lost", detail="its runner lost the run")
        case Raised():
            failure = outcome
        case TimedOut():
            failure = Raised(timed_out(job), "Timeout")
        case Ignored():
            failure = Raised(f"{outcome.why} and ignored its cancellation", "Timeout")
        case _:
            assert_never(outcome)
    return decide_error(
        run,
        error=failure.error,
        error_type=failure.error_type,
        permanent=failure.permanent,
        policy=policy(job.retry),
        now=now,
        jitter=jitter,
        traceback=failure.traceback,
    )
