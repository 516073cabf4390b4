"""Schedules in the panel's words."""

import pytest
from kronik.events import Schedule

from services.infra.schedule_words import in_words


def test_no_schedule_is_by_hand() -> None:
    assert (in_words(None, "da"), in_words(None, "en")) == ("Manuel", "Manual")


@pytest.mark.parametrize(
    ("expression", "danish", "english"),
    [
        ("0 2 * * *", "Kl. 02:00", "At 02:00"),
        ("15 12,6,18 * * *", "Kl. 06:15, 12:15 og 18:15", "At 06:15, 12:15 and 18:15"),
        ("0 4 1 * *", "1. hver md kl. 04:00", "1st of every month at 04:00"),
        ("0 4 22 * *", "22. hver md kl. 04:00", "22nd of every month at 04:00"),
        ("0 4 13 * *", "13. hver md kl. 04:00", "13th of every month at 04:00"),
        ("0 7 * * 1-5", "Hverdage kl. 07:00", "Weekdays at 07:00"),
        ("0 7 * * sat,sun", "Weekender kl. 07:00", "Weekends at 07:00"),
        ("0 7 * * 7,1", "Mandag og søndag kl. 07:00", "Mondays and Sundays at 07:00"),
        ("* * * * *", "Hvert minut", "Every minute"),
        ("*/15 * * * *", "Hvert 15. minut", "Every 15 minutes"),
        ("0 * * * *", "Hver time", "Every hour"),
        ("5 * * * *", "Hver time, minut 5", "Every hour at minute 5"),
        (
            "0 0 29 2 *",
            "Kl 00:00, på dag 29 i måneden, kun i februar",
            "At 00:00, on day 29 of the month, only in February",
        ),
        ("0 0 * * 5#2", "Kl 00:00, på den anden fredag i måneden", "At 00:00, on the second Friday of the month"),
        ("0 7 * * 1-3", "Kl 07:00, mandag til og med onsdag", "At 07:00, Monday through Wednesday"),
    ],
)
def test_said_in_both_languages(expression: str, danish: str, english: str) -> None:
    schedule = Schedule(expression=expression, tz="Europe/Copenhagen")
    assert in_words(schedule, "da") == danish
    assert in_words(schedule, "en") == english


def test_another_zone_is_named_where_hours_are() -> None:
    assert in_words(Schedule(expression="0 2 * * *", tz="UTC"), "da") == "Kl. 02:00 (UTC)"
    assert in_words(Schedule(expression="*/5 * * * *", tz="UTC"), "da") == "Hvert 5. minut"
    assert in_words(Schedule(expression="0 2 * * *", tz="UTC"), "en", home="UTC") == "At 02:00"


@pytest.mark.parametrize("expression", ["nonsense", "a b c d e"])
def test_what_can_not_be_read_is_shown_as_it_is(expression: str) -> None:
    assert in_words(Schedule(expression=expression, tz="UTC"), "da") == f"{expression} (UTC)"
