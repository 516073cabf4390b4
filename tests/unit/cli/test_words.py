"""Events and figures as the command line words them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from kronik.events import (
    Abandoned,
    BadTrigger,
    Cancelled,
    CancelRequested,
    Completed,
    Failed,
    JobDefined,
    Pause,
    Recorded,
    Retirement,
    Retrying,
    RetryPolicy,
    ScheduleChanged,
    ServiceChanged,
    SlotFired,
    SlotSkipped,
    Started,
    Triggered,
    TriggerRefused,
    Unknown,
)

from services.cli import terminal
from services.cli.event_words import as_json, words
from services.cli.runs import parse_params
from services.cli.usage import BadUsage

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DEFINED = JobDefined(
    job_type="A",
    title={"en": "A"},
    description="",
    params_schema={},
    result_schema={},
    schedule=None,
    timeout_ms=1,
    retry=RetryPolicy(attempts=1, wait_ms=1, max_wait_ms=1),
    concurrency=1,
)


@pytest.mark.parametrize(
    ("event", "name", "detail"),
    [
        (Triggered(params={"month": "2026-10"}, rerun_of=3), "Asked for", 'run 3 again {"month":"2026-10"}'),
        (Triggered(user_id="1"), "Asked for", "by account 1"),
        (BadTrigger("no JSON"), "Asked for, but it can't be understood", "no JSON"),
        (Started(attempt=2, incarnation="host-1", timeout_ms=1), "Attempt 2 started", "host-1"),
        (Retrying(attempt=1, error="no", error_type="OSError", retry_at=NOON), "Attempt 1 failed", "OSError: no"),
        (Abandoned(attempt=1, reason="lost"), "Attempt 1 was given up", "stopped answering"),
        (CancelRequested(by="ADMIN:1"), "account 1 asked for it to stop", ""),
        (Completed(attempt=1, result={"n": 1}), "Completed", '{"n":1}'),
        (Completed(attempt=1, result=None, warning_count=2), "Partial failure", "2 warnings"),
        (Failed(attempt=1, error="no", error_type="OSError"), "Failed", "OSError: no"),
        (Cancelled(attempt=1, by="ADMIN:1"), "Cancelled by account 1", ""),
        (SlotSkipped(scheduled_for=NOON, outcome="missed", reason="too late"), "It was too late for it", "too late"),
        (DEFINED, "A runner announced the job", ""),
        (ScheduleChanged(by="ADMIN:1", pause=Pause(by="ADMIN:1")), "Paused by account 1", "the job's own"),
        (
            ScheduleChanged(by="ADMIN:1", expression="* * * * *"),
            "Schedule changed by account 1",
            "expression * * * * *",
        ),
        (
            ScheduleChanged(by="ADMIN:1", retired=Retirement(by="ADMIN:1", reason="done")),
            "Retired by account 1",
            "done",
        ),
        (SlotFired(scheduled_for=NOON), "It was time for a run", "12:00"),
        (TriggerRefused(by="ADMIN:1", reason="3 wait", queued=3, limit=3), "account 1 was refused a run", "3 wait"),
        (ServiceChanged(queue=5, removed=False), "The service may ask for runs, 5 of them waiting at a time", ""),
        (ServiceChanged(queue=None, removed=True), "The service may ask for runs no more", ""),
        (Unknown("kronik.new.v9", {"a": 1}), "kronik.new.v9", '{"a":1}'),
    ],
)
def test_every_event_has_words(event: Any, name: str, detail: str) -> None:
    said = words(event)
    assert said.name == name
    assert detail in said.details


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (Triggered(), "kronik.run.triggered.v1"),
        (BadTrigger("no"), "kronik.run.triggered.v1"),
        (Unknown("kronik.new.v9", {}), "kronik.new.v9"),
    ],
)
def test_json_names_the_type_as_the_stream_does(event: Any, kind: str) -> None:
    assert as_json(Recorded(1, "jobs.trigger.A.ops", NOON, "1", event)).type == kind


@pytest.mark.parametrize(
    ("given", "params"),
    [
        (["month=2026-10"], {"month": "2026-10"}),
        (["n=3", "on=true", "none=null"], {"n": 3, "on": True, "none": None}),
        (['list=[1,"a"]'], {"list": [1, "a"]}),
        (['text="3"', "equation=a=b", "empty="], {"text": "3", "equation": "a=b", "empty": ""}),
        ([], {}),
    ],
)
def test_params_are_json_where_they_can_be_read_so(given: list[str], params: dict[str, object]) -> None:
    assert parse_params(given) == params


@pytest.mark.parametrize("given", ["month", "=3", ""])
def test_a_param_needs_a_name_and_a_value(given: str) -> None:
    with pytest.raises(BadUsage, match="NAME=VALUE"):
        parse_params([given])


@pytest.mark.parametrize(("ms", "text"), [(None, "–"), (0, "0.0 s"), (1840, "1.8 s"), (75_000, "0:01:15")])
def test_durations(ms: int | None, text: str) -> None:
    assert terminal.duration(ms) == text


@pytest.mark.parametrize(
    ("run", "text"),
    [
        ({"errorMessage": "broken\nlong", "resultSummary": None}, "broken"),
        ({"resultSummary": '{"invoices":3,"by":{"a":1},"none":null}'}, "invoices 3, by (a 1), none –"),
        ({"resultSummary": "[1]"}, "[1]"),
        ({"errorMessage": None, "resultSummary": None}, ""),
        ({"errorMessage": "x" * 80}, "x" * 69 + "…"),
    ],
)
def test_a_run_on_one_line(run: dict[str, Any], text: str) -> None:
    assert terminal.summary(run) == text


def test_a_person_is_called_by_name_where_it_is_known() -> None:
    run = {"errorMessage": "Cancelled by ADMIN:7, not by ADMIN:71", "cancelledBy": "ADMIN:7", "cancelledByName": "Ida"}
    assert terminal.summary(run) == "Cancelled by Ida, not by ADMIN:71"
    assert terminal.summary({"errorMessage": "Cancelled by ADMIN:7"}) == "Cancelled by ADMIN:7"
