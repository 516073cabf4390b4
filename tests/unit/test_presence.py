"""Whom nobody has heard: when that is said, and when silence proves nothing."""

from datetime import UTC, datetime

import pytest

from services.log.presence import EVERY_S, MISSED_AFTER_S, Beat, Presence, Served
from tests.definitions import plain_job

ONE, OTHER = plain_job("ONE"), plain_job("OTHER")


class Ears(Presence):
    """Its time is moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.now_s = 1000.0
        monkeypatch.setattr("services.log.presence.monotonic_s", lambda: self.now_s)

    def hear(self, *job_types: str) -> None:
        self.note(Beat("runner", "runner-1", datetime(2026, 1, 1, tzinfo=UTC), dict.fromkeys(job_types, Served(1, ""))))


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> Ears:
    return Ears(monkeypatch)


def test_a_runner_is_missed_after_some_beats_and_not_after_one(ears: Ears) -> None:
    ears.deaf()
    ears.now_s += MISSED_AFTER_S + 0.1
    ears.hear("ONE")
    ears.now_s += 2 * EVERY_S
    assert ears.misses([ONE, OTHER]) == ("OTHER",)
    ears.now_s += 2 * EVERY_S + 0.1
    assert ears.misses([ONE]) == ("ONE",)
    ears.hear("ONE")
    assert ears.misses([ONE]) == ()


def test_who_says_goodbye_is_missed_at_once(ears: Ears) -> None:
    ears.deaf()
    ears.now_s += MISSED_AFTER_S + 0.1
    ears.hear("ONE")
    ears.hear()
    assert ears.misses([ONE]) == ("ONE",)


def test_the_silence_of_who_could_hear_nothing_proves_nothing(ears: Ears) -> None:
    assert ears.misses([ONE]) == ()
    ears.deaf()
    ears.now_s += MISSED_AFTER_S - 0.1
    assert ears.misses([ONE]) == ()


def test_it_is_said_within_five_seconds() -> None:
    """The last beat, until it is missed; the pulse, which looks once a second; the page, which asks again."""
    assert MISSED_AFTER_S + 1.0 + 0.5 < 5
