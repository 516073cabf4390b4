"""What every page needs first: who reads it, in which voice, and what jobs there are."""

from typing import Annotated, Any, Final

from kronik.events import JobDefined
from litestar import Request
from litestar.params import PathParameter

from services.api.access import store
from services.api.access.store import Identity
from services.api.history import queries
from services.api.history.queries import DefinedJob, Pool
from services.api.history.selection import Moment
from services.api.panel.rendering import ZONE, language_of
from services.api.problems import UNKNOWN_JOB_TYPE, Problem
from services.infra.clock import Clock
from services.words.voice import Voice

HOME: Final = "/admin/system"

Asked = Request[Identity, Any, Any]
RunId = Annotated[int, PathParameter(ge=1, le=2**53 - 1)]
JobType = Annotated[str, PathParameter(max_length=200)]


async def voice_of(request: Asked, pool: Pool, clock: Clock) -> Voice:
    names = await store.everybody(pool)
    return Voice(language=language_of(request), zone=ZONE, now=clock.now(), names=names)


def definitions_of(jobs: list[DefinedJob]) -> dict[str, JobDefined]:
    return {job.definition.job_type: job.definition for job in jobs}


async def defined(pool: Pool, job_type: str, moment: Moment | None = None) -> DefinedJob:
    """Raises Problem where no runner has announced such a job."""
    job = await queries.job(pool, job_type.replace("\0", ""), moment)
    if job is None:
        raise Problem(UNKNOWN_JOB_TYPE, f"There is no job {job_type!r}.")
    return job


__all__ = ["HOME", "Asked", "JobType", "RunId", "defined", "definitions_of", "voice_of"]
