"""What comes next: decided from the run and the time alone."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kronik.events import (
    Abandoned,
    BadTrigger,
    Cancelled,
    CancelRequested,
    Failed,
    Retrying,
    RetryPolicy,
    RunEvent,
    Started,
)
from kronik.run import LOST_FOR_NOTHING, Done, Run, Wait, backoff_ms, decide_cancel, decide_delivery, decide_error
from kronik.subjects import TERMINAL

from tests.unit.contracts.events_at import (
    POLICY,
    after,
    at,
    cancel_requested,
    cancelled,
    completed,
    drained,
    failed,
    ignored,
    lost,
    queued,
    retrying,
    started,
)

NOW = at(30)


def deliver(run: Run, policy: RetryPolicy = POLICY, now: datetime = NOW) -> RunEvent | Wait | Done:
    return decide_delivery(run, incarnation="host-2", policy=policy, timeout_ms=60_000, now=now)


def raised(
    run: Run, *, permanent: bool = False, policy: RetryPolicy = POLICY, jitter: float = 0.0
) -> Retrying | Failed:
    return decide_error(
        run, error="cold", error_type="OvenError", permanent=permanent, policy=policy, now=NOW, jitter=jitter
    )


def policy(attempts: int, wait_ms: int = 0) -> RetryPolicy:
    return RetryPolicy(attempts=attempts, wait_ms=wait_ms, max_wait_ms=300_000)


def test_a_queued_run_is_started() -> None:
    assert deliver(queued()) == Started(attempt=1, incarnation="host-2", timeout_ms=60_000)


@pytest.mark.parametrize("end", [completed(), failed(), cancelled()])
def test_a_finished_run_is_done(end: RunEvent) -> None:
    assert deliver(after(started(), end)) == Done()


def test_an_open_attempt_is_abandoned_as_lost() -> None:
    decided = deliver(after(started()))
    assert decided == Abandoned(attempt=1, reason="lost", detail="runner host-1 stopped answering")


def test_the_next_attempt_follows_a_lost_one_at_once() -> None:
    assert deliver(after(started(), lost())) == Started(attempt=2, incarnation="host-2", timeout_ms=60_000)


def test_a_retry_waits_for_its_time() -> None:
    run = after(started(), retrying(second=60))
    assert deliver(run, now=at(59)) == Wait(at(60))
    assert deliver(run, now=at(60)) == Started(attempt=2, incarnation="host-2", timeout_ms=60_000)


def test_a_retry_that_was_lost_in_its_turn_does_not_wait_for_the_old_time() -> None:
    run = after(started(), retrying(second=60), started(2), lost(2))
    assert isinstance(deliver(run, policy(5), now=at(30)), Started)


@pytest.mark.parametrize(
    "before",
    [[], [started(), retrying()], [started(), lost()], [started(), lost(), started(2), lost(2), started(3), lost(3)]],
    ids=["queued", "retrying", "lost", "exhausted"],
)
def test_a_run_that_is_to_be_cancelled_is_never_started(before: list[RunEvent]) -> None:
    run = after(*before, cancel_requested())
    assert deliver(run) == Cancelled(attempt=run.attempt, by="ADMIN:7")
    ended = after(deliver_event(run), run=run)
    assert (ended.finished, ended.cancelled_by, ended.ignored) == (True, "ADMIN:7", 0)


def test_an_executing_run_whose_runner_died_with_a_cancel_requested_ends_cancelled() -> None:
    run = after(started(), cancel_requested())
    run = after(deliver_event(run), run=run)
    assert deliver(run) == Cancelled(attempt=1, by="ADMIN:7")


def test_a_bad_trigger_fails_with_its_problem() -> None:
    run = queued(BadTrigger("data: must be a JSON object"))
    assert deliver(run) == Failed(attempt=0, error="data: must be a JSON object", error_type="InvalidTrigger")
    ended = after(deliver_event(run), run=run)
    assert (ended.status, ended.error, ended.ignored) == ("FAILED", "data: must be a JSON object", 0)


def all_lost(attempts: int) -> Run:
    """A run that was lost as often as it may be, and `attempts` times more."""
    run = queued()
    for n in range(1, LOST_FOR_NOTHING + attempts + 1):
        run = after(started(n), lost(n, detail="runner host-9 stopped answering"), run=run)
    return run


def test_attempts_that_were_lost_do_not_count_until_there_are_too_many() -> None:
    assert isinstance(deliver(all_lost(2)), Started)
    assert deliver(all_lost(3)) == Failed(
        attempt=13, error="Gave up after 13 attempts: runner host-9 stopped answering", error_type="AttemptsExhausted"
    )


def test_giving_up_says_what_is_known() -> None:
    only = deliver(after(started(), ignored()), policy(1))
    assert isinstance(only, Failed)
    assert only.error.startswith("Gave up after its only attempt: each time its runner died")


@given(st.integers(1, 100))
def test_any_number_of_lost_attempts_comes_to_an_end(attempts: int) -> None:
    run, starts = queued(), 0
    while not run.finished:
        event = deliver_event(run, policy(attempts))
        starts += isinstance(event, Started)
        assert starts <= attempts + LOST_FOR_NOTHING
        run = after(event, run=run)
    assert (run.status, run.lost, run.failures, run.ignored) == ("FAILED", attempts + LOST_FOR_NOTHING, 0, 0)


@given(
    st.integers(1, 5), st.lists(st.sampled_from(["lost", "drained", "raised", "cancel"]), max_size=40), st.floats(0, 1)
)
def test_every_life_comes_to_an_end_and_neither_drained_nor_lost_attempts_count(
    attempts: int, fates: list[str], jitter: float
) -> None:
    run, counted, lost_for_nothing, now = queued(), 0, 0, NOW
    remaining = iter([*fates, *["raised"] * attempts])
    bounds = policy(attempts, wait_ms=1_000)
    while not run.finished:
        decided = deliver(run, bounds, now)
        if isinstance(decided, Wait):
            now = decided.until
            continue
        assert not isinstance(decided, Abandoned | Done)
        run = after(decided, run=run)
        if not run.finished:
            fate = next(remaining)
            lost_for_nothing += fate == "lost"
            counted += fate == "raised" or (fate == "lost" and lost_for_nothing > LOST_FOR_NOTHING)
            run = _meet(run, fate, bounds, now, jitter)
    assert run.ignored == 0
    assert counted <= attempts
    assert run.cancelled_by or counted == attempts


def _meet(run: Run, fate: str, policy: RetryPolicy, now: datetime, jitter: float) -> Run:
    """The attempt that just started, ended by its fate."""
    n = run.attempt
    match fate:
        case "lost":
            return after(lost(n), run=run)
        case "drained":
            return after(drained(n), run=run)
        case "cancel":
            return after(cancel_requested(), drained(n), run=run)
        case _:
            error = decide_error(
                run, error="cold", error_type="E", permanent=False, policy=policy, now=now, jitter=jitter
            )
            return after(error, run=run)


def test_an_attempt_that_raised_is_tried_again_after_a_pause() -> None:
    assert raised(after(started())) == Retrying(
        attempt=1, error="cold", error_type="OvenError", retry_at=NOW + timedelta(seconds=5), wait_ms=5000
    )


def test_the_last_attempt_that_raised_fails_the_run() -> None:
    run = after(started(), retrying(), started(2), lost(2), started(3), retrying(3), started(4))
    assert raised(run) == Failed(attempt=4, error="cold", error_type="OvenError")


def test_a_permanent_error_fails_the_run_at_once() -> None:
    assert raised(after(started()), permanent=True) == Failed(attempt=1, error="cold", error_type="OvenError")


def test_a_drained_attempt_leaves_all_its_tries() -> None:
    run = after(started(), drained(), started(2))
    assert isinstance(raised(run, policy=policy(2)), Retrying)
    assert isinstance(raised(run, policy=policy(1)), Failed)


@given(st.integers(1, 200), st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 1))
def test_a_pause_grows_within_its_bounds(failures: int, wait_ms: int, more_ms: int, jitter: float) -> None:
    bounds = RetryPolicy(attempts=3, wait_ms=wait_ms, max_wait_ms=wait_ms + more_ms)
    pause = backoff_ms(bounds, failures, jitter)
    assert wait_ms <= pause <= round(bounds.max_wait_ms * 1.25)
    assert backoff_ms(bounds, failures + 1, 0.0) >= backoff_ms(bounds, failures, 0.0)


def test_a_pause_doubles_with_every_failure_and_jitter_adds_up_to_a_quarter() -> None:
    assert [backoff_ms(POLICY, n, 0.0) for n in (1, 2, 3, 7, 40, 100)] == [
        5_000,
        10_000,
        20_000,
        300_000,
        300_000,
        300_000,
    ]
    assert backoff_ms(POLICY, 1, 1.0) == 6_250
    assert backoff_ms(POLICY, 100, 1.0) == 375_000


@pytest.mark.parametrize("before", [[], [started()], [started(), retrying()]], ids=["queued", "executing", "retrying"])
def test_an_open_run_can_be_cancelled_once(before: list[RunEvent]) -> None:
    run = after(*before)
    assert decide_cancel(run, by="ADMIN:7") == CancelRequested(by="ADMIN:7")
    assert decide_cancel(after(cancel_requested(), run=run), by="ADMIN:8") == Done()


def test_a_finished_run_can_not_be_cancelled() -> None:
    assert decide_cancel(after(started(), completed()), by="ADMIN:7") == Done()


def test_terminal_events_are_those_that_end_a_run() -> None:
    ends: dict[str, RunEvent] = {"completed": completed(), "failed": failed(), "cancelled": cancelled()}
    assert ends.keys() == TERMINAL
    assert all(after(started(), event).finished for event in ends.values())


def deliver_event(run: Run, policy: RetryPolicy = POLICY, now: datetime = NOW) -> RunEvent:
    decided = deliver(run, policy, now)
    assert not isinstance(decided, Wait | Done)
    return decided
