"""What comes of calling a job: exceptions as values, with where they came from."""

import pytest
from kronik.text import TRACEBACK_LIMIT

from services.runner.outcome import trace


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
