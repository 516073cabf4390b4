"""Leases: a delivery is ours for ack_wait after its last heartbeat, and the heart beats in a thread of its own.

The thread has its own event loop and its own connection, so that a job that blocks the runner's loop
keeps its run. A lease counts from when its delivery was asked for, and a beat from before it was sent, once
the server has confirmed it: a process that was stopped in between knows that its lease has lapsed, and with
a lapsed one nobody else's attempt is ended.

Only three things end a lease's beats: it is released, its attempt is over its time (a hung loop must not
hold a run for ever), or a beat came later than ack_wait after the one before (the machine slept, the
process was stopped): then somebody else may hold the run, and a late heartbeat would only delay the
one who does. Whether somebody does is read from the stream, never guessed from the clock: the
attempt goes on, and once it has read that the run is still its own, it beats again.

The same thread sees where a job holds the loop beyond its own time, and says so: nothing else could.

While NATS is away nobody can beat. When it is back it delivers again what was not kept alive, though its
holders may be well: for a truce of ack_wait their silence proves nothing, and their runs are handed back.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.infra import logs
from services.infra.clock import monotonic_s
from services.infra.failpoints import failpoint
from services.log import connection as nats_connection
from services.log import presence

log = logs.get()

IN_PROGRESS = b"+WPI"
BEATS_PER_ACK_WAIT = 3
_AGAIN_AFTER_S = 0.5
_RECONNECTS_WITHIN_S = 4.0
"""All clients are back by then: they try every half second, and give each try three seconds."""


@dataclass(slots=True)
class Lease:
    """reply: the delivery's ack subject; replaced when the same run is delivered to us again. until: monotonic.

    doubtful: it had lapsed once, so that somebody else may have been given the run, who has not written yet.
    """

    reply: str
    until_s: float
    beaten_s: float
    doubtful: bool = False


class LeaseKeeper:
    """Beats for every lease that this process holds. All methods may be called from any thread."""

    def __init__(
        self,
        nats_url: str,
        name: str,
        ack_wait_s: float,
        on_closed: Callable[[], Awaitable[None]] | None = None,
        on_hung: Callable[[list[int]], None] | None = None,
        say: Callable[[Client], Awaitable[None]] | None = None,
    ) -> None:
        """on_closed is called, in the keeper's thread, when its connection is closed before stop().

        on_hung: with the runs that should be over for ack_wait, when loop_lives() was not called for as long.
        say: called there again and again, to say that this process lives.
        """
        self._say = say
        self._nats_url = nats_url
        self._name = name
        self._ack_wait_s = ack_wait_s
        self._on_closed = on_closed
        self._on_hung = on_hung
        self._loop_seen_s = float("inf")
        self._away_s = float("-inf")
        self._leases: dict[int, Lease] = {}
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=2)

    def follow(self, ack_wait_s: float) -> None:
        """A consumer waits for so long: beat as often as the least patient of them wants."""
        if 0 < ack_wait_s < self._ack_wait_s:
            log.info("leases_follow_the_consumer", ack_wait_s=ack_wait_s)
            self._ack_wait_s = ack_wait_s

    def loop_lives(self) -> None:
        """To be called often by the loop that performs the jobs."""
        self._loop_seen_s = monotonic_s()

    def hold(self, run_id: int, reply: str, since_s: float, for_s: float) -> None:
        """Beat for this run until released, for_s at most. since_s: when its delivery was asked for (monotonic)."""
        with self._guard:
            self._leases[run_id] = Lease(reply, monotonic_s() + for_s, since_s)

    def release(self, run_id: int) -> None:
        with self._guard:
            self._leases.pop(run_id, None)

    def prolong(self, run_id: int, for_s: float) -> None:
        """Beat for_s from now: the attempt begins."""
        with self._guard:
            self._leases[run_id].until_s = monotonic_s() + for_s

    def lapsed(self, run_id: int) -> bool:
        """Whether the run may have been delivered to somebody else since: no beat is known within ack_wait."""
        with self._guard:
            return self._has_lapsed(self._leases[run_id])

    def _has_lapsed(self, lease: Lease) -> bool:
        return lease.doubtful or monotonic_s() - lease.beaten_s >= self._ack_wait_s

    def adopt(self, run_id: int, reply: str) -> bool:
        """A run that we still hold was delivered to us again: beat on the new delivery. False: we don't hold it."""
        with self._guard:
            lease = self._leases.get(run_id)
            if lease is None:
                return False
            lease.reply, lease.beaten_s, lease.doubtful = reply, monotonic_s(), False
            return True

    def confirm(self, run_id: int) -> None:
        """The stream says that the run is still ours: beat, however long ago the last beat was.

        A lease that had lapsed counts as lapsed all the same: the next holder may be about to write.
        """
        with self._guard:
            lease = self._leases.get(run_id)
            if lease is not None:
                lease.doubtful = self._has_lapsed(lease)
                lease.beaten_s = monotonic_s()

    def truce_s(self) -> float:
        """For how much longer a run that is delivered again may still have a living holder: NATS was away."""
        to_beat_again = self._ack_wait_s * (1 + 1 / BEATS_PER_ACK_WAIT) + _RECONNECTS_WITHIN_S
        return max(0.0, self._away_s + to_beat_again - monotonic_s())

    def reply(self, run_id: int) -> str:
        """The ack subject of the newest delivery to us of a run that we hold."""
        with self._guard:
            return self._leases[run_id].reply

    def _run(self) -> None:
        """Whatever ends the beating, it begins again: without it every run here would soon be somebody else's."""
        while not self._stopping.is_set():
            try:
                asyncio.run(self._beat_for_ever())
            except BaseException:
                log.exception("leases_failed")
                self._stopping.wait(_AGAIN_AFTER_S)

    async def _beat_for_ever(self) -> None:
        connection = await nats_connection.connect(self._nats_url, f"{self._name}-leases", self._closed)
        saying = asyncio.create_task(self._say_for_ever(connection))
        try:
            while not await asyncio.to_thread(self._stopping.wait, self._ack_wait_s / BEATS_PER_ACK_WAIT):
                self._look_at_the_loop(monotonic_s())
                await self.run_once(connection)
        finally:
            saying.cancel()
            await nats_connection.close(connection)

    async def _say_for_ever(self, connection: Client) -> None:
        while self._say is not None:
            await self._say(connection)
            await asyncio.sleep(presence.EVERY_S)

    async def _closed(self) -> None:
        if self._on_closed is not None and not self._stopping.is_set():
            await self._on_closed()

    def _look_at_the_loop(self, now_s: float) -> None:
        if now_s - self._loop_seen_s < self._ack_wait_s:
            return
        with self._guard:
            over = [run_id for run_id, lease in self._leases.items() if now_s - lease.until_s > self._ack_wait_s]
        if over and self._on_hung is not None:
            self._on_hung(over)

    async def run_once(self, connection: Client) -> int:
        """One beat for every lease that is still good; how many there were."""
        if not connection.is_connected:
            self._away_s = monotonic_s()
            return 0
        now_s = monotonic_s()
        due = self._due(now_s)
        try:
            for reply in due.values():
                await connection.publish(reply, IN_PROGRESS)
            failpoint("after_beat")
            await connection.flush(timeout=2)
            self._beaten(due, now_s)
        except (NatsError, TimeoutError) as error:
            self._away_s = monotonic_s()
            log.warning("heartbeat_failed", error=repr(error))
        return len(due)

    def _due(self, now_s: float) -> dict[int, str]:
        """The ack subjects to beat on, by run id."""
        with self._guard:
            return {
                run_id: lease.reply
                for run_id, lease in self._leases.items()
                if now_s < lease.until_s and now_s - lease.beaten_s < self._ack_wait_s
            }

    def _beaten(self, due: Mapping[int, str], at_s: float) -> None:
        with self._guard:
            for run_id, reply in due.items():
                lease = self._leases.get(run_id)
                if lease is not None and lease.reply == reply:
                    lease.beaten_s = max(lease.beaten_s, at_s)
