"""A schedule as its author writes it. What its slots are is decided in `services.infra.slots`."""

from datetime import timedelta
from typing import Final, Literal

from msgspec import Struct

CatchUp = Literal["latest", "all", "none"]
Overlap = Literal["queue", "skip"]
WhenFull = Literal["refuse", "coalesce"]
"""What becomes of a run that is asked for while as many as allowed wait: refused, or those that wait stand for it."""

QUEUE_LIMIT: Final = 1_000_000
"""The largest limit that a queue can be given."""


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


def days(count: float) -> timedelta:
    return timedelta(days=count)


class Cron(Struct, frozen=True):
    """When a job runs by itself, and what becomes of the slots that came late or found the job busy.

    expression: five cron fields (minute hour day month weekday), at most 128 characters; docs/schedules.md is the
        dialect.
    tz: an IANA zone. A fixed hour fires exactly once on every day it names, on the days the clocks change too.
    catch_up: after an absence of the scheduler, or of every runner of the job, `latest` runs once for everything
        missed (the other slots become `coalesced`), `all` runs every missed slot up to 100, `none` runs none of
        them (`missed`).
    overlap: a slot that finds a run of the job unfinished waits behind it (`queue`) or is
        dropped with an `overlapped` event (`skip`).
    deadline: a slot that is older than this when it is seen is `missed` whatever `catch_up` says, and a run of a slot
        that has waited for so long without beginning ends as failed; None: no limit.
    """

    expression: str
    tz: str = "UTC"
    catch_up: CatchUp = "latest"
    overlap: Overlap = "queue"
    deadline: timedelta | None = None
