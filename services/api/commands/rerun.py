"""Running a finished run's job again."""

from kronik.events import Triggered

from services.api import past as history
from services.api.access.store import Identity
from services.api.commands.trigger import Asked, trigger
from services.api.past import History
from services.api.problems import PARAMS_UNKNOWN, RUN_NOT_FINISHED, Problem


async def rerun(past: History, identity: Identity, run_id: int, key: str | None) -> Asked:
    """Trigger a finished run's job again, with its params. Raises Problem, LogUnavailable; key: see trigger."""
    found = await past.log.read_run(run_id)
    if found is None:
        raise history.unknown(run_id)
    run = found[0]
    if not run.finished:
        raise Problem(RUN_NOT_FINISHED, f"Run {run_id} is {run.phase}: only a finished run can be run again.")
    if run.problem is not None:
        raise Problem(PARAMS_UNKNOWN, _unreadable(run_id, run.problem))
    wanted = Triggered(params=run.params, user_id=identity.user_id, rerun_of=run_id)
    return await trigger(past, identity, wanted, run.job_type, key)


def _unreadable(run_id: int, problem: str) -> str:
    return (
        f"Run {run_id} can't be run again: its trigger could not be read ({problem}), so its params are not known."
        " Trigger the job anew, with the params that were meant."
    )
