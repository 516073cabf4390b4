"""Running a finished run's job again: as it was, or with other params."""

from typing import Any

from kronik.events import Triggered
from kronik.run import Run
from msgspec import structs

from services.api import past as history
from services.api.access.store import Identity
from services.api.commands import trigger
from services.api.commands.plan import Plan
from services.api.commands.trigger import ALONE, Asked, Together
from services.api.past import History
from services.api.problems import PARAMS_UNKNOWN, RUN_NOT_FINISHED, Problem


async def plan(past: History, run_id: int, params: dict[str, Any] | None = None) -> Plan:
    """Raises Problem, LogUnavailable as apply() does."""
    run, taken = await _wanted(past, run_id, params)
    planned = await trigger.plan(past, run.job_type, taken)
    other = "with its params" if params is None else "with other params"
    return Plan(
        command="rerun",
        does=f"runs {run.job_type} again as run {run_id} did, {other}",
        job_type=run.job_type,
        run_id=run_id,
        params=taken,
        notes=planned.notes,
        confirm=planned.confirm,
    )


async def apply(
    past: History,
    identity: Identity,
    run_id: int,
    key: str | None,
    params: dict[str, Any] | None = None,
    together: Together = ALONE,
) -> Asked:
    """Trigger a finished run's job again; where nothing else is said the two belong together as before.

    params: others than its own.

    Raises Problem, LogUnavailable; key: see trigger.
    """
    run, taken = await _wanted(past, run_id, params)
    wanted = Triggered(params=taken, user_id=identity.user_id, rerun_of=run_id)
    together = structs.replace(together, correlation_id=together.correlation_id or run.correlation_id)
    return await trigger.apply(past, identity, wanted, run.job_type, key, together)


async def _wanted(past: History, run_id: int, params: dict[str, Any] | None) -> tuple[Run, dict[str, Any]]:
    found = await past.log.read_run(run_id)
    if found is None:
        raise history.unknown(run_id)
    run = found[0]
    if not run.finished:
        raise Problem(RUN_NOT_FINISHED, f"Run {run_id} is {run.phase}: only a finished run can be run again.")
    if params is not None:
        return run, params
    if run.problem is not None:
        raise Problem(PARAMS_UNKNOWN, _unreadable(run_id, run.problem))
    return run, run.params


def _unreadable(run_id: int, problem: str) -> str:
    return (
        f"Run {run_id} can't be run again: its trigger could not be read ({problem}), so its params are not known."
        " Send the params that were meant."
    )
