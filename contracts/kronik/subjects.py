"""The subjects of the stream, written and read in this one place.

jobs.trigger.<JOB>.<origin>           somebody asked for a run; its sequence is the run's id
jobs.run.<JOB>.<run_id>.<event>       the run's life
jobs.slot.<JOB>.<outcome>             a due slot, and what became of it
jobs.refused.<JOB>.<origin>           somebody asked for a run and was refused
jobs.definition.<JOB>                 a runner announces a job
jobs.schedule.<JOB>                   an admin paused, retired or changed a job
jobs.service.<origin>                 what another service is granted
"""

import re
from functools import lru_cache
from typing import Final

from msgspec import Struct

from kronik.errors import InvalidName

STREAM: Final = "JOBS"
LOG_STREAM: Final = "JOBLOG"
ALL: Final = "jobs.>"
LOG_ALL: Final = "joblog.>"
TRIGGERS: Final = "jobs.trigger.*.*"
RUNS: Final = "jobs.run.*.*.*"
DEFINITIONS: Final = "jobs.definition.*"
SCHEDULES: Final = "jobs.schedule.*"
SERVICES: Final = "jobs.service.*"
DECLARATIONS: Final = "jobs.*.*"
"""Definitions, schedules and services in one filter: what holds until the next one of its subject."""
CANCEL_REQUESTS: Final = "jobs.run.*.*.cancel_requested"
PRESENCE: Final = "presence.runner"
"""Where runners say that they are there; stored nowhere."""
STORED: Final = "stored."
"""In front of a subject: where the stream hands on what it has stored, to whoever listens at that moment."""

CRON: Final = "cron"
ADMIN: Final = "admin"
CHAIN: Final = "chain"
OWN_ORIGINS: Final = frozenset({CRON, ADMIN, CHAIN})
"""Whose triggers Kronik makes itself. chain: one run led to another."""

JOB_TYPE_RULE: Final = "[A-Z][A-Z0-9_]{0,63}"
ORIGIN_RULE: Final = "[a-z][a-z0-9_-]{0,31}"
_JOB_TYPE = re.compile(JOB_TYPE_RULE)
_ORIGIN = re.compile(ORIGIN_RULE)

RUN_EVENTS: Final = (
    "started",
    "retrying",
    "abandoned",
    "cancel_requested",
    "completed",
    "failed",
    "cancelled",
)
_RUN = re.compile(rf"jobs\.run\.({JOB_TYPE_RULE})\.([1-9][0-9]{{0,17}})\.({'|'.join(RUN_EVENTS)})")
"""A run id of at most eighteen digits: what a bigint in Postgres holds for certain."""
TERMINAL: Final = frozenset({"completed", "failed", "cancelled"})
OUTCOMES: Final = ("fired", "coalesced", "overlapped", "missed", "paused")


class TriggerSubject(Struct, frozen=True):
    job_type: str
    origin: str


class RunSubject(Struct, frozen=True):
    job_type: str
    run_id: int
    event: str


class SlotSubject(Struct, frozen=True):
    job_type: str
    outcome: str


class RefusalSubject(Struct, frozen=True):
    job_type: str
    origin: str


class DefinitionSubject(Struct, frozen=True):
    job_type: str


class ScheduleSubject(Struct, frozen=True):
    job_type: str


class ServiceSubject(Struct, frozen=True):
    origin: str


Subject = (
    TriggerSubject | RunSubject | SlotSubject | RefusalSubject | DefinitionSubject | ScheduleSubject | ServiceSubject
)


@lru_cache(maxsize=4096)
def check_job_type(job_type: str) -> str:
    """The job type itself; raises InvalidName where it breaks the rule."""
    if not _JOB_TYPE.fullmatch(job_type):
        raise InvalidName(f"job type {job_type[:80]!r}: must match {JOB_TYPE_RULE}")
    return job_type


def check_origin(origin: str) -> str:
    """The origin itself; raises InvalidName where it breaks the rule."""
    if not _ORIGIN.fullmatch(origin):
        raise InvalidName(f"origin {origin[:80]!r}: must match {ORIGIN_RULE}")
    return origin


def check_service(name: str) -> str:
    """The name of another service, which is its origin; raises InvalidName for one of Kronik's own, too."""
    if check_origin(name) in OWN_ORIGINS:
        raise InvalidName(f"service {name!r}: {', '.join(sorted(OWN_ORIGINS))} are Kronik's own")
    return name


def trigger(job_type: str, origin: str) -> str:
    return f"jobs.trigger.{check_job_type(job_type)}.{check_origin(origin)}"


def triggers_of(job_type: str) -> str:
    return f"jobs.trigger.{check_job_type(job_type)}.*"


def run_event(job_type: str, run_id: int, event: str) -> str:
    """Raises InvalidName for an event that is not one of RUN_EVENTS, too: a wildcard must never be published."""
    if event not in RUN_EVENTS:
        raise InvalidName(f"event {event[:80]!r}: must be one of {', '.join(RUN_EVENTS)}")
    return f"jobs.run.{check_job_type(job_type)}.{run_id:d}.{event}"


def run_aggregate(job_type: str, run_id: int) -> str:
    """The filter that every writer into this run sends along (facts: a wildcard is safe only so)."""
    return f"jobs.run.{check_job_type(job_type)}.{run_id:d}.>"


def aggregate(subject: str) -> str | None:
    """The filter whose last sequence an append to this subject has to expect; None where nothing has to be expected.

    A trigger asks for something new, and a refusal changes nothing.
    """
    match subject.split("."):
        case ["jobs", "run", _, _, _]:
            return f"{subject.rpartition('.')[0]}.>"
        case ["jobs", "slot", _, _]:
            return f"{subject.rpartition('.')[0]}.*"
        case ["jobs", "definition" | "schedule" | "service", _]:
            return subject
    return None


def slot(job_type: str, outcome: str) -> str:
    """Raises InvalidName for an outcome that is not one of OUTCOMES, too."""
    if outcome not in OUTCOMES:
        raise InvalidName(f"outcome {outcome[:80]!r}: must be one of {', '.join(OUTCOMES)}")
    return f"jobs.slot.{check_job_type(job_type)}.{outcome}"


def slots_of(job_type: str) -> str:
    return f"jobs.slot.{check_job_type(job_type)}.*"


def refused(job_type: str, origin: str) -> str:
    return f"jobs.refused.{check_job_type(job_type)}.{check_origin(origin)}"


def definition(job_type: str) -> str:
    return f"jobs.definition.{check_job_type(job_type)}"


def schedule(job_type: str) -> str:
    return f"jobs.schedule.{check_job_type(job_type)}"


def service(origin: str) -> str:
    return f"jobs.service.{check_origin(origin)}"


def log_lines(job_type: str, run_id: int) -> str:
    return f"joblog.{check_job_type(job_type)}.{run_id:d}"


def runner_consumer(job_type: str) -> str:
    return f"runner-{check_job_type(job_type)}"


def triggered_by(origin: str, user_id: str | None) -> str:
    """`CRON`, `ADMIN:<userId>` or `SERVICE:<origin>`: from the subject, never from what a payload claims."""
    if origin == CRON:
        return "CRON"
    if origin == ADMIN:
        return f"ADMIN:{user_id}"
    return f"SERVICE:{origin}"


def parse(subject: str) -> Subject:
    """Raises InvalidName for a subject that is not Kronik's."""
    run = _RUN.fullmatch(subject)
    return RunSubject(run[1], int(run[2]), run[3]) if run else _parse_other(subject)


@lru_cache(maxsize=4096)
def _parse_other(subject: str) -> Subject:
    """A replay meets the same few of these millions of times."""
    match subject.split("."):
        case ["jobs", "trigger", job_type, origin]:
            return TriggerSubject(check_job_type(job_type), check_origin(origin))
        case ["jobs", "slot", job_type, outcome] if outcome in OUTCOMES:
            return SlotSubject(check_job_type(job_type), outcome)
        case ["jobs", "refused", job_type, origin]:
            return RefusalSubject(check_job_type(job_type), check_origin(origin))
        case ["jobs", "definition", job_type]:
            return DefinitionSubject(check_job_type(job_type))
        case ["jobs", "schedule", job_type]:
            return ScheduleSubject(check_job_type(job_type))
        case ["jobs", "service", origin]:
            return ServiceSubject(check_origin(origin))
    raise InvalidName(f"subject {subject[:120]!r} is not one of Kronik's; see docs/events.md")
