"""Asking for a run to stop."""

import uuid

from kronik.events import CancelRequested
from kronik.run import Run, decide_cancel

from services.api import past as history
from services.api.access import store
from services.api.access.store import Identity
from services.api.commands.plan import Plan
from services.api.history.queries import JobRun, Pool
from services.api.past import History
from services.api.problems import BUSY, RUN_FINISHED, Problem
from services.log.append import Conflict, EventLog

_TRIES = 5


async def plan(past: History, run_id: int) -> Plan:
    """Raises Problem, LogUnavailable as apply() does."""
    run = await _unfinished(past.log, run_id)
    by = run.cancel_requested_by
    return Plan(
        command="cancel",
        does=f"asks run {run_id} of {run.job_type}, which is {run.phase}, to stop",
        job_type=run.job_type,
        run_id=run_id,
        notes=[f"{await _name(past.pool, by)} asked for it already."] if by else [],
    )


async def apply(past: History, identity: Identity, run_id: int) -> JobRun:
    """Ask for the run to stop; the run as it is then. Raises Problem, LogUnavailable."""
    sequence = await request_cancel(past.log, run_id, identity)
    run = await past.read_back(run_id, sequence)
    assert run is not None, f"run {run_id} was just read"
    return run


async def request_cancel(log: EventLog, run_id: int, identity: Identity) -> int:
    """Append the wish unless somebody has it already; the sequence to wait for. Raises Problem."""
    request_id = f"api-{uuid.uuid4().hex}"
    for _ in range(_TRIES):
        run = await _unfinished(log, run_id)
        wish = decide_cancel(run, by=identity.by)
        if not isinstance(wish, CancelRequested):
            return run.version
        answer = await log.append_to_run(run, wish, by=request_id)
        if not isinstance(answer, Conflict):
            return answer.version
    raise Problem(BUSY, f"Run {run_id} changes faster than it can be cancelled: try again.")


async def _name(pool: Pool, by: str) -> str:
    id = by.removeprefix("ADMIN:")
    return (await store.names(pool, [id])).get(id, by)


async def _unfinished(log: EventLog, run_id: int) -> Run:
    found = await log.read_run(run_id)
    if found is None:
        raise history.unknown(run_id)
    run = found[0]
    if run.finished:
        raise Problem(RUN_FINISHED, f"Run {run_id} is finished ({run.status}): there is nothing to cancel.")
    return run
