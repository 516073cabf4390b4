"""What becomes of the slots that are due."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from kronik.events import Pause, Schedule
from kronik.in_force import QueueLimit
from kronik.schedule import CatchUp, Overlap

from services.scheduler.decisions import ALL_LIMIT, Circumstances, Decision, Fire, Skip, decide
from services.scheduler.timeline import Due

START = datetime(2026, 6, 1, tzinfo=UTC)
PAUSE = Pause(by="ADMIN:7", reason="the ovens are being moved")


def schedule(catch_up: CatchUp = "latest", overlap: Overlap = "queue", deadline: timedelta | None = None) -> Schedule:
    deadline_ms = None if deadline is None else deadline // timedelta(milliseconds=1)
    return Schedule(
        expression="0 * * * *", tz="Europe/Copenhagen", catch_up=catch_up, overlap=overlap, deadline_ms=deadline_ms
    )


def hours(count: int, held: Schedule, *, paused: bool = False, first: int = 1) -> list[Due]:
    return [Due(START + timedelta(hours=n), held, PAUSE if paused else None) for n in range(first, first + count)]


def decided(
    due: list[Due],
    *,
    late_s: float = 1,
    paused: bool = False,
    open_run: int | None = None,
    more: bool = False,
    **more_so: Any,
) -> list[Decision]:
    """late_s: how old the newest slot is."""
    now = due[-1].slot + timedelta(seconds=late_s)
    so = Circumstances(now, paused=PAUSE if paused else None, open_run=open_run, **more_so)
    return decide(due, so, more=more)


def outcomes(decisions: list[Decision]) -> list[str]:
    return ["fire" if isinstance(each, Fire) else each.outcome for each in decisions]


def reason(decision: Decision) -> str:
    assert isinstance(decision, Skip)
    return decision.reason


def test_a_slot_on_time_fires() -> None:
    for catch_up in ("latest", "all", "none"):
        assert decided(hours(1, schedule(catch_up))) == [Fire(START + timedelta(hours=1))]


def test_latest_runs_once_for_all_that_were_missed() -> None:
    decisions = decided(hours(4, schedule("latest")), late_s=1800)
    assert outcomes(decisions) == ["coalesced", "coalesced", "coalesced", "fire"]
    assert reason(decisions[0]) == (
        "One run stands for every slot that was missed: that of 2026-06-01 06:00 Europe/Copenhagen."
    )


def test_all_runs_every_slot() -> None:
    assert outcomes(decided(hours(4, schedule("all")), late_s=1800)) == ["fire"] * 4


def test_all_runs_a_hundred_at_most_the_newest() -> None:
    decisions = decided(hours(ALL_LIMIT + 2, schedule("all")))
    assert outcomes(decisions) == ["coalesced"] * 2 + ["fire"] * ALL_LIMIT
    assert reason(decisions[0]) == "At most 100 missed slots are run; there were as many others."


def test_none_runs_only_what_is_on_time() -> None:
    decisions = decided(hours(3, schedule("none")))
    assert outcomes(decisions) == ["missed", "missed", "fire"]
    assert reason(decisions[0]) == "Seen 2 h late, and the schedule does not catch up."


def test_none_is_late_after_a_minute() -> None:
    assert outcomes(decided(hours(1, schedule("none")), late_s=60)) == ["fire"]
    assert outcomes(decided(hours(1, schedule("none")), late_s=61)) == ["missed"]


def test_a_slot_past_the_deadline_is_missed_whatever_the_catch_up() -> None:
    for catch_up in ("latest", "all"):
        decisions = decided(hours(3, schedule(catch_up, deadline=timedelta(minutes=90))), late_s=1800)
        assert outcomes(decisions)[0] == "missed"
        assert outcomes(decisions)[2] == "fire"
        assert reason(decisions[0]) == "Seen 2 h 30 min late; the schedule's deadline is 1 h 30 min."


def test_the_newest_within_the_deadline_is_the_one_that_runs() -> None:
    decisions = decided(hours(2, schedule("latest", deadline=timedelta(minutes=10))), late_s=1800)
    assert outcomes(decisions) == ["missed", "missed"]


def test_a_slot_of_a_paused_schedule_is_paused_even_on_time() -> None:
    decisions = decided(hours(1, schedule(), paused=True), paused=True)
    assert outcomes(decisions) == ["paused"]
    assert reason(decisions[0]) == (
        "The schedule was paused by ADMIN:7 (the ovens are being moved) when this slot came due."
    )


def test_paused_slots_are_not_caught_up_after_the_resume() -> None:
    due = hours(2, schedule(), paused=True) + hours(2, schedule(), first=3)
    assert outcomes(decided(due)) == ["paused", "paused", "coalesced", "fire"]


def test_a_job_that_is_paused_now_does_not_start_to_catch_up() -> None:
    due = hours(2, schedule()) + hours(1, schedule(), paused=True, first=3)
    decisions = decided(due, paused=True)
    assert outcomes(decisions) == ["paused"] * 3
    assert reason(decisions[0]) == (
        "Seen 2 h late, and the schedule had been paused by ADMIN:7 (the ovens are being moved) in the meantime."
    )


def test_a_slot_on_time_fires_though_the_pause_came_a_moment_later() -> None:
    assert outcomes(decided(hours(1, schedule()), paused=True)) == ["fire"]


def test_overlap_skip_drops_the_slot_that_finds_a_run_open_and_names_it() -> None:
    decisions = decided(hours(1, schedule(overlap="skip")), open_run=42)
    assert outcomes(decisions) == ["overlapped"]
    assert reason(decisions[0]) == "Run 42 of this job was still open."


def test_overlap_queue_fires_though_a_run_is_open() -> None:
    assert outcomes(decided(hours(1, schedule(overlap="queue")), open_run=42)) == ["fire"]


def test_of_several_slots_that_would_fire_with_overlap_skip_only_the_first_does() -> None:
    decisions = decided(hours(3, schedule("all", "skip")))
    assert outcomes(decisions) == ["fire", "overlapped", "overlapped"]
    assert "2026-06-01 03:00 Europe/Copenhagen" in reason(decisions[1])


def test_where_a_run_is_in_the_way_no_slot_is_coalesced_with_one_that_never_runs() -> None:
    decisions = decided(hours(3, schedule("latest", "skip")), open_run=42)
    assert outcomes(decisions) == ["overlapped"] * 3
    assert {reason(each) for each in decisions} == {"Run 42 of this job was still open."}


def test_what_would_share_the_run_of_a_slot_that_does_not_fire_shares_its_fate() -> None:
    due = hours(1, schedule("all"), first=1) + hours(2, schedule("latest", "skip"), first=2)
    decisions = decided(due, limit=QueueLimit(5, "refuse"))
    assert outcomes(decisions) == ["fire", "overlapped", "overlapped"]
    assert "2026-06-01 03:00" in reason(decisions[1]) == reason(decisions[2])


def test_a_full_queue_refuses_or_coalesces_the_slot_and_those_that_it_would_have_run_for() -> None:
    refused = decided(hours(2, schedule("latest")), queued=3, limit=QueueLimit(3, "refuse"))
    assert outcomes(refused) == ["missed", "missed"]
    assert reason(refused[0]) == reason(refused[1]) == "3 runs of this job wait already, and no more than 3 may."
    coalesced = decided(hours(1, schedule("latest")), queued=1, limit=QueueLimit(1, "coalesce"))
    assert outcomes(coalesced) == ["coalesced"]
    assert reason(coalesced[0]) == "1 run of this job waits already, as many as may: this slot is left to them."
    some = decided(hours(4, schedule("all")), queued=1, limit=QueueLimit(3, "refuse"))
    assert outcomes(some) == ["fire", "fire", "missed", "missed"]


def test_while_nobody_serves_the_job_catch_up_holds_as_for_the_schedulers_absence() -> None:
    assert outcomes(decided(hours(2, schedule("latest")), unserved=True)) == ["coalesced", "fire"]
    waiting = decided(hours(1, schedule("latest")), unserved=True, waiting_run=41, queued=1)
    assert outcomes(waiting) == ["coalesced"]
    assert "run 41 waits" in reason(waiting[0])
    assert outcomes(decided(hours(1, schedule("none")), unserved=True)) == ["missed"]
    assert outcomes(decided(hours(1, schedule("all")), unserved=True, queued=ALL_LIMIT)) == ["coalesced"]


def test_slots_of_two_schedules_share_one_catch_up_run() -> None:
    due = hours(2, schedule("latest")) + hours(1, schedule("all"), first=3)
    assert outcomes(decided(due)) == ["coalesced", "coalesced", "fire"]


def test_where_newer_slots_are_left_for_later_the_last_hundred_stay_undecided() -> None:
    latest = decided(hours(ALL_LIMIT + 3, schedule("latest")), more=True)
    assert outcomes(latest) == ["coalesced"] * 3
    assert reason(latest[0]) == ("Of the slots that were missed only the newest counts, and newer ones were due.")
    assert outcomes(decided(hours(ALL_LIMIT + 3, schedule("all")), more=True)) == ["coalesced"] * 3
    assert outcomes(decided(hours(ALL_LIMIT + 3, schedule("none")), more=True)) == ["missed"] * 3


def test_nothing_due_nothing_decided() -> None:
    assert decide([], Circumstances(START)) == []


schedules = st.builds(
    schedule,
    st.sampled_from(["latest", "all", "none"]),
    st.sampled_from(["queue", "skip"]),
    st.none() | st.timedeltas(timedelta(seconds=1), timedelta(days=2)),
)


@given(st.lists(st.tuples(schedules, st.booleans()), max_size=30), st.booleans(), st.none() | st.just(7))
def test_every_slot_gets_one_decision_in_order(
    held: list[tuple[Schedule, bool]], paused: bool, run: int | None
) -> None:
    due = [
        Due(START + timedelta(hours=n), each, PAUSE if was_paused else None)
        for n, (each, was_paused) in enumerate(held)
    ]
    so = Circumstances(START + timedelta(hours=30), PAUSE if paused else None, run)
    decisions = decide(due, so)
    assert [each.slot for each in decisions] == [each.slot for each in due]
    fires = [each for each, decision in zip(due, decisions, strict=True) if isinstance(decision, Fire)]
    assert not any(each.pause for each in fires)
    assert not paused or not fires or START + timedelta(hours=30) - fires[0].slot <= timedelta(seconds=60)
    assert all(later.schedule.overlap == "queue" for _, later in pairwise(fires))
    assert run is None or all(each.schedule.overlap == "queue" for each in fires)
    assert all(each.schedule.catch_up != "latest" for each in fires[:-1])
