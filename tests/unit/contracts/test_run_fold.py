"""The life of a run, given-when-then: given what happened, when one more event arrives, then the run is…"""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kronik import subjects
from kronik.events import Abandoned, BadTrigger, Completed, Recorded, RunEvent, Triggered, Unknown, Warning
from kronik.run import Run, begin, evolve, holds
from kronik.text import ERROR_LIMIT
from msgspec.structs import replace

from tests.unit.contracts import strategies as some
from tests.unit.contracts.events_at import (
    RUN_ID,
    T0,
    after,
    at,
    cancel_requested,
    cancelled,
    completed,
    drained,
    failed,
    lost,
    queued,
    recorded,
    retrying,
    started,
)


def test_a_trigger_asks_for_a_queued_run() -> None:
    run = queued(Triggered(params={"month": 1}, user_id="7", scheduled_for=at(-9), rerun_of=3), origin="admin")
    assert run == Run(
        id=RUN_ID,
        job_type="DAILY_MAINTENANCE",
        origin="admin",
        triggered_by="ADMIN:7",
        triggered_at=T0,
        params={"month": 1},
        scheduled_for=at(-9),
        rerun_of=3,
    )
    assert (run.phase, run.status, run.version, run.token, run.finished) == ("queued", "RUNNING", 0, 0, False)
    assert (run.started_at, run.duration_ms) == (None, None)


def test_a_bad_trigger_is_a_run_with_a_problem() -> None:
    run = queued(BadTrigger("not JSON\0", user_id="7"), origin="admin")
    assert (run.problem, run.params, run.triggered_by) == ("not JSON�", {}, "ADMIN:7")


@pytest.mark.parametrize("user_id", [None, ""])
def test_an_admins_trigger_without_a_user_is_by_nobody_known(user_id: str | None) -> None:
    assert queued(Triggered(user_id=user_id), origin="admin").triggered_by == "ADMIN:unknown"


def test_queued_started() -> None:
    run = after(started(incarnation="host-2"))
    assert (run.phase, run.status, run.attempt, run.incarnation) == ("executing", "RUNNING", 1, "host-2")
    assert (run.version, run.token, run.timeout_ms) == (13, 13, 60_000)
    assert (run.started_at, run.attempt_at) == (at(1), at(1))
    assert holds(run, 13)
    assert not holds(run, 12)


def test_executing_completed() -> None:
    run = after(started(), completed())
    assert (run.phase, run.status, run.result, run.finished) == ("finished", "SUCCESS", {"closed": 45}, True)
    assert (run.completed_at, run.duration_ms, run.version) == (at(2), 1_000, 14)
    assert (run.error, run.warnings, run.warning_count) == (None, (), 0)
    assert not holds(run, 13)


@pytest.mark.parametrize(
    ("event", "count"),
    [
        (completed(warnings=1), 1),
        (completed(warnings=250), 250),
        (Completed(attempt=1, result=None, warning_count=7), 7),
        (Completed(attempt=1, result=None, warnings=(Warning(text="one"),), warning_count=0), 1),
    ],
)
def test_a_run_with_warnings_is_partial(event: Completed, count: int) -> None:
    run = after(started(), event)
    assert (run.phase, run.status, run.warning_count) == ("finished", "PARTIAL", count)
    assert (run.warnings, run.result) == (event.warnings, event.result)


def test_executing_failed() -> None:
    run = after(started(), failed(error="no flour\0"))
    assert (run.phase, run.status, run.error, run.result) == ("finished", "FAILED", "no flour�", None)
    assert (run.completed_at, run.cancelled_by) == (at(2), None)


def test_executing_retrying() -> None:
    run = after(started(), retrying(error="cold"))
    assert (run.phase, run.status, run.error, run.retry_at) == ("retrying", "RUNNING", "cold", at(60))
    assert (run.attempt, run.failures, run.completed_at) == (1, 1, None)
    assert not holds(run, 13)


def test_a_retry_is_due_by_the_streams_clock_whatever_the_writers_said() -> None:
    ahead = replace(retrying(second=2 * 86_400), wait_ms=5_000)
    assert after(started(), ahead).retry_at == at(7)


def test_a_traceback_is_kept_until_another_word_and_gone_with_success() -> None:
    broke = replace(retrying(), traceback="Traceback …\0")
    assert after(started(), broke, started(2)).traceback == "Traceback …�"
    assert after(started(), broke, started(2), completed(2)).traceback is None
    assert after(started(), broke, cancelled()).traceback is None
    assert after(started(), replace(failed(), traceback="T")).traceback == "T"


def test_a_long_error_is_cut() -> None:
    assert len(after(started(), retrying(error="x" * 20_000)).error or "") <= ERROR_LIMIT
    assert len(after(started(), failed(error="x" * 20_000)).error or "") <= ERROR_LIMIT
    assert len(after(started(), lost(detail="x" * 20_000)).error or "") <= ERROR_LIMIT


def test_retrying_started() -> None:
    run = after(started(), retrying(), started(2, "host-2"))
    assert (run.phase, run.attempt, run.incarnation, run.retry_at) == ("executing", 2, "host-2", None)
    assert (run.token, run.started_at, run.attempt_at) == (15, at(1), at(3))
    assert run.error == "the oven is cold"


def test_a_success_after_a_retry_forgets_the_error_and_counts_its_time_from_the_first_attempt() -> None:
    run = after(started(), retrying(), started(2), completed(2))
    assert (run.status, run.error, run.retry_at, run.duration_ms) == ("SUCCESS", None, None, 3_000)


def test_executing_lost() -> None:
    run = after(started(), lost())
    assert (run.phase, run.failures, run.lost, run.error) == ("retrying", 0, 1, "runner host-1 stopped answering")
    assert run.retry_at is None


def test_a_lost_attempt_without_a_word_leaves_the_error_before() -> None:
    assert after(started(), retrying(error="cold"), started(2), lost(2, detail="")).error == "cold"


def test_an_attempt_that_a_deploy_cut_short_does_not_count() -> None:
    run = after(started(), drained())
    assert (run.phase, run.failures, run.error) == ("retrying", 0, None)


def test_an_attempt_that_ignored_its_timeout_counts() -> None:
    run = after(started(), Abandoned(attempt=1, reason="timeout", detail="ignored its timeout"))
    assert (run.phase, run.failures, run.error) == ("retrying", 1, "ignored its timeout")


@pytest.mark.parametrize("before", [[], [started()], [started(), retrying()]], ids=["queued", "executing", "retrying"])
def test_cancel_requested_changes_nothing_but_who_asked(before: list[RunEvent]) -> None:
    run = after(*before)
    asked = after(cancel_requested(), run=run)
    assert asked == replace(run, version=asked.version, cancel_requested_by="ADMIN:7")
    assert asked.token == run.token


@pytest.mark.parametrize(
    ("before", "attempt"),
    [([], 0), ([started()], 1), ([started(), retrying()], 1), ([started(), lost(), started(2)], 2)],
    ids=["queued", "executing", "retrying", "second attempt"],
)
def test_a_run_can_fail_or_be_cancelled_from_every_open_phase(before: list[RunEvent], attempt: int) -> None:
    ended = after(*before, failed(attempt))
    assert (ended.phase, ended.status, ended.error, ended.retry_at) == ("finished", "FAILED", "no flour", None)
    stopped = after(*before, cancel_requested(), cancelled(attempt))
    assert (stopped.phase, stopped.status, stopped.cancelled_by) == ("finished", "FAILED", "ADMIN:7")
    assert (stopped.error, stopped.ignored, stopped.retry_at) == ("Cancelled by ADMIN:7", 0, None)


def test_a_run_that_never_started_lasts_from_its_trigger() -> None:
    assert after(failed(0)).duration_ms == 1_000


def test_a_duration_is_never_negative() -> None:
    """A stream moved to another server may tell an earlier time."""
    assert replace(after(started(), completed()), completed_at=T0 - timedelta(hours=1)).duration_ms == 0


EVERYTHING = [started(2), retrying(), lost(), drained(), cancel_requested(), completed(), failed(), cancelled()]


@pytest.mark.parametrize("end", [completed(), failed(), cancelled()], ids=["completed", "failed", "cancelled"])
@pytest.mark.parametrize("late", EVERYTHING, ids=lambda event: type(event).__name__)
def test_what_comes_after_the_end_is_ignored_and_counted(end: RunEvent, late: RunEvent) -> None:
    ended = after(started(), end)
    assert after(late, run=ended) == replace(ended, version=15, ignored=1)
    assert after(late, late, run=ended).ignored == 2


@pytest.mark.parametrize(
    ("before", "stale"),
    [
        ([], completed()),
        ([], retrying()),
        ([], lost()),
        ([], failed(1)),
        ([], cancelled(1)),
        ([], started(2)),
        ([], started(0)),
        ([started()], started(1)),
        ([started()], started(2)),
        ([started()], completed(2)),
        ([started(), retrying()], completed(1)),
        ([started(), retrying()], retrying(1)),
        ([started(), retrying()], started(1)),
        ([started(), lost()], lost(1)),
        ([started(), lost()], completed(1)),
        ([started(), lost(), started(2)], completed(1)),
        ([started(), lost(), started(2)], failed(1)),
        ([started(), lost(), started(2)], cancelled(1)),
        ([cancel_requested()], cancel_requested("ADMIN:8")),
    ],
    ids=str,
)
def test_what_is_out_of_turn_is_ignored_and_counted(before: list[RunEvent], stale: RunEvent) -> None:
    run = after(*before)
    late = after(stale, run=run)
    assert late == replace(run, version=late.version, ignored=1)


@pytest.mark.parametrize("unknown", [Unknown("kronik.run.frozen.v1", None), Unknown("kronik.run.started.v2", {})])
def test_an_unknown_event_moves_the_version_alone(unknown: Unknown) -> None:
    run = after(started())
    assert after(unknown, run=run) == replace(run, version=14)
    ended = after(started(), completed())
    assert after(unknown, run=ended) == replace(ended, version=15)


def _assert_sound(run: Run, before: Run) -> None:
    assert (run.status == "RUNNING") == (run.phase != "finished")
    assert (run.completed_at is not None) == (run.phase == "finished")
    assert (run.started_at is not None) == (run.attempt > 0)
    assert (run.token > 0) == (run.attempt > 0)
    assert run.duration_ms is None or run.duration_ms >= 0
    assert 0 <= run.failures <= run.attempt
    assert (run.status == "PARTIAL") == (run.warning_count > 0)
    assert run.status != "SUCCESS" or run.error is None
    assert run.status != "FAILED" or run.error is not None
    assert run.cancelled_by is None or run.status == "FAILED"
    assert run.retry_at is None or run.phase == "retrying"
    assert run.token <= run.version
    assert run.version > before.version
    assert run.attempt - before.attempt in (0, 1)
    assert run.token == before.token or run.token == run.version
    if before.finished:
        assert run == replace(before, version=run.version, ignored=run.ignored)


few = st.integers(0, 3)
any_run_event = some.run_events.flatmap(
    lambda event: few.map(lambda n: replace(event, attempt=n)) if hasattr(event, "attempt") else st.just(event)
)


@given(st.lists(any_run_event, max_size=12))
def test_whatever_arrives_the_run_stays_sound(events: list[RunEvent]) -> None:
    run = queued()
    for event in events:
        before, run = run, after(event, run=run)
        _assert_sound(run, before)


def _legal(run: Run, pick: int) -> RunEvent:
    n = run.attempt
    legal: list[RunEvent] = [failed(n), cancelled(n)]
    legal += [retrying(n), lost(n), drained(n)] * 3 if run.phase == "executing" else [started(n + 1)] * 6
    legal += [completed(n), completed(n, warnings=2)] if run.phase == "executing" else []
    legal += [] if run.cancel_requested_by else [cancel_requested()]
    return legal[pick % len(legal)]


@given(st.lists(st.integers(0, 1_000), max_size=20))
def test_a_legal_life_is_never_ignored(picks: list[int]) -> None:
    run = queued()
    for pick in picks:
        if run.finished:
            break
        before, run = run, after(_legal(run, pick), run=run)
        _assert_sound(run, before)
    assert run.ignored == 0


@given(st.lists(any_run_event, max_size=8))
def test_the_first_end_wins_however_many_follow(events: list[RunEvent]) -> None:
    ended = after(started(), completed())
    run = after(*events, run=ended)
    assert (run.status, run.result, run.completed_at) == (ended.status, ended.result, ended.completed_at)
    assert run.ignored == len(events)


def test_begin_and_evolve_leave_what_they_are_given_alone() -> None:
    trigger = recorded(Triggered(params={"month": 1}), RUN_ID)
    run = begin(trigger, subjects.TriggerSubject("A", "cron"))
    evolve(run, recorded(started(), 13))
    assert run == begin(trigger, subjects.TriggerSubject("A", "cron"))
    assert isinstance(trigger, Recorded)
