"""Whether what is shown can be believed: NATS, Postgres and the history's lag, looked at once a second per process."""

import asyncio
from typing import Final, Literal

import asyncpg
from kronik.show import Text
from msgspec import Struct

from services.api.history import queries
from services.api.history.projector import Projector
from services.api.past import History
from services.infra import logs
from services.infra.clock import monotonic_s
from services.log import jetstream
from services.log.append import LogUnavailable

log = logs.get()

_EVERY_S: Final = 1.0
_WITHIN_S: Final = 1.5
_LATE_S: Final = 2.0
LATE_MS: Final = 3_000
"""A history that is further behind the stream than this is said to be behind."""

Trouble = Literal["nats", "postgres", "projector", "behind", "runner"]


class Beat(Struct, frozen=True, rename="camel"):
    """trouble: what is wrong, the worst of it; null: nothing. detail: the service's own words for it.

    position: the last event in the history. behind: events that are not in it yet, for behind_ms so far.
    unserved: jobs that no living runner serves. first: the first event that the stream holds.
    """

    trouble: Trouble | None
    detail: str
    position: int
    behind: int
    behind_ms: int
    unserved: tuple[str, ...] = ()
    first: int = 1


FIRST: Final = Beat(None, "", 0, 0, 0)


class Pulse:
    """Takes the pulse until it is cancelled; `beat` is the last one."""

    def __init__(self, past: History, projector: Projector) -> None:
        self._past, self._projector = past, projector
        self._seen: list[tuple[float, int]] = []
        self._position = 0
        self._first = 1
        self.titles: dict[str, Text] = {}
        """Of the jobs there are, as they were last read."""
        self.beat = FIRST

    async def run(self) -> None:
        """What is wrong, or is right again, is told to every open page at once, and to the log."""
        while True:
            before, self.beat = self.beat, await self.take()
            if (before.trouble, before.unserved) != (self.beat.trouble, self.beat.unserved):
                self._past.changes.stir()
                if before is not FIRST:  # what is not there yet when this process starts is no news
                    _say(self.beat)
            asleep_s = monotonic_s()
            await asyncio.sleep(_EVERY_S)
            if monotonic_s() - asleep_s > _LATE_S:
                self._past.presence.deaf()  # this process was held up: what it has not heard may have been said

    async def take(self) -> Beat:
        """One look at everything, within a few seconds whoever hangs."""
        last, position = await asyncio.gather(self._last(), self._projected())
        if position is not None:
            self._position = position
        behind, behind_ms = self._lag(last)
        stopped = self._projector.state
        if position is None:
            return Beat("postgres", "", self._position, behind, behind_ms)
        if last is None:
            self._past.presence.deaf()
            return Beat("nats", "", self._position, behind, behind_ms)
        if stopped.phase == "stopped":
            return Beat("projector", stopped.problem or "", self._position, behind, behind_ms)
        if behind_ms > LATE_MS:
            return Beat("behind", "", self._position, behind, behind_ms)
        unserved = await self._unserved()
        trouble: Trouble | None = "runner" if unserved else None
        return Beat(trouble, "", self._position, behind, behind_ms, unserved, self._first)

    async def _unserved(self) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(_WITHIN_S):
                jobs = await queries.jobs(self._past.pool)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return ()
        self.titles = {job.definition.job_type: job.definition.title for job in jobs}
        return self._past.presence.misses(job.definition for job in jobs if not job.retired)

    async def _last(self) -> int | None:
        """The stream's last event; None while NATS does not answer."""
        try:
            async with asyncio.timeout(_WITHIN_S):
                state = (await jetstream.stream_info(self._past.log.connection)).state
                self._first = state.first
                return state.last_seq
        except (LogUnavailable, TimeoutError):
            return None

    async def _projected(self) -> int | None:
        try:
            async with asyncio.timeout(_WITHIN_S):
                return (await queries.position(self._past.pool)).sequence
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return None

    def _lag(self, last: int | None) -> tuple[int, int]:
        """Events the history lacks, and since when it lacks the first of them."""
        now = monotonic_s()
        if last is not None:
            self._seen.append((now, last))
        self._seen = [one for one in self._seen if one[1] > self._position][:600]
        if not self._seen:
            return 0, 0
        return self._seen[-1][1] - self._position, round((now - self._seen[0][0]) * 1000)


def _say(beat: Beat) -> None:
    if beat.trouble is None:
        log.info("all_well", position=beat.position)
    else:
        log.warning("trouble", what=beat.trouble, detail=beat.detail, jobs=beat.unserved, behind=beat.behind)
