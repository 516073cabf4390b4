"""Which schedule a job had when."""

from datetime import UTC, datetime, timedelta

import msgspec
from kronik import in_force
from kronik.events import Pause, Recorded, Schedule
from msgspec.structs import replace

from services.scheduler.timeline import Due, Timeline, due, evolve, upcoming
from tests.definitions import plain_job

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOURLY = Schedule(expression="0 * * * *", tz="UTC")
EVERY_20 = Schedule(expression="*/20 * * * *", tz="UTC")
JOB = "REPORT"


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def defined(minutes: float, schedule: Schedule | None, description: str = "") -> Recorded:
    job = plain_job(JOB, title={"en": "Report"}, description=description, schedule=schedule)
    return Recorded(1000 + int(minutes), f"jobs.definition.{JOB}", at(minutes), "id", job)


def changed(minutes: float, *, paused: bool = False, schedule: Schedule | None = None) -> Recorded:
    given = msgspec.structs.asdict(schedule) if schedule else {}
    pause = Pause(by="ADMIN:1") if paused else None
    change = in_force.changed(None, "ADMIN:1", **given, pause=pause)
    return Recorded(1000 + int(minutes), f"jobs.schedule.{JOB}", at(minutes), "id", change)


def told(*events: Recorded) -> Timeline:
    timeline = Timeline(JOB)
    for event in events:
        timeline = evolve(timeline, event)
    return timeline


def found(timeline: Timeline, after: datetime | None, until: datetime) -> list[tuple[float, bool]]:
    """Minutes after noon, and whether paused."""
    return [((each.slot - NOON) / timedelta(minutes=1), each.pause is not None) for each in due(timeline, after, until)]


def test_slots_begin_with_the_first_definition() -> None:
    assert found(told(defined(10, HOURLY)), None, at(180)) == [(60, False), (120, False), (180, False)]


def test_only_slots_after_the_last_handled_are_due() -> None:
    assert found(told(defined(10, HOURLY)), at(120), at(180)) == [(180, False)]


def test_the_same_schedule_announced_again_changes_nothing() -> None:
    once = told(defined(10, HOURLY))
    again = evolve(once, defined(90, HOURLY, description="better words"))
    assert again == replace(once, definition=1090)


def test_a_changed_schedule_holds_for_the_slots_after_it() -> None:
    timeline = told(defined(10, HOURLY), changed(130, schedule=EVERY_20))
    assert [slot for slot, _ in found(timeline, None, at(180))] == [60, 120, 140, 160, 180]


def test_each_slot_has_the_schedule_that_held_when_it_came_due() -> None:
    timeline = told(defined(10, HOURLY), changed(130, schedule=EVERY_20))
    assert [each.schedule for each in due(timeline, at(60), at(140))] == [HOURLY, EVERY_20]


def test_the_jobs_own_schedule_comes_back_when_its_replacement_is_taken_away() -> None:
    timeline = told(defined(10, HOURLY), changed(15, schedule=EVERY_20), changed(50))
    assert [slot for slot, _ in found(timeline, None, at(120))] == [20, 40, 60, 120]


def test_a_new_definition_does_not_undo_an_admins_replacement() -> None:
    timeline = told(defined(10, HOURLY), changed(15, schedule=EVERY_20), defined(30, replace(HOURLY, tz="Asia/Tokyo")))
    assert [slot for slot, _ in found(timeline, None, at(60))] == [20, 40, 60]


def test_slots_between_pause_and_resume_are_paused() -> None:
    timeline = told(defined(10, HOURLY), changed(90, paused=True), changed(200))
    assert found(timeline, None, at(240)) == [(60, False), (120, True), (180, True), (240, False)]


def test_a_slot_at_the_very_instant_of_a_change_belongs_to_what_held_before() -> None:
    timeline = told(defined(10, HOURLY), changed(60, paused=True))
    assert found(timeline, None, at(60)) == [(60, False)]


def test_a_job_without_schedule_has_no_slots_until_it_gets_one() -> None:
    timeline = told(defined(10, None), changed(70, schedule=HOURLY))
    assert [slot for slot, _ in found(timeline, None, at(130))] == [120]


def test_a_schedule_that_a_definition_drops_ends() -> None:
    timeline = told(defined(10, HOURLY), defined(70, None))
    assert [slot for slot, _ in found(timeline, None, at(300))] == [60]
    assert upcoming(timeline, at(60)) is None


def test_changes_before_the_first_definition_count_from_it_on() -> None:
    timeline = told(changed(5, paused=True), defined(10, HOURLY))
    assert found(timeline, None, at(60)) == [(60, True)]
    assert found(told(changed(5, schedule=HOURLY)), None, at(60)) == []


def test_a_schedule_that_can_not_work_has_no_slots_and_says_why() -> None:
    timeline = told(defined(10, HOURLY), changed(70, schedule=Schedule(expression="61 * * * *", tz="UTC")))
    assert [slot for slot, _ in found(timeline, None, at(300))] == [60]
    assert timeline.problem is not None
    assert "minute '61'" in timeline.problem
    assert evolve(timeline, changed(80)).problem is None


def test_a_server_clock_that_went_back_does_not_reorder_anything() -> None:
    """What was announced in a future that never came holds from the next change on."""
    timeline = told(defined(70, HOURLY), changed(20, paused=True))
    assert found(timeline, None, at(120)) == [(60, True), (120, True)]


def test_upcoming_is_the_first_slot_however_far_away() -> None:
    leap_day = told(defined(0, Schedule(expression="0 0 29 2 *", tz="UTC")))
    assert upcoming(leap_day, None) == datetime(2028, 2, 29, tzinfo=UTC)
    assert upcoming(told(), None) is None


def test_due_is_found_one_by_one() -> None:
    forever = due(told(defined(0, EVERY_20)), None, datetime(9000, 1, 1, tzinfo=UTC))
    assert next(forever) == Due(at(20), EVERY_20)
