"""What a job author imports: `from kronik import job, Cron, Retry, RunContext`.

Other services that write or read the stream use `kronik.events`, `kronik.codec` and `kronik.subjects`.
"""

from kronik.command import command_job
from kronik.context import RunContext, RunLog
from kronik.errors import InvalidJob, KronikError, PermanentError
from kronik.job import Job, NoParams, Params, job, job_of
from kronik.retry import Retry
from kronik.schedule import Cron, days, hours, minutes, seconds
from kronik.show import Show

__all__ = [
    "Cron",
    "InvalidJob",
    "Job",
    "KronikError",
    "NoParams",
    "Params",
    "PermanentError",
    "Retry",
    "RunContext",
    "RunLog",
    "Show",
    "command_job",
    "days",
    "hours",
    "job",
    "job_of",
    "minutes",
    "seconds",
]
