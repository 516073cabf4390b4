"""How a run ends that nobody will ever work on again: which events to append, and what they tell the admin."""

from collections.abc import Sequence
from typing import Final, Literal, assert_never

from kronik import subjects
from kronik.events import Abandoned, Cancelled, Failed
from kronik.run import Run

Finding = Literal["unknown", "unclaimed", "lost", "silent"]
"""unknown: no runner has ever announced the job type. unclaimed: it is announced, but has no consumer. lost: the
trigger was delivered and will not be again. silent: an attempt that outlived its timeout, and nobody took it over."""

_KNOWN_LIMIT: Final = 50


def end_of_cancelled(run: Run) -> Cancelled | None:
    """The end of a run that somebody wants stopped and that nobody works on; None for any other."""
    if run.finished or run.phase == "executing" or run.cancel_requested_by is None:
        return None
    return Cancelled(attempt=run.attempt, by=run.cancel_requested_by)


def next_event(run: Run, finding: Finding, known: Sequence[str]) -> Abandoned | Failed | None:
    """What to append to a run about which this was found. After Abandoned fold and ask again; None: it has ended.

    known: the job types that runners have announced.
    """
    if run.finished:
        return None
    if run.phase == "executing":
        return Abandoned(attempt=run.attempt, reason="lost", detail=f"runner {run.incarnation} stopped answering")
    error, error_type = _error(run, finding, known)
    return Failed(attempt=run.attempt, error=error, error_type=error_type)


def _error(run: Run, finding: Finding, known: Sequence[str]) -> tuple[str, str]:
    match finding:
        case "unknown":
            return _unknown(run, known), "UnknownJobType"
        case "unclaimed":
            return (
                f"No runner takes {run.job_type} up: its consumer {subjects.runner_consumer(run.job_type)} is gone. "
                "Start a runner that has this job and run it again."
            ), "NoRunner"
        case "lost":
            return (
                "The run was lost: its trigger was delivered, will not be delivered again, and no runner has ended "
                "the run. Run it again."
            ), "DeliveryLost"
        case "silent":
            return (
                f"The run was lost: its runner {run.incarnation} stopped answering, the attempt's timeout is long "
                "over, and no other runner has taken the run over. Run it again."
            ), "RunnerLost"
        case _:
            assert_never(finding)


def _unknown(run: Run, known: Sequence[str]) -> str:
    listed = ", ".join(known[:_KNOWN_LIMIT]) + (", …" if len(known) > _KNOWN_LIMIT else "")
    types = f"Known job types: {listed}." if known else "No runner has announced any job yet."
    problem = f" Besides, {run.problem}." if run.problem else ""
    return f"Unknown job type {run.job_type!r}. {types}{problem}"
