"""Dates as people say them, by the clock in Copenhagen."""

from datetime import UTC, datetime, timedelta

import pytest

from services.api.panel.moments import duration, exactly, machine, moment
from services.words.language import language
from tests.unit.panel.runs import NOW, copenhagen

DA, EN = language("da"), language("en")


@pytest.mark.parametrize(
    ("instant", "danish", "english"),
    [
        (copenhagen(2025, 12, 10, 14, 30), "I dag 14:30", "Today 14:30"),
        (copenhagen(2025, 12, 10, 0, 0), "I dag 00:00", "Today 00:00"),
        (copenhagen(2025, 12, 9, 23, 59), "I går 23:59", "Yesterday 23:59"),
        (copenhagen(2025, 12, 11, 2, 0), "I morgen 02:00", "Tomorrow 02:00"),
        (copenhagen(2025, 12, 8, 2, 0), "8. dec 02:00", "8 Dec 02:00"),
        (copenhagen(2025, 12, 1, 4, 0), "1. dec 04:00", "1 Dec 04:00"),
        (copenhagen(2025, 5, 1, 4, 0), "1. maj 04:00", "1 May 04:00"),
        (copenhagen(2024, 12, 1, 4, 0), "1. dec 2024 04:00", "1 Dec 2024 04:00"),
    ],
)
def test_moments(instant: datetime, danish: str, english: str) -> None:
    assert moment(instant, NOW, DA) == danish
    assert moment(instant, NOW, EN) == english


def test_the_day_is_the_one_in_copenhagen_not_the_one_in_utc() -> None:
    just_after_midnight = datetime(2025, 6, 9, 22, 30, tzinfo=UTC)
    assert moment(just_after_midnight, just_after_midnight + timedelta(hours=1), DA) == "I dag 00:30"


def test_yesterday_stays_yesterday_on_the_day_the_clocks_change() -> None:
    assert moment(copenhagen(2026, 3, 28, 23, 30), copenhagen(2026, 3, 29, 23, 45), DA) == "I går 23:30"


def test_to_the_second_and_for_machines() -> None:
    instant = copenhagen(2025, 12, 1, 4, 0)
    assert exactly(instant, DA) == "1. december 2025 04:00:00 CET"
    assert machine(instant) == "2025-12-01T04:00:00+01:00"


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [
        (None, "–"),
        (0, "0ms"),
        (45, "45ms"),
        (100, "0.1s"),
        (2_300, "2.3s"),
        (59_949, "59.9s"),
        (59_950, "1m 00s"),
        (65_000, "1m 05s"),
        (3_599_600, "1t 00m"),
        (7_380_000, "2t 03m"),
    ],
)
def test_durations(duration_ms: int | None, text: str) -> None:
    assert duration(duration_ms, DA) == text
