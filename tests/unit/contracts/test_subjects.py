import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kronik import subjects
from kronik.errors import InvalidName
from kronik.events import RUN_EVENT_NAME
from kronik.subjects import (
    DefinitionSubject,
    RefusalSubject,
    RunSubject,
    ScheduleSubject,
    ServiceSubject,
    SlotSubject,
    TriggerSubject,
)

JOB_TYPES = st.from_regex(subjects.JOB_TYPE_RULE, fullmatch=True)
ORIGINS = st.from_regex(subjects.ORIGIN_RULE, fullmatch=True)
RUN_IDS = st.integers(1, 10**18 - 1)

NOT_JOB_TYPES = ["", "daily", "D" * 65, "1A", "_A", "A-B", "A.B", "A*", ">", "A B", "A\n", "A\0", "Æ", "DAILY\u0660"]
NOT_ORIGINS = ["", "Ops", "o" * 33, "1ops", "ops.x", "*", ">", "o\n", "o ", "ø"]


@given(JOB_TYPES, ORIGINS, RUN_IDS, st.sampled_from(subjects.RUN_EVENTS), st.sampled_from(subjects.OUTCOMES))
def test_what_is_written_is_read_back(job_type: str, origin: str, run_id: int, event: str, outcome: str) -> None:
    assert subjects.parse(subjects.trigger(job_type, origin)) == TriggerSubject(job_type, origin)
    assert subjects.parse(subjects.run_event(job_type, run_id, event)) == RunSubject(job_type, run_id, event)
    assert subjects.parse(subjects.slot(job_type, outcome)) == SlotSubject(job_type, outcome)
    assert subjects.parse(subjects.refused(job_type, origin)) == RefusalSubject(job_type, origin)
    assert subjects.parse(subjects.definition(job_type)) == DefinitionSubject(job_type)
    assert subjects.parse(subjects.schedule(job_type)) == ScheduleSubject(job_type)
    assert subjects.parse(subjects.service(origin)) == ServiceSubject(origin)


@given(
    st.text(max_size=60) | st.lists(st.sampled_from(["jobs", "run", "A", "1", "started", ""]), max_size=7).map(".".join)
)
def test_any_subject_is_read_or_refused_by_name(subject: str) -> None:
    with contextlib.suppress(InvalidName):
        assert subjects.parse(subject)


@pytest.mark.parametrize("job_type", NOT_JOB_TYPES)
def test_a_bad_job_type_never_reaches_a_subject(job_type: str) -> None:
    builders: list[Callable[[], str]] = [
        lambda: subjects.trigger(job_type, "ops"),
        lambda: subjects.triggers_of(job_type),
        lambda: subjects.run_event(job_type, 1, "started"),
        lambda: subjects.run_aggregate(job_type, 1),
        lambda: subjects.slot(job_type, "missed"),
        lambda: subjects.slots_of(job_type),
        lambda: subjects.refused(job_type, "admin"),
        lambda: subjects.definition(job_type),
        lambda: subjects.schedule(job_type),
        lambda: subjects.log_lines(job_type, 1),
        lambda: subjects.runner_consumer(job_type),
    ]
    for build in builders:
        with pytest.raises(InvalidName):
            build()


@pytest.mark.parametrize("origin", NOT_ORIGINS)
def test_a_bad_origin_is_refused_in_both_directions(origin: str) -> None:
    with pytest.raises(InvalidName):
        subjects.trigger("A", origin)
    with pytest.raises(InvalidName):
        subjects.service(origin)
    with pytest.raises(InvalidName):
        subjects.parse(f"jobs.service.{origin}")
    with pytest.raises(InvalidName):
        subjects.parse(f"jobs.trigger.A.{origin}")
    with pytest.raises(InvalidName):
        subjects.parse(f"jobs.refused.A.{origin}")


@pytest.mark.parametrize("job_type", NOT_JOB_TYPES)
@pytest.mark.parametrize(
    "subject",
    ["trigger.{}.ops", "run.{}.1.started", "slot.{}.missed", "refused.{}.admin", "definition.{}", "schedule.{}"],
)
def test_a_bad_job_type_is_not_read(subject: str, job_type: str) -> None:
    with pytest.raises(InvalidName):
        subjects.parse("jobs." + subject.format(job_type))


@pytest.mark.parametrize("run_id", ["0", "01", "-1", "1.5", "", "x", "1" * 19, "9223372036854775808", "١"])
def test_a_run_id_is_a_positive_number_that_a_bigint_holds(run_id: str) -> None:
    with pytest.raises(InvalidName):
        subjects.parse(f"jobs.run.A.{run_id}.started")


def test_a_wildcard_can_not_be_published_as_an_event_or_an_outcome() -> None:
    with pytest.raises(InvalidName):
        subjects.run_event("A", 1, ">")
    with pytest.raises(InvalidName):
        subjects.slot("A", "*")


@pytest.mark.parametrize(
    "subject",
    ["jobs.run.A.1.exploded", "jobs.slot.A.eaten", "jobs.other.A", "JOBS.definition.A", "jobs.definition.A.B", "x", ""],
)
def test_other_subjects_are_not_kroniks(subject: str) -> None:
    with pytest.raises(InvalidName, match=r"docs/events\.md"):
        subjects.parse(subject)


def test_filters_and_names() -> None:
    assert subjects.triggers_of("A") == "jobs.trigger.A.*"
    assert subjects.run_aggregate("A", 7) == "jobs.run.A.7.>"
    assert subjects.slots_of("A") == "jobs.slot.A.*"
    assert subjects.log_lines("A", 7) == "joblog.A.7"
    assert subjects.runner_consumer("A") == "runner-A"


def test_who_triggered_follows_from_the_origin() -> None:
    assert subjects.triggered_by("cron", "7") == "CRON"
    assert subjects.triggered_by("admin", "7") == "ADMIN:7"
    assert subjects.triggered_by("kitchen", "7") == "SERVICE:kitchen"


def test_every_run_event_has_its_token() -> None:
    assert set(RUN_EVENT_NAME.values()) == set(subjects.RUN_EVENTS)
    assert set(subjects.RUN_EVENTS) > subjects.TERMINAL
