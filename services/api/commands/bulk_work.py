"""Doing what a bulk has promised: a few runs at a time, by whichever API process comes first.

Who takes a bulk holds its row in a transaction, does a batch, writes down what became of it, and commits. If it dies on
the way, the row is free again and the batch is done anew, which finds what was done already.
"""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import msgspec
from kronik import in_force
from kronik.events import Triggered
from msgspec import Struct

from services.api.access.store import Identity
from services.api.commands import bulk, cancel, trigger
from services.api.commands.bulk import Command
from services.api.commands.trigger import Together
from services.api.history import queries
from services.api.history.queries import DefinedJob
from services.api.past import History
from services.api.problems import BUSY, RUN_FINISHED, Problem
from services.infra import logs, sql
from services.infra.failpoints import failpoint
from services.infra.lifecycle import happens
from services.log.append import LogUnavailable

log = logs.get()

_BATCH = 200
_AT_ONCE = 200
"""What is appended together goes out as one batch."""
_LOOK_EVERY_S = 1.0
_AGAIN_AFTER_S = 2.0


class Settled(Struct, frozen=True):
    """What became of one run."""

    run_id: int
    outcome: bulk.Outcome
    why: str | None = None
    made: int | None = None


class BulkWork:
    """The part of it that this process does."""

    def __init__(self, past: History) -> None:
        self._past = past

    async def run(self) -> None:
        """Work until cancelled, through every absence of NATS and Postgres."""
        while True:
            try:
                if not (await self._past.pool.fetchval(_sql("any_bulk")) and await self.run_once()):
                    await self._promised()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, LogUnavailable) as away:
                log.warning("bulk_waits", error=repr(away)[:300])
                await asyncio.sleep(_AGAIN_AFTER_S)
            except Exception:
                log.exception("bulk_failed")
                await asyncio.sleep(_AGAIN_AFTER_S)

    async def _promised(self) -> None:
        """Until somebody asks for more, or a while has passed: what waits may have room now."""
        await happens(self._past.changes.promised, _LOOK_EVERY_S)
        self._past.changes.promised.clear()

    async def run_once(self) -> bool:
        """Do one batch of one bulk; False where nothing can be done now."""
        async with self._past.pool.acquire() as connection, connection.transaction():
            claimed = await connection.fetchrow(_sql("claim_bulk"))
            if claimed is None:
                return False
            id, over, moved = claimed["id"], claimed["stopped"], True
            if over:
                await connection.execute(_sql("leave_waiting_runs"), id)
            else:
                waiting = [row["run_id"] for row in await connection.fetch(_sql("waiting_runs"), id, _BATCH)]
                by = Identity(user_id=str(claimed["account_id"]), name="", role="operator")
                settled = await self._settle(id, claimed["command"], by, waiting)
                failpoint("before_settled")
                columns = [[getattr(one, name) for one in settled] for name in Settled.__struct_fields__]
                await connection.execute(_sql("settle_bulk_runs"), id, *columns)
                over, moved = not waiting, bool(settled)
            await connection.execute(_sql("worked_on_bulk"), id, over)
        if over:
            log.info("bulk_ended", bulk=id)
        return over or moved

    async def _settle(self, id: str, command: Command, by: Identity, run_ids: list[int]) -> list[Settled]:
        """Those of these runs that are done or left; the others wait until their job's queue has room."""
        if command == "cancel":
            return await self._each(run_ids, lambda run_id: self._cancel(by, run_id))
        left = dict(await bulk.judge(self._past.pool, command, run_ids))
        # Looked for after the judgement, or what comes in between would be a run again of somebody else's.
        keys = {bulk.event_id(id, run_id): run_id for run_id in run_ids}
        rows = await self._past.pool.fetch(_sql("runs_of_keys"), list(keys))
        before = {keys[row["event_id"]]: row["run_id"] for row in rows}
        jobs = {job.definition.job_type: job for job in await queries.jobs(self._past.pool)}
        asked = {row["id"]: row for row in await self._past.pool.fetch(_sql("params_of_runs"), run_ids)}
        room = await self._room(jobs)

        async def settle(run_id: int) -> Settled | None:
            if run_id in before:
                return Settled(run_id, "done", made=before[run_id])
            if why := left.get(run_id, "gone"):
                return Settled(run_id, "left", why)
            job_type, params = asked[run_id]["job_type"], msgspec.json.decode(asked[run_id]["params_json"])
            return await self._rerun(id, Triggered(params, by.user_id, rerun_of=run_id), jobs[job_type], room)

        settled = await self._each(run_ids, settle)
        if room:  # the next batch counts what waits in the history
            await self._past.changes.reached(self._past.pool, max((one.made or 0 for one in settled), default=0))
        return settled

    async def _room(self, jobs: dict[str, DefinedJob]) -> dict[str, int]:
        """For how many runs more the queues have room, of the jobs whose queue has an end."""
        limits = {name: in_force.queue_limit(job.definition, job.change) for name, job in jobs.items()}
        return {
            name: limit.runs - (await queries.count(self._past.pool, bulk.queued(name))).count
            for name, limit in limits.items()
            if limit is not None
        }

    @staticmethod
    async def _each(run_ids: list[int], step: Callable[[int], Awaitable[Settled | None]]) -> list[Settled]:
        """A few at the same time; all have ended when one of their errors is raised."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(run_id: int) -> Settled | None:
            async with places:
                return await step(run_id)

        found = await asyncio.gather(*(one(run_id) for run_id in run_ids), return_exceptions=True)
        for result in found:
            if isinstance(result, BaseException):
                raise result
        return [result for result in found if isinstance(result, Settled)]

    async def _rerun(self, id: str, wanted: Triggered, job: DefinedJob, room: dict[str, int]) -> Settled | None:
        run_id, job_type = wanted.rerun_of or 0, job.definition.job_type
        try:
            trigger.check_params(job.definition, wanted.params)
        except Problem:
            return Settled(run_id, "left", "params_refused")
        if job_type in room:
            if room[job_type] <= 0:
                return None
            room[job_type] -= 1
        event_id, together = bulk.event_id(id, run_id), Together(correlation_id=id)
        appended = await trigger.append(self._past.log, job_type, wanted, id=event_id, together=together)
        return Settled(run_id, "done", made=appended.sequence)

    async def _cancel(self, by: Identity, run_id: int) -> Settled:
        try:
            await cancel.request_cancel(self._past.log, run_id, by)
        except Problem as problem:
            kinds = {RUN_FINISHED.type: "finished", BUSY.type: "busy"}
            return Settled(run_id, "left", kinds.get(problem.kind.type, "gone"))
        return Settled(run_id, "done")


def _sql(name: str) -> str:
    return sql.load("services.api.commands", f"sql/{name}.sql")
