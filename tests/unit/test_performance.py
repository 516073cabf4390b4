"""What comes of calling a job: exceptions as values, with where they came from."""

import gc
import sys
import time
import weakref
from datetime import UTC, datetime, timedelta, tzinfo

import pytest
from kronik import NoParams, RunContext, job
from kronik.job import job_of
from kronik.run import Run
from kronik.text import TRACEBACK_LIMIT

from services.infra.clock import SystemClock
from services.runner.context import Context, text_of, whole
from services.runner.outcome import Raised, as_raised, as_result, exited, trace


def _raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def test_a_traceback_tells_causes_and_groups() -> None:
    told = trace(_raised(ValueError("the lamp"), _raised(KeyError("the switch")))) or ""
    assert "KeyError: 'the switch'" in told
    assert "the direct cause" in told
    assert told.rstrip().endswith("ValueError: the lamp")
    group = trace(_raised(ExceptionGroup("both", [_raised(ValueError("one")), _raised(OSError("two"))]))) or ""
    assert "ValueError: one" in group
    assert "OSError: two" in group


class Unsayable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("error", [Unsayable(), ValueError("\ud83d \0"), ValueError("x" * 1_000_000)])
def test_a_traceback_can_always_be_stored(error: Exception) -> None:
    told = trace(_raised(error))
    assert told
    assert len(told) <= TRACEBACK_LIMIT
    told.encode()


class Exits(Exception):
    def __str__(self) -> str:
        sys.exit(7)

    __repr__ = __str__


class ExitsToo(SystemExit):
    def __str__(self) -> str:
        raise KeyboardInterrupt


@job("ANY")
def any_job(run: RunContext, params: NoParams) -> None: ...


JOB = job_of(any_job)
assert JOB


def _chain(length: int) -> BaseException:
    error = ValueError("first")
    for number in range(length):
        following = ValueError(str(number))
        following.__cause__, error = error, following
    return _raised(error)


Named = type("N" * 10_000, (Exception,), {})


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Exits(), "Exits: (its message can't be shown)"),
        (exited(ExitsToo()), "the job raised ExitsToo((its message can't be shown))"),
        (exited(SystemExit(3)), "the job raised SystemExit(3)"),
        (exited(KeyboardInterrupt()), "the job raised KeyboardInterrupt()"),
        (_chain(20_000), "ValueError: 19999"),
        (ExceptionGroup("many", [ValueError(str(n)) for n in range(50_000)]), "ValueError: 9; …"),
        (ExceptionGroup("one", [Exits()]), "Exits: (its message can't be shown)"),
        (Named(), "more characters"),
    ],
    ids=range(8),
)
def test_whatever_was_raised_is_told_in_a_moment(error: BaseException, told: str) -> None:
    began = time.process_time()
    raised = as_raised(JOB, _raised(error))
    assert told in raised.error
    assert len(raised.error_type) <= 200
    assert time.process_time() - began < 0.5


class Words:
    """Words of a job that are no words."""

    def __str__(self) -> str:
        raise KeyboardInterrupt

    __index__ = __int__ = __str__  # type: ignore[assignment]


def test_words_that_raise_an_exit_are_no_exit() -> None:
    assert text_of(Words(), 100) == "(a Words that can't be shown)"
    assert whole(Words()) is None


def test_a_result_that_raises_anything_is_no_result() -> None:
    class Zone(tzinfo):
        def utcoffset(self, at: datetime | None) -> timedelta:
            raise SystemExit(3)

    assert isinstance(as_result({"at": datetime(2026, 1, 1, tzinfo=Zone())}), Raised)


def test_a_run_leaves_nothing_to_the_garbage_collector() -> None:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    run = Run(id=1, job_type="A", origin="crm", triggered_by="", triggered_at=now, params={})
    context = Context(run, now, SystemClock())
    context.log.info("said")
    left = weakref.ref(context)
    gc.disable()
    try:
        del context
        assert left() is None
    finally:
        gc.enable()
