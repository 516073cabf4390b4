"""How triggers reach the jobs: one durable consumer per job type, shared by all runners, one pull per free slot.

`max_ack_pending` is the job's concurrency, so overlap control is the broker's own, and
`nats consumer report JOBS` shows what waits and what runs.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from kronik import Job, KronikError, subjects
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext

from services.infra import logs
from services.infra.clock import monotonic_s
from services.log import jetstream
from services.log.jetstream import ApiRefused, LogUnavailable
from services.log.stored import is_delivery, status
from services.runner.attempt import Attempts
from services.runner.releases import Releases

log = logs.get()

_NS = 1_000_000_000
_LOOK_EVERY_S = 2.0
_PULL_S = 5.0
_PAUSE_S = 0.5
_ANSWER_S = 1.0
_UNREAD_S = 0.2
_BLOCKED_S = 1.0
_NOTHING_CAME = "408"


class ConsumerRefused(KronikError):
    """JetStream refused the consumer's configuration, with its reason."""


@dataclass(slots=True)
class Pull:
    """A pull subscription as FastStream's loop uses it, made to last.

    Each pull has an inbox of its own: an answer that comes after we stopped waiting, be it that NATS was away or
    that we were stopped, finds nobody and is delivered again later; none can lie here while its lease
    runs out. asked_s: for each delivery, by its ack subject, when it was asked for. FastStream's
    loop would end at an error that it does not know, and ask again at once where nobody answers.
    """

    consumer: str
    connection: Client
    asked_s: dict[str, float]
    subscription: JetStreamContext.PullSubscription

    async def fetch(self, batch: int, timeout: float) -> list[Msg]:  # noqa: ASYNC109 (FastStream calls it so)
        """One message. Raises nats.errors.TimeoutError, after a pause where that is needed, when there is none."""
        if not self.connection.is_connected:
            await asyncio.sleep(_PAUSE_S)
            raise NatsTimeout
        asked_s = monotonic_s()
        request = jetstream.pull_request(batch=batch, expires_s=timeout)
        message = await self._ask(request, timeout + _ANSWER_S)
        if is_delivery(message):
            self.asked_s[message.reply] = asked_s
            return [message]
        if (said := status(message)).code != _NOTHING_CAME:
            log.warning("pull_failed", consumer=self.consumer, status=str(said))
            await asyncio.sleep(_PAUSE_S)
        raise NatsTimeout

    async def _ask(self, request: bytes, within_s: float) -> Msg:
        inbox = self.connection.new_inbox()
        answers = await self.connection.subscribe(inbox)
        try:
            try:
                await jetstream.pull(self.connection, self.consumer, inbox, request)
            except LogUnavailable as away:
                raise NatsTimeout from away
            try:
                return await answers.next_msg(timeout=within_s)
            except NatsTimeout:
                # While a job blocks the loop nobody reads the socket: the answer may lie in it.
                return await answers.next_msg(timeout=_UNREAD_S)
        finally:
            if not self.connection.is_closed:
                await answers.unsubscribe()

    async def unsubscribe(self) -> None:
        await self.subscription.unsubscribe()


@dataclass(slots=True)
class Consumers:
    """The subscriptions of one runner: for each job as many loops as it may run at the same time here."""

    broker: NatsBroker
    attempts: Attempts
    releases: Releases
    jobs: dict[str, Job]
    slots: int
    ack_wait_s: float
    inbox_prefix: bytes
    _subscribers: list[tuple[str, Any]] = field(default_factory=list)
    _deliveries: set[asyncio.Future[None]] = field(default_factory=set)
    _asked_s: dict[str, float] = field(default_factory=dict)
    _began_s: float = field(default_factory=monotonic_s)

    async def prepare(self) -> None:
        """Make the consumers. Raises ConsumerRefused, and LogUnavailable where NATS is away."""
        for job in self.jobs.values():
            await self.ensure(job)

    async def start(self) -> None:
        """Begin to pull; waits for NATS as long as it takes."""
        for job in self.jobs.values():
            for _ in range(min(job.concurrency, self.slots)):
                self._subscribers.append((job.job_type, self._subscribe(job)))
        for job_type, subscriber in self._subscribers:
            while not await self._begin(job_type, subscriber):
                continue

    async def _begin(self, job_type: str, subscriber: Any) -> bool:
        """Start one loop; False, after a pause, where NATS did not answer."""
        self._began_s = monotonic_s()
        try:
            await subscriber.start()
        except (NatsError, TimeoutError) as error:
            log.warning("waiting_for_nats", error=repr(error))
            await subscriber.stop()
            await asyncio.sleep(_PAUSE_S)
            return False
        consumer = subjects.runner_consumer(job_type)
        subscriber.subscription = Pull(consumer, self._connection, self._asked_s, subscriber.subscription)
        return True

    async def drain(self, grace_s: float) -> None:
        """Pull no more, let what runs finish within the grace, then stop it and hand its run to the next runner."""
        log.info("runner_draining", running=sorted(self.attempts.holdings))
        self.attempts.draining.set()
        for _, subscriber in self._subscribers:
            await subscriber.stop()
        await self._idle(grace_s)
        for holding in self.attempts.holdings.values():
            holding.end("drain")
        await self._idle(grace_s + 2)
        if self._connection.is_connected:
            await self._connection.flush(timeout=2)

    async def _idle(self, within_s: float) -> None:
        if self._deliveries:
            await asyncio.wait(self._deliveries, timeout=within_s)

    def _subscribe(self, job: Job) -> Any:
        subscriber = self.broker.subscriber(
            subjects.triggers_of(job.job_type),
            durable=subjects.runner_consumer(job.job_type),
            stream=JStream(subjects.STREAM, declare=False),
            # Shorter than a lease, or what a pull brings could have lapsed on its way here.
            pull_sub=PullSub(batch_size=1, timeout=min(_PULL_S, 0.6 * self.ack_wait_s)),
            ack_policy=AckPolicy.MANUAL,
            inbox_prefix=self.inbox_prefix,
            decoder=_undecoded,
        )

        @subscriber
        async def handle(message: NatsMessage) -> None:
            # A task of its own: stopping the subscription must not cancel the job.
            delivery = asyncio.ensure_future(self._deliver(job, message))
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._deliveries.discard)
            await asyncio.shield(delivery)

        return subscriber

    async def _deliver(self, job: Job, message: NatsMessage) -> None:
        try:
            asked_s = self._asked_s.pop(message.raw_message.reply, self._began_s)
            await self.attempts.deliver(job, message.raw_message, asked_s)
        except Exception:
            # Ours, not the job's: the trigger stays unacknowledged and comes again after ack_wait.
            log.exception("delivery_failed", job=job.job_type)

    async def look_after(self) -> None:
        """Bring back what was lost: a consumer that somebody deleted, a pulling loop that ended."""
        while True:
            asleep_s = monotonic_s()
            self.attempts.leases.loop_lives()
            await asyncio.sleep(_LOOK_EVERY_S)
            late_s = monotonic_s() - asleep_s - _LOOK_EVERY_S
            if late_s > _BLOCKED_S:
                log.warning("event_loop_blocked", for_s=round(late_s, 1), running=sorted(self.attempts.holdings))
            try:
                await self.run_once()
            except (NatsError, TimeoutError, LogUnavailable, ConsumerRefused) as error:
                log.warning("consumer_check_failed", error=repr(error))

    async def run_once(self) -> list[str]:
        """The job types whose consumer was gone and is there again."""
        if not self._connection.is_connected:
            return []
        recreated = [job_type for job_type, job in self.jobs.items() if await self.ensure(job)]
        for job_type, subscriber in self._subscribers:
            if all(task.done() for task in subscriber.tasks):
                log.warning("pulling_loop_restarted", job=job_type)
                await subscriber.stop()
                await self._begin(job_type, subscriber)
        return recreated

    @property
    def _connection(self) -> Client:
        return self.broker.connection

    async def ensure(self, job: Job) -> bool:
        """Make the job's consumer, or correct it where that is ours to do; True where there was none.

        Only one runner corrects it: two releases that differ would write it back and forth. The others keep
        their leases as it says. Raises ConsumerRefused.
        """
        name = subjects.runner_consumer(job.job_type)
        wanted = self._config(job)
        info = await jetstream.consumer_info(self._connection, name)
        if info is not None:
            self.attempts.leases.follow(info.config.get("ack_wait", 0) / _NS)
            if not self.releases.leads(job.job_type) or all(info.config.get(key) == wanted[key] for key in wanted):
                return False
        try:
            await jetstream.create_consumer(self._connection, wanted)
        except ApiRefused as refused:
            raise ConsumerRefused(f"consumer {name}: {refused.reason}") from refused
        log.info("consumer_ensured", consumer=name, created=info is None)
        return info is None

    def _config(self, job: Job) -> dict[str, object]:
        return {
            "durable_name": subjects.runner_consumer(job.job_type),
            "filter_subject": subjects.triggers_of(job.job_type),
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": round(self.ack_wait_s * _NS),
            "max_deliver": -1,
            "max_ack_pending": job.concurrency,
            "replay_policy": "instant",
        }


async def _undecoded(message: NatsMessage) -> bytes:
    """Bodies are ours to read (kronik.codec): a body that FastStream can't decode must not be lost."""
    body: bytes = message.body
    return body
