"""How the triggers of one job type reach this process: it asks for as many as it has free places.

    free places ─▶ a request for each ─▶ a delivery, taken as a task ─▶ the place is free again
                          └── expired, refused, lost ─▶ the place is free again

Every request has an inbox of its own: what comes after we stopped waiting for it, be it that NATS was away or that
we were stopped, finds nobody and is delivered again later; nothing can lie here while its lease runs
out. A lease counts from when its trigger was asked for. Every request is for one trigger: across accounts an empty
message ends the answer, and an empty body is a complete trigger (docs/adr/0006, also on FastStream's subscribers).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from kronik import subjects
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from services.infra import logs
from services.infra.clock import monotonic_s
from services.log import jetstream
from services.log.jetstream import LogUnavailable
from services.log.stored import is_delivery, status
from services.runner.places import Places

log = logs.get()

_AT_ONCE: Final = 100
"""Requests out at the same time: what is free beyond them is asked for as they are answered."""
_EXPIRES_S: Final = 5.0
_ANSWER_S: Final = 1.0
_UNREAD_S: Final = 0.2
"""While a job blocks the loop nobody reads the socket, and the timer wins: the answer may lie in it."""
_PAUSE_S: Final = 0.5
_EXPIRED: Final = "408"

Deliver = Callable[[Msg, float], Awaitable[None]]
"""Takes a delivery through to its acknowledgement; with when it was asked for, monotonic."""


@dataclass(slots=True, eq=False)
class _Request:
    """came: its trigger is here."""

    asked_s: float
    came: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    problem: str | None = None


@dataclass(slots=True)
class Pull:
    """The requests and the deliveries of one job type. ack_wait_s: how long a lease lasts."""

    connection: Client
    job_type: str
    places: Places
    ack_wait_s: float
    deliver: Deliver
    deliveries: set[asyncio.Task[None]] = field(default_factory=set)
    _requests: set[asyncio.Task[bool]] = field(default_factory=set)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Ask whenever there are free places, until stop()."""
        while not self._stopping.is_set():
            count = await self.places.take(self.job_type, _AT_ONCE - len(self._requests))
            asked = [self._begin() for _ in range(count)]
            if self.places.scarce:
                # Not asked again before, or jobs that have nothing to do would hold every place of the process.
                came = await asyncio.gather(*asked)
                self.places.fed(self.job_type, wholly=all(came))
            elif len(self._requests) >= _AT_ONCE:
                await asyncio.wait(self._requests, return_when=asyncio.FIRST_COMPLETED)

    def _begin(self) -> asyncio.Task[bool]:
        request = asyncio.create_task(self._request())
        self._requests.add(request)
        request.add_done_callback(self._requests.discard)
        return request

    async def stop(self) -> None:
        """Ask no more. What was sent to us before the server heard of it is still delivered."""
        self._stopping.set()
        if self._requests:
            await asyncio.wait(self._requests)

    async def _request(self) -> bool:
        """Ask for a trigger until it is here or will not come; then its place is free again. Whether it came."""
        request = _Request(monotonic_s())
        try:
            await self._ask(request)
        except (NatsError, LogUnavailable) as away:
            request.problem = repr(away)
        if request.problem is not None:
            log.warning("pull_failed", job=self.job_type, problem=request.problem)
            await self._pause()
        if not request.came:
            self.places.free(self.job_type)
        return request.came

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), _PAUSE_S)

    async def _ask(self, request: _Request) -> None:
        if not self.connection.is_connected:
            return await self._pause()

        async def arrived(message: Msg) -> None:
            self._arrived(request, message)

        inbox = self.connection.new_inbox()
        # Shorter than a lease, or what a request brings could have lapsed on its way here.
        expires_s = min(_EXPIRES_S, 0.6 * self.ack_wait_s)
        asking = jetstream.pull_request(batch=1, expires_s=expires_s)
        subscription = await self.connection.subscribe(inbox, cb=arrived)
        try:
            await jetstream.pull(self.connection, subjects.runner_consumer(self.job_type), inbox, asking)
            await self._answered(request, expires_s + _ANSWER_S)
        finally:
            if not self.connection.is_closed:
                await self._close(subscription)

    async def _answered(self, request: _Request, within_s: float) -> None:
        """Return when nothing more will come: it is all here, the server ended it, it is overdue, or we stop."""
        ends = [asyncio.create_task(event.wait()) for event in (request.ended, self._stopping)]
        try:
            done, _ = await asyncio.wait(ends, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                await asyncio.wait(ends, timeout=_UNREAD_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    async def _close(self, subscription: Subscription) -> None:
        """While we stop, what is on its way here is still taken, to be handed back at once."""
        if self._stopping.is_set() and self.connection.is_connected:
            await subscription.drain()  # type: ignore[no-untyped-call]
        else:
            await subscription.unsubscribe()

    def _arrived(self, request: _Request, message: Msg) -> None:
        if not is_delivery(message):
            said = status(message)
            if said.code != _EXPIRED:
                request.problem = str(said)
            request.ended.set()
            return
        request.came = True
        request.ended.set()
        delivery = asyncio.create_task(self._deliver(message, request.asked_s))
        self.deliveries.add(delivery)
        delivery.add_done_callback(self._delivered)

    def _delivered(self, delivery: asyncio.Task[None]) -> None:
        self.deliveries.discard(delivery)
        self.places.free(self.job_type)

    async def _deliver(self, message: Msg, asked_s: float) -> None:
        try:
            await self.deliver(message, asked_s)
        except Exception:
            # Ours, not the job's: the trigger stays unacknowledged and comes again after ack_wait.
            log.exception("delivery_failed", job=self.job_type)
