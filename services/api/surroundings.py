"""Whether the others do their part: a living runner for each job, a scheduler that follows the stream.

The API serves without them, and says so: what is triggered waits, and no slot becomes a run.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

import asyncpg

from services.api.history import queries
from services.api.past import History
from services.infra.clock import monotonic_s
from services.log import jetstream
from services.log.append import LogUnavailable
from services.log.jetstream import ConsumerInfo

_EVERY_S: Final = 2.0
_PATIENCE_S: Final = 5.0
"""A deploy, and a reader between two pulls, are no trouble: what lasts longer is said."""

_FEEDS: Final = ("schedules", "runs")


class Surroundings:
    """Looks until it is cancelled."""

    def __init__(self, past: History) -> None:
        self._past = past
        self._since_s: dict[str, float] = {}

    async def run(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(_EVERY_S)

    def troubles(self) -> list[str]:
        """In words; what has lasted for a while."""
        now = monotonic_s()
        return sorted(trouble for trouble, since_s in self._since_s.items() if now - since_s >= _PATIENCE_S)

    async def _look(self) -> None:
        """What can't be looked at now is neither trouble nor its end: others say that NATS or Postgres is away."""
        try:
            jobs = [job.definition for job in await queries.jobs(self._past.pool) if not job.retired]
            consumers = await jetstream.consumers(self._past.log.connection)
        except (LogUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return
        presence = self._past.presence
        alone = [job.job_type for job in jobs if presence.certain and not presence.runners(job)]
        found = troubles([job.job_type for job in jobs], alone, consumers)
        self._since_s = {trouble: self._since_s.get(trouble, monotonic_s()) for trouble in found}


def troubles(jobs: Sequence[str], without_runner: Iterable[str], consumers: Iterable[ConsumerInfo]) -> list[str]:
    """In words. jobs: that are in use; without_runner: those of them that no living runner serves."""
    by_name = {one.name: one for one in consumers}
    paused = [job for job in jobs if (one := by_name.get(f"runner-{job}")) is not None and one.paused]
    unread = [feed for feed in (_FEEDS if jobs else ()) if not any(_is_read(one, feed) for one in by_name.values())]
    return [
        *(f"no runner serves {job}: its runs wait" for job in without_runner),
        *(f"the consumer runner-{job} is paused: its runs wait" for job in paused),
        *(f"no scheduler follows the stream ({feed}): no slot becomes a run" for feed in unread),
    ]


def _is_read(consumer: ConsumerInfo, feed: str) -> bool:
    named = consumer.name.startswith("scheduler-") and consumer.name.endswith(f"-{feed}")
    return named and not consumer.paused and (consumer.num_waiting > 0 or consumer.num_pending > 0)
