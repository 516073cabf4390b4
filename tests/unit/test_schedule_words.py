"""Schedules in the panel's words."""

from datetime import UTC, datetime

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kronik.events import Schedule
from msgspec.structs import replace

from services.infra import slots
from services.infra.cron import Cron, parse
from services.infra.schedule_words import cron_in_words, in_words
from tests.unit.test_slots import expressions

ZONES = ["Europe/Copenhagen", "UTC", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"]
SPECIAL = [
    "0 0 L * *",
    "0 0 1,L * *",
    "0 0 * * L5",
    "0 0 * * 5#2",
    "0 0 * * MON#1,MON#3",
    "0 0 L * MON",
    "0 0 */2 * MON",
]
RELATIVES = [
    ("0 9 */1 * MON-FRI", "0 9 * * 1-5"),
    ("0 9 1-31 * MON", "0 9 * * *"),
    ("0 0 * * 0,6", "0 0 * * SAT-SUN"),
    ("*/60 * * * *".replace("/60", "/59"), "0,59 * * * *"),
]


def test_no_schedule_is_by_hand() -> None:
    assert (in_words(None, "da"), in_words(None, "en")) == ("Manuel", "Manual")


def test_another_zone_is_named_where_it_makes_a_difference() -> None:
    assert in_words(Schedule(expression="0 2 * * *", tz="UTC"), "da") == "Kl. 02:00 (UTC)"
    assert in_words(Schedule(expression="0 2 * * *", tz="UTC"), "en", home="UTC") == "At 02:00"
    assert in_words(Schedule(expression="*/5 * * * *", tz="UTC"), "da") == "Hvert 5. minut"
    assert in_words(Schedule(expression="0 * * * *", tz="Asia/Kolkata"), "en") == "Every hour (Asia/Kolkata)"


def test_what_can_not_be_said_is_shown_as_it_is() -> None:
    for expression in ("61 * * * *", "* * * *", "@daily", ""):
        assert in_words(Schedule(expression=expression, tz="UTC"), "da") == f"{expression} (UTC)"


def test_ways_to_write_the_same_are_said_the_same() -> None:
    for one, other in RELATIVES:
        assert parse(one) == parse(other)


def _means(expression: str, tz: str) -> list[datetime]:
    schedule = Schedule(expression=expression, tz=tz)
    autumn = datetime(2026, 10, 24, tzinfo=UTC)
    return slots.next_slots(schedule, datetime(2026, 1, 30, tzinfo=UTC), 40) + slots.next_slots(schedule, autumn, 40)


whole = st.one_of(expressions, st.sampled_from(SPECIAL + [each for pair in RELATIVES for each in pair]))
_said: dict[str, tuple[str, str]] = {}


@given(st.lists(st.tuples(whole, st.sampled_from(ZONES)), min_size=2, max_size=40))
@settings(max_examples=60, deadline=None)
def test_the_same_words_never_mean_other_slots(schedules: list[tuple[str, str]]) -> None:
    """Over all that was ever said in this test: whatever shares its words with another shares its slots."""
    for expression, tz in schedules:
        try:
            slots.check(expression, tz)
        except slots.InvalidSchedule:
            assume(False)
        for language in ("da", "en"):
            words = f"{language} {in_words(Schedule(expression=expression, tz=tz), language)}"
            before = _said.setdefault(words, (expression, tz))
            if before != (expression, tz):
                assert _means(*before) == _means(expression, tz), (words, before, (expression, tz))


def _one_of_all(values: list[int], least: int = 1) -> st.SearchStrategy[tuple[int, ...]]:
    """Small sets and near neighbours, where words would be the easiest to confuse."""
    some = st.sets(st.sampled_from(values), min_size=least, max_size=5)
    rest = some.map(lambda left_out: set(values) - left_out).filter(lambda left: len(left) >= least)
    return st.one_of(some, rest, st.just(set(values))).map(lambda found: tuple(sorted(found)))


crons = st.builds(
    Cron,
    minutes=_one_of_all(list(range(0, 60, 5))),
    hours=_one_of_all(list(range(24))),
    days=st.none() | _one_of_all(list(range(1, 32))).filter(lambda days: len(days) < 31),
    last_day=st.booleans(),
    months=_one_of_all(list(range(1, 13))),
    weekdays=st.none() | _one_of_all(list(range(7))).filter(lambda days: len(days) < 7),
    nth=st.none(),
    either=st.booleans(),
    elapsed=st.booleans(),
)
_meant: dict[str, Cron] = {}


@given(crons)
@settings(max_examples=300, deadline=None)
def test_two_meanings_are_never_said_alike(cron: Cron) -> None:
    days = cron.days is not None or cron.last_day
    cron = replace(cron, days=() if cron.last_day and cron.days is None else cron.days)
    cron = replace(cron, either=cron.either and days and cron.weekdays is not None)
    for language in ("da", "en"):
        said = f"{language} {cron_in_words(cron, language)}"
        assert _meant.setdefault(said, cron) == cron, said
