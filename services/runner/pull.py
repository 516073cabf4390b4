"""How the triggers of one job type reach this process: it asks for as many as it has free places.

    free places ─▶ a round: a request for each ─▶ a delivery, taken as a task ─▶ its place is free again
                                └── expired, refused, lost ─▶ its place is free again

Places that come free at the same moment are asked for in one round: one write, and one inbox for its answers, which is
closed when all are here or none can come any more. What comes after that, be it that NATS was away or that we were
stopped, finds nobody and is delivered again later; nothing can lie here while its lease runs out. A lease counts from
when its round was asked for. Every request is for one trigger: across accounts an empty message ends the answer to
a request, and an empty body is a complete trigger (docs/adr/0006, also on FastStream's subscribers).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from kronik import subjects
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from services.infra import logs
from services.infra.clock import monotonic_s
from services.infra.failpoints import failpoint
from services.log import jetstream
from services.log.jetstream import LogUnavailable
from services.log.protocol import deliver_raw, forget_raw
from services.log.stored import Delivery, delivery_of, status
from services.runner import exits
from services.runner.places import Places

log = logs.get()

_AT_ONCE: Final = 400
"""Requests out at the same time, at most; half of them in one round."""
_EXPIRES_S: Final = 5.0
_ANSWER_S: Final = 1.0
_UNREAD_S: Final = 0.2
"""While a job blocks the loop nobody reads the socket, and the timer wins: the answers may lie in it."""
_PAUSE_S: Final = 0.5
_EXPIRED: Final = "408"

Deliver = Callable[[Delivery, float], Awaitable[None]]
"""Takes a delivery through to its acknowledgement; with when it was asked for, monotonic."""


def _promise() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


@dataclass(slots=True, eq=False)
class _Round:
    """Requests that went out together. owed: those without an answer; came: those that brought a trigger."""

    asked_s: float
    owed: int
    came: int = 0
    ended: asyncio.Future[None] = field(default_factory=_promise)
    problem: str | None = None


@dataclass(slots=True)
class Pull:
    """The requests and the deliveries of one job type. ack_wait_s: how long a lease lasts. refused: set whenever a
    request is, which is how a consumer that is gone shows."""

    connection: Client
    job_type: str
    places: Places
    ack_wait_s: float
    deliver: Deliver
    refused: asyncio.Event = field(default_factory=asyncio.Event)
    deliveries: set[asyncio.Task[None]] = field(default_factory=set)
    _rounds: set[asyncio.Task[bool]] = field(default_factory=set)
    _out: int = 0
    _fewer_out: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: asyncio.Future[None] = field(default_factory=_promise)

    async def run(self) -> None:
        """Ask whenever there are free places, until stop()."""
        while not self._stopping.done():
            round = self._begin(await self.places.take(self.job_type, _AT_ONCE // 2))
            if self.places.scarce:
                # Not asked again before, or jobs that have nothing to do would hold every place of the process.
                self.places.fed(self.job_type, wholly=await round)
            while self._out > _AT_ONCE // 2:
                self._fewer_out.clear()
                await self._fewer_out.wait()

    def _begin(self, count: int) -> asyncio.Task[bool]:
        self._out += count
        round = asyncio.create_task(self._round(count))
        self._rounds.add(round)
        round.add_done_callback(self._rounds.discard)
        return round

    async def stop(self) -> None:
        """Ask no more. What was sent to us before the server heard of it is still delivered."""
        if not self._stopping.done():
            self._stopping.set_result(None)
        if self._rounds:
            await asyncio.wait(self._rounds)

    async def _round(self, count: int) -> bool:
        """Ask for so many triggers until all are here or will not come; whether all came."""
        round = _Round(monotonic_s(), count)
        try:
            await self._ask(round)
        except (NatsError, LogUnavailable) as away:
            round.problem = repr(away)
        if round.problem is not None:
            log.warning("pull_failed", job=self.job_type, problem=round.problem)
            self.refused.set()
            await self._pause()
        in_vain = count - round.came
        self._no_longer_out(in_vain)
        self.places.free(self.job_type, in_vain)
        return not in_vain

    def _no_longer_out(self, count: int) -> None:
        self._out -= count
        if self._out <= _AT_ONCE // 2:
            self._fewer_out.set()

    async def _pause(self) -> None:
        await asyncio.wait([self._stopping], timeout=_PAUSE_S)

    async def _ask(self, round: _Round) -> None:
        if not self.connection.is_connected:
            return await self._pause()

        async def ended(message: Msg) -> None:
            self._ended(round, str(said) if (said := status(message)).code != _EXPIRED else None)

        def arrived(*delivery: Any) -> None:
            self._arrived(round, delivery)

        inbox = self.connection.new_inbox()
        # Shorter than a lease, or what a request brings could have lapsed on its way here.
        expires_s = min(_EXPIRES_S, 0.6 * self.ack_wait_s)
        asking = jetstream.pull_request(batch=1, expires_s=expires_s)
        subscription = await self.connection.subscribe(inbox, cb=ended)
        deliver_raw(self.connection, subscription, arrived)
        try:
            await jetstream.pull(
                self.connection, subjects.runner_consumer(self.job_type), inbox, asking, times=round.owed
            )
            await self._answered(round, expires_s + _ANSWER_S)
        finally:
            if not self.connection.is_closed:
                await self._close(subscription)
            forget_raw(self.connection, subscription)

    async def _answered(self, round: _Round, within_s: float) -> None:
        """Return when nothing more will come: all is here, the server ended it, it is overdue, or we stop."""
        ends = (round.ended, self._stopping)
        done, _ = await asyncio.wait(ends, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            await asyncio.wait(ends, timeout=_UNREAD_S, return_when=asyncio.FIRST_COMPLETED)

    async def _close(self, subscription: Subscription) -> None:
        """While we stop, what is on its way here is still taken, to be handed back at once."""
        if self._stopping.done() and self.connection.is_connected:
            await subscription.drain()  # type: ignore[no-untyped-call]
        else:
            await subscription.unsubscribe()

    def _arrived(self, round: _Round, raw: tuple[Any, ...]) -> None:
        failpoint("after_pull")
        round.came += 1
        self._no_longer_out(1)
        delivery = exits.begin(self._deliver(raw, round.asked_s))
        self.deliveries.add(delivery)
        delivery.add_done_callback(self._delivered)
        self._ended(round, None)

    def _ended(self, round: _Round, problem: str | None) -> None:
        """One of its requests."""
        round.owed -= 1
        round.problem = round.problem or problem
        if round.owed == 0:
            round.ended.set_result(None)

    def _delivered(self, delivery: asyncio.Task[None]) -> None:
        self.deliveries.discard(delivery)
        self.places.free(self.job_type)

    async def _deliver(self, raw: tuple[Any, ...], asked_s: float) -> None:
        try:
            await self.deliver(delivery_of(*raw), asked_s)
        except Exception:
            # Ours, not the job's: the trigger stays unacknowledged and comes again after ack_wait.
            log.exception("delivery_failed", job=self.job_type)
