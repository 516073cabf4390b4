"""An earlier moment in the panel: how it is asked for, where one can go from it, why it can't be shown."""

from datetime import timedelta

import msgspec
import pytest

from services.api.history.selection import Moment
from services.api.panel.views import moment
from services.api.panel.views.moment import Then
from tests.unit.panel.runs import NOW, copenhagen
from tests.unit.panel.test_views import DA, EN

THEN = Then(Moment(812, copenhagen(2025, 12, 9, 14, 30)), "812")
PATH = "/admin/system/history"
QUERY = [("job", "A"), ("asOf", "812"), ("before", "40")]


@pytest.mark.parametrize(
    ("asked", "read"),
    [
        ("812", "812"),
        ("2025-12-09T14:30", "2025-12-09T13:30:00Z"),
        ("2025-07-09T14:30:05", "2025-07-09T12:30:05Z"),
        ("2025-12-09T14:30:00+05:00", "2025-12-09T14:30:00+05:00"),
        ("20251209", "20251209"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_browsers_field_goes_by_the_panels_clock_and_everything_else_is_the_apis(asked: str, read: str) -> None:
    assert moment.read(asked, DA) == read


def test_the_page_says_when_it_was_and_leads_back_to_now_and_on() -> None:
    shown = moment.shown(THEN, PATH, QUERY, 900, DA.as_of(THEN.moment.time))
    assert (shown.heading, shown.event) == ("Som det var: I går 14:30:00", "efter hændelse 812")
    assert shown.now == f"{PATH}?job=A"
    assert [one.text for one in shown.steps] == [
        "hændelsen før",
        "et døgn før",
        "en time før",
        "en time efter",
        "et døgn efter",
        "hændelsen efter",
    ]
    assert shown.steps[0].href == f"{PATH}?job=A&asOf=811"


def test_no_step_leads_beyond_now_or_before_the_first_event() -> None:
    first = msgspec.structs.replace(THEN, moment=Moment(1, NOW - timedelta(minutes=30)))
    steps = moment.shown(first, PATH, [], 1, DA.as_of(first.moment.time)).steps
    assert [one.text for one in steps] == ["et døgn før", "en time før"]


def test_spans_end_at_the_moment_and_today_is_the_readers() -> None:
    then = DA.as_of(THEN.moment.time)
    assert then.now == THEN.moment.time
    assert then.moment(THEN.moment.time) == "I går 14:30"
    assert then.as_of(copenhagen(2025, 12, 1)).today == NOW


def test_the_chooser_begins_where_the_reader_is() -> None:
    chooser = moment.chooser(THEN, PATH, QUERY, 3, 900, DA.as_of(THEN.moment.time))
    assert (chooser.local, chooser.first, chooser.chosen, chooser.last) == ("2025-12-09T14:30:00", 3, 812, 900)
    assert chooser.kept == (("job", "A"),)
    now = moment.chooser(None, PATH, [], 1, 0, DA)
    assert (now.first, now.chosen, now.last, now.local) == (1, 1, 1, "2025-12-10T15:00:00")


@pytest.mark.parametrize(
    ("asked", "given", "said"),
    [
        ("1", {"too_early": True, "first": None}, "Nothing has happened yet."),
        ("1", {"too_early": True, "first": NOW}, "“1” is before the first event (Today 15:00:00)."),
        ("901", {"too_early": False, "first": None}, "There is no event 901 yet: the history stands at event 900."),
        ("2026-01-01T00:00", {"too_early": False, "first": None}, "“2026-01-01T00:00” is still to come."),
        (
            "x" * 90,
            {"too_early": False, "first": None},
            f"“{'x' * 80}” is neither a date and time nor the number of an event.",
        ),
    ],
)
def test_why_a_moment_cant_be_shown_is_said(asked: str, given: dict, said: str) -> None:  # type: ignore[type-arg]
    assert moment.refused(asked, **given, last=900, voice=EN) == said
