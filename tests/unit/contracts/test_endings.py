"""How a run ends that nobody will ever work on again."""

from datetime import UTC, datetime

import pytest
from kronik.endings import Finding, end_of_cancelled, next_event
from kronik.events import Abandoned, Cancelled, Failed
from kronik.run import Run
from msgspec.structs import replace

QUEUED = Run(
    id=7,
    job_type="REPORT",
    origin="crm",
    triggered_by="SERVICE:crm",
    triggered_at=datetime(2026, 6, 1, tzinfo=UTC),
    params={},
)
EXECUTING = replace(QUEUED, phase="executing", attempt=2, incarnation="host-1")
FINISHED = replace(QUEUED, phase="finished")


def error(run: Run, finding: Finding, known: tuple[str, ...] = ()) -> str:
    event = next_event(run, finding, known)
    assert isinstance(event, Failed)
    return event.error


def test_a_finished_run_is_left_as_it_is() -> None:
    assert next_event(FINISHED, "lost", ()) is None
    assert end_of_cancelled(replace(FINISHED, cancel_requested_by="ADMIN:1")) is None


@pytest.mark.parametrize("finding", ["unclaimed", "lost", "silent"])
def test_an_open_attempt_is_abandoned_first(finding: Finding) -> None:
    expected = Abandoned(attempt=2, reason="lost", detail="runner host-1 stopped answering")
    assert next_event(EXECUTING, finding, ()) == expected


@pytest.mark.parametrize(
    ("finding", "error_type"),
    [("unknown", "UnknownJobType"), ("unclaimed", "NoRunner"), ("lost", "DeliveryLost"), ("silent", "RunnerLost")],
)
def test_a_run_without_an_attempt_fails_with_the_attempt_it_had(finding: Finding, error_type: str) -> None:
    event = next_event(replace(QUEUED, phase="retrying", attempt=3), finding, ())
    assert isinstance(event, Failed)
    assert (event.attempt, event.error_type) == (3, error_type)


def test_an_unknown_job_type_lists_the_known_ones_fifty_at_most() -> None:
    assert error(QUEUED, "unknown", ("A", "B")) == "Unknown job type 'REPORT'. Known job types: A, B."
    many = error(QUEUED, "unknown", tuple(f"JOB_{n}" for n in range(51)))
    assert many.endswith("JOB_49, ….")


def test_the_triggers_own_problem_is_told_besides() -> None:
    told = error(replace(QUEUED, problem="the trigger's body is not valid JSON"), "unknown")
    assert told.endswith("Besides, the trigger's body is not valid JSON.")


def test_only_a_run_that_nobody_works_on_is_cancelled_here() -> None:
    assert end_of_cancelled(QUEUED) is None
    assert end_of_cancelled(replace(EXECUTING, cancel_requested_by="ADMIN:1")) is None
    assert end_of_cancelled(replace(QUEUED, cancel_requested_by="ADMIN:1")) == Cancelled(attempt=0, by="ADMIN:1")
