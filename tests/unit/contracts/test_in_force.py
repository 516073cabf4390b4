"""What holds for a job, of its code and of what admins changed, field by field."""

from datetime import UTC, datetime, timedelta

import pytest
from kronik import in_force
from kronik.events import Pause, Retirement, Schedule, ScheduleChanged
from msgspec.structs import replace

from tests.unit.panel.runs import definition

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
OWN = Schedule(expression="0 2 * * *", tz="Europe/Copenhagen", deadline_ms=60_000)


def given(present: ScheduleChanged | None = None, by: str = "ADMIN:7", **fields: object) -> ScheduleChanged:
    return in_force.changed(present, by, **fields)


def test_what_nobody_changed_is_the_codes() -> None:
    assert in_force.schedule(OWN, None) == OWN
    assert set(in_force.came_from(None).values()) == {"code"}


def test_one_field_that_is_given_leaves_the_others_to_the_code_of_tomorrow() -> None:
    change = given(overlap="skip")
    assert in_force.schedule(OWN, change) == replace(OWN, overlap="skip")
    tomorrow = replace(OWN, expression="0 5 * * *", tz="UTC")
    assert in_force.schedule(tomorrow, change) == replace(tomorrow, overlap="skip")
    assert {field for field, whose in in_force.came_from(change).items() if whose == "ADMIN:7"} == {"overlap"}


def test_null_gives_a_field_back_and_what_is_not_named_stays_with_who_gave_it() -> None:
    change = given(given(expression="5 5 * * *", overlap="skip"), "ADMIN:8", tz="UTC", expression=None)
    assert in_force.schedule(OWN, change) == replace(OWN, tz="UTC", overlap="skip")
    assert change.given_by == {"overlap": "ADMIN:7", "tz": "ADMIN:8"}


def test_zero_is_no_limit_whatever_the_code_says() -> None:
    found = in_force.schedule(OWN, given(deadline_ms=0))
    assert found is not None
    assert found.deadline_ms is None
    job = definition("A", max_queued=3)
    assert in_force.queue_limit(job, None) == in_force.QueueLimit(3, "refuse")
    assert in_force.queue_limit(job, given(max_queued=0)) is None
    assert in_force.queue_limit(job, given(when_full="coalesce")) == in_force.QueueLimit(3, "coalesce")


def test_without_an_expression_there_is_no_schedule() -> None:
    assert in_force.schedule(None, given(overlap="skip", tz="UTC")) is None
    found = in_force.schedule(None, given(expression="* * * * *", overlap="skip"))
    assert found == Schedule(expression="* * * * *", tz="UTC", overlap="skip")


@pytest.mark.parametrize(("minutes", "paused"), [(-1, True), (0, False), (1, False)])
def test_a_pause_ends_by_itself(minutes: int, paused: bool) -> None:
    change = given(pause=Pause(by="ADMIN:7", until=NOON))
    assert (in_force.pause(change, NOON + timedelta(minutes=minutes)) is not None) is paused


def test_a_definition_that_is_announced_after_it_ends_a_retirement() -> None:
    change = given(retired=Retirement(by="ADMIN:7"))
    assert in_force.is_retired(5, 6, change)
    assert not in_force.is_retired(7, 6, change)
    assert not in_force.is_retired(5, 6, given())
