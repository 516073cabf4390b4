"""Dates as people say them, by the clock in Copenhagen."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.words.language import language
from services.words.moments import moment, span, when
from tests.unit.panel.runs import NOW, copenhagen

DA, EN, HOME = language("da"), language("en"), ZoneInfo("Europe/Copenhagen")


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
    assert moment(instant, NOW, HOME, DA) == danish
    assert moment(instant, NOW, HOME, EN) == english


def test_the_day_is_the_one_in_copenhagen_not_the_one_in_utc() -> None:
    just_after_midnight = datetime(2025, 6, 9, 22, 30, tzinfo=UTC)
    assert moment(just_after_midnight, just_after_midnight + timedelta(hours=1), HOME, DA) == "I dag 00:30"


def test_yesterday_stays_yesterday_on_the_day_the_clocks_change() -> None:
    assert moment(copenhagen(2026, 3, 28, 23, 30), copenhagen(2026, 3, 29, 23, 45), HOME, DA) == "I går 23:30"


def test_to_the_second_and_for_machines() -> None:
    said = when(copenhagen(2025, 12, 1, 4, 0), NOW, HOME, DA)
    assert said.exactly == "mandag 1. december 2025 kl. 04:00:00 CET"
    assert (said.machine, said.utc) == ("2025-12-01T04:00:00+01:00", "2025-12-01T03:00:00Z")


@pytest.mark.parametrize(
    ("ms", "danish", "english"),
    [
        (None, "–", "–"),
        (0, "0 ms", "0 ms"),
        (45, "45 ms", "45 ms"),
        (100, "0,1 s", "0.1 s"),
        (2_300, "2,3 s", "2.3 s"),
        (59_949, "59,9 s", "59.9 s"),
        (59_950, "1 min 00 s", "1 min 00 s"),
        (65_000, "1 min 05 s", "1 min 05 s"),
        (3_599_600, "1 t 00 min", "1 h 00 min"),
        (7_380_000, "2 t 03 min", "2 h 03 min"),
        (300_000_000, "3 d 11 t", "3 d 11 h"),
    ],
)
def test_spans(ms: int | None, danish: str, english: str) -> None:
    assert span(ms, DA) == danish
    assert span(ms, EN) == english
