"""The past as commands and readers need it: the stream, the read model, and the news of it, side by side."""

import asyncpg
import msgspec
from msgspec import Struct

from services.api.changes import Changes
from services.api.history import queries
from services.api.history.queries import JobRun, Pool
from services.api.problems import UNKNOWN_RUN, Problem
from services.infra import logs
from services.log import jetstream
from services.log.append import EventLog
from services.log.presence import Presence

logger = logs.get()


class History(Struct, frozen=True):
    """Where a write is read back from."""

    log: EventLog
    pool: Pool
    changes: Changes
    presence: Presence = msgspec.field(default_factory=Presence)

    async def read_back(self, run_id: int, sequence: int) -> JobRun | None:
        """The run as of the event at `sequence` or later: its row, or, where that takes too long, the fold itself.

        None where there is no such run. Raises LogUnavailable.
        """
        try:
            if await self.changes.reached(self.pool, sequence) and (found := await queries.run(self.pool, run_id)):
                return found
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as away:
            logger.warning("history_unavailable", run_id=run_id, error=repr(away)[:300])
        folded = await self.log.read_run(run_id)
        return queries.job_run_of(folded[0]) if folded else None


async def find(past: History, run_id: int) -> JobRun:
    """The run, one that was triggered a moment ago as well. Raises Problem, LogUnavailable."""
    return await queries.run(past.pool, run_id) or await _not_yet(past, run_id)


def unknown(run_id: int) -> Problem:
    return Problem(UNKNOWN_RUN, f"There is no run {run_id}.")


async def _not_yet(past: History, run_id: int) -> JobRun:
    """A run without a row: one that was triggered a moment ago, or none at all."""
    behind = (await queries.position(past.pool)).sequence < run_id
    if behind and await jetstream.stored_at(past.log.connection, run_id):
        found = await past.read_back(run_id, run_id)
    else:
        found = await queries.run(past.pool, run_id)  # it may have been projected since its row was looked for
    if found is None:
        raise unknown(run_id)
    return found
