"""Taking a job out of use: no slots, no triggers, and what waits is ended. Announced anew, it is back."""

from kronik import in_force
from kronik.events import Retirement

from services.api.access.store import Identity
from services.api.commands import schedule
from services.api.commands.plan import Plan
from services.api.history.queries import DefinedJob
from services.api.past import History
from services.api.problems import JOB_RETIRED, Problem, nul_in, refuse


async def plan(past: History, job: DefinedJob, reason: str | None = None) -> Plan:
    """Raises Problem as apply() does."""
    job_type = _in_use(job, reason)
    return Plan(
        command="retire",
        does=f"takes {job_type} out of use: no slot and no trigger starts a run of it, and what waits is ended",
        job_type=job_type,
        next_slots=[],
        skips=schedule.next_slots(job.definition, job.change, past.log.clock.now()),
        notes=["A runner that announces another definition of it brings it back."],
    )


async def apply(past: History, job: DefinedJob, identity: Identity, reason: str | None) -> None:
    """What waits is ended by the scheduler, with the reason. Raises Problem, LogUnavailable."""
    job_type = _in_use(job, reason)
    retirement = Retirement(by=identity.by, reason=reason)
    _, sequence = await schedule.append(
        past.log, job_type, lambda present: in_force.changed(present, identity.by, retired=retirement)
    )
    await past.changes.reached(past.pool, sequence)


def _in_use(job: DefinedJob, reason: str | None) -> str:
    refuse(nul_in("reason", reason))
    if job.retired:
        raise Problem(JOB_RETIRED, f"{job.definition.job_type} is retired already.")
    return job.definition.job_type
