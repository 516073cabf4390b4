"""The slots of a schedule, against a brute-force oracle that walks through time minute by minute."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kronik.events import Schedule

from services.infra.slots import InvalidSchedule, check, next_slots, slots

MINUTE = timedelta(minutes=1)
COPENHAGEN = "Europe/Copenhagen"
SPRING = date(2026, 3, 29)
AUTUMN = date(2026, 10, 25)

# Zone, and a day on which its clocks change, some in odd ways.
CHANGES = [
    (COPENHAGEN, SPRING),
    (COPENHAGEN, AUTUMN),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Europe/Dublin", date(2026, 3, 29)),  # its winter time is the saving one
    ("Europe/Dublin", date(2026, 10, 25)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),  # by half an hour
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Santiago", date(2026, 4, 4)),
    ("America/Santiago", date(2026, 9, 6)),  # from 24:00 to 01:00
    ("Africa/Cairo", date(2026, 4, 24)),  # from 00:00 to 01:00
    ("Africa/Cairo", date(2026, 10, 29)),
    ("Africa/Casablanca", date(2026, 2, 15)),  # by the moon
    ("Africa/Casablanca", date(2026, 3, 22)),
    ("Atlantic/Azores", date(2026, 3, 29)),  # 00:00 to 01:00
    ("Antarctica/Troll", date(2026, 3, 29)),  # by two hours
    ("Antarctica/Troll", date(2026, 10, 25)),
    ("Pacific/Apia", date(2011, 12, 30)),  # a day that never was
    ("Pacific/Chatham", date(2026, 4, 5)),
    ("Asia/Pyongyang", date(2018, 5, 4)),  # for good
]

EXPRESSIONS = [
    "0 2 * * *",
    "30 2 * * *",
    "0,30 2 * * *",
    "*/15 2 * * *",
    "30 1-3 * * *",
    "0 0-23 * * *",
    "15 0 * * *",
    "5,55 23,0,1 * * *",
    "0 * * * *",
    "*/15 * * * *",
    "20 */2 * * *",
    "45 */1 * * 0",
    "0 2 1,29 * 6",
    "7 3 25-29 3,10 *",
]


def at(expression: str, tz: str = COPENHAGEN) -> Schedule:
    return Schedule(expression=expression, tz=tz)


def between(schedule: Schedule, first: date, last: date) -> list[datetime]:
    """The slots of some local days, both included, as local times."""
    zone = ZoneInfo(schedule.tz)
    begin = datetime.combine(first, datetime.min.time(), zone).astimezone(UTC) - MINUTE
    end = datetime.combine(last + timedelta(days=1), datetime.min.time(), zone).astimezone(UTC) - MINUTE
    return [slot.astimezone(zone) for slot in slots(schedule, begin, end)]


def oracle(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    """The same by brute force. A fixed hour: the first instant at which the wall clock has reached the time named."""
    zone = ZoneInfo(schedule.tz)
    margin = timedelta(hours=26)
    instant = after.replace(second=0, microsecond=0) - margin
    found: set[datetime] = set()
    reached = instant.astimezone(zone).replace(tzinfo=None)
    while instant <= until:
        wall = instant.astimezone(zone).replace(tzinfo=None)
        if schedule.expression.split()[1].startswith("*"):
            hits = matches(schedule.expression, wall)
        else:
            passed = [reached + MINUTE * n for n in range(1, (wall - reached) // MINUTE + 1)]
            hits = any(matches(schedule.expression, each) for each in passed)
            reached = max(reached, wall)
        if hits and after < instant:
            found.add(instant)
        instant += MINUTE
    return sorted(found)


def matches(expression: str, wall: datetime) -> bool:
    minute, hour, day, month, weekday = expression.split()
    if not (wall.minute in named(minute, 0, 59) and wall.hour in named(hour, 0, 23)):
        return False
    if wall.month not in named(month, 1, 12):
        return False
    by_day = wall.day in named(day, 1, 31)
    by_weekday = wall.isoweekday() % 7 in {value % 7 for value in named(weekday, 0, 6)}
    if not day.startswith("*") and not weekday.startswith("*"):
        return by_day or by_weekday
    return by_day and by_weekday


@cache
def named(field: str, low: int, high: int) -> frozenset[int]:
    values: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        begin = low if span == "*" else int(first)
        end = high if span == "*" or (step and not last) else int(last or first)
        values.update(range(begin, end + 1, int(step or 1)))
    return frozenset(values)


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize(("tz", "day"), CHANGES, ids=lambda value: str(value))
def test_on_the_days_that_clocks_change_slots_are_what_the_oracle_says(expression: str, tz: str, day: date) -> None:
    after = datetime.combine(day, datetime.min.time(), UTC) - timedelta(hours=30)
    until = after + timedelta(hours=72)
    schedule = at(expression, tz)
    assert list(slots(schedule, after, until)) == oracle(schedule, after, until)


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    value = st.integers(low, high)
    step = st.integers(1, high - low)
    spans = st.tuples(value, value).filter(lambda pair: pair[0] < pair[1])
    item = st.one_of(
        value.map(str),
        spans.map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.tuples(spans, step).map(lambda pair: f"{pair[0][0]}-{pair[0][1]}/{pair[1]}"),
        step.map(lambda n: f"*/{n}"),
        st.tuples(value, step).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    )
    return st.one_of(st.just("*"), st.lists(item, min_size=1, max_size=3).map(",".join))


expressions = st.builds(
    lambda minute, hour, day, month, weekday: f"{minute} {hour} {day} {month} {weekday}",
    fields(0, 59),
    fields(0, 23),
    st.one_of(st.just("*"), fields(1, 31)),
    st.one_of(st.just("*"), fields(1, 12)),
    st.one_of(st.just("*"), fields(0, 6)),
)
instants = st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(expressions, st.sampled_from(sorted({tz for tz, _ in CHANGES})), instants, st.data())
@settings(max_examples=150, deadline=None)
def test_any_expression_in_any_zone_has_the_slots_of_the_oracle(
    expression: str, tz: str, after: datetime, data: st.DataObject
) -> None:
    if data.draw(st.booleans(), "near a change"):
        day = data.draw(st.sampled_from([day for zone, day in CHANGES if zone == tz]))
        after = datetime.combine(day, after.timetz())
    schedule = at(expression, tz)
    try:
        check(expression, tz)
    except InvalidSchedule:
        assume(False)
    until = after + timedelta(hours=data.draw(st.integers(0, 40)))
    assert list(slots(schedule, after, until)) == oracle(schedule, after, until)


@given(expressions, st.sampled_from(sorted({tz for tz, _ in CHANGES})), instants)
@settings(max_examples=100, deadline=None)
def test_slots_ascend_and_can_be_taken_up_anywhere(expression: str, tz: str, after: datetime) -> None:
    schedule = at(expression, tz)
    try:
        found = next_slots(schedule, after, 12)
    except InvalidSchedule:
        assume(False)
    assert all(earlier < later for earlier, later in pairwise([after, *found]))
    for taken, slot in enumerate(found[:-1], start=1):
        assert next_slots(schedule, slot, 12 - taken) == found[taken:]


@pytest.mark.parametrize(
    ("expression", "day", "expected"),
    [
        ("0 2 * * *", SPRING, ["03:00"]),
        ("30 2 * * *", SPRING, ["03:00"]),
        ("*/15 2 * * *", SPRING, ["03:00"]),
        ("30 1-3 * * *", SPRING, ["01:30", "03:00", "03:30"]),
        ("0 * * * 0", SPRING, [f"{hour:02}:00" for hour in range(24) if hour != 2]),
        ("0 2 * * *", AUTUMN, ["02:00"]),
        ("30 2 * * *", AUTUMN, ["02:30"]),
        ("30 */1 * * *", AUTUMN, ["00:30", "01:30", "02:30", "02:30", *(f"{hour:02}:30" for hour in range(3, 24))]),
    ],
)
def test_copenhagen_when_the_clocks_change(expression: str, day: date, expected: list[str]) -> None:
    found = between(at(expression), day, day)
    assert [f"{slot:%H:%M}" for slot in found] == expected


def test_the_autumn_slot_is_the_first_of_the_two() -> None:
    (slot,) = between(at("30 2 * * *"), AUTUMN, AUTUMN)
    assert slot.astimezone(UTC) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_a_year_of_a_daily_job_has_one_slot_for_each_day() -> None:
    found = between(at("30 2 * * *"), date(2026, 1, 1), date(2026, 12, 31))
    assert [slot.date() for slot in found] == [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]


def test_a_slot_that_a_midnight_gap_swallows_fires_when_the_day_begins() -> None:
    (slot,) = between(at("0 0 * * *", "America/Santiago"), date(2026, 9, 6), date(2026, 9, 6))
    assert f"{slot:%d %H:%M}" == "06 01:00"


def test_the_interval_is_open_at_its_begin_and_closed_at_its_end() -> None:
    one, two = datetime(2026, 1, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 2, tzinfo=UTC)
    assert list(slots(at("0 * * * *", "UTC"), one, two)) == [two]


def test_within_the_second_pass_of_a_fold_only_its_rest_is_to_come() -> None:
    after = datetime(2026, 10, 25, 1, 20, tzinfo=UTC)  # 02:20 for the second time
    found = list(slots(at("*/15 * * * *"), after, after + timedelta(minutes=45)))
    assert found == [datetime(2026, 10, 25, 1, 30 + n, tzinfo=UTC) for n in (0, 15)] + [
        datetime(2026, 10, 25, 2, 0, tzinfo=UTC)
    ]


def test_leap_days_are_found_over_the_gap_of_2100() -> None:
    found = next_slots(at("0 0 29 2 *", "UTC"), datetime(2093, 1, 1, tzinfo=UTC), 2)
    assert [slot.year for slot in found] == [2096, 2104]


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "has 0 fields; exactly five"),
        ("* * * *", "has 4 fields"),
        ("* * * * * *", "has 6 fields"),
        ("0 0 * * * 2026 1", "has 7 fields"),
        ("H * * * *", "minute 'H'"),
        ("R * * * *", "minute 'R'"),
        ("R(0-30) * * * *", "only digits"),
        ("@daily", "only digits"),
        ("0\t2 * * *", "only digits"),
        ("٣ * * * *", "only digits"),
        ("0 0 ? * *", "only digits"),
        ("60 * * * *", "minute '60' is not valid: allowed are 0 to 59"),
        ("0 24 * * *", "hour '24'"),
        ("0 0 0 * *", "day of month '0'"),
        ("0 0 * 13 *", "month '13'"),
        ("0 0 * FOO *", "month 'FOO' is not valid: allowed are 1 to 12 or JAN to DEC"),
        ("0 0 * * 8", "weekday '8'"),
        ("0 0 * JAN,,MAR *", "month ''"),
        ("*/100 * * * *", "a step must be 1 to 59"),
        ("*/60 * * * *", "a step must be 1 to 59"),
        ("*/0 * * * *", "a step must be 1 to 59"),
        ("0 5-5 * * *", "a range must ascend"),
        ("0 22-2 * * *", "a range must ascend"),
        ("0 0 * * FRI-MON", "a range must ascend"),
        ("0 0 15W * *", "day of month '15W'"),
        ("0 0 1 * 5#2", "can't be combined with a day of month"),
        ("0 0 * * 5#2,1", "can't be read"),
        ("0 0 31 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        ("x" * 200_000, "at most 128"),
        ("0," * 64 + "0 * * * *", "at most 128"),
    ],
)
def test_what_is_refused_and_why(expression: str, says: str) -> None:
    with pytest.raises(InvalidSchedule, match=r"^expression: ") as refusal:
        check(expression, "UTC")
    assert says in str(refusal.value)
    assert refusal.value.field == "expression"


@pytest.mark.parametrize("tz", ["", "Europe", "Mars/Olympus", "../etc/passwd", "localtime", "Europe/Copenhagen\0"])
def test_an_unknown_zone_is_refused(tz: str) -> None:
    with pytest.raises(InvalidSchedule, match=r"^tz: ") as refusal:
        check("* * * * *", tz)
    assert refusal.value.field == "tz"


def test_a_mistyped_zone_gets_a_hint() -> None:
    with pytest.raises(InvalidSchedule, match="did you mean Europe/Copenhagen"):
        check("* * * * *", "Europe/Copenhagn")


@pytest.mark.parametrize(
    "expression", ["0 2 * * *", "0 0 29 2 *", "0 0 31 2 MON", "0 0 L * *", "0 0 * * L5", "0 0 * * fri#2", "0 0 * * 5-7"]
)
def test_what_is_allowed(expression: str) -> None:
    check(expression, COPENHAGEN)


@pytest.mark.parametrize("expression", ["0 0 * * FRI-SUN", "0 0 * * 5-7", "0 0 * * 0,5,6", "0 0 * * sun,fri,sat"])
def test_sunday_can_end_a_range(expression: str) -> None:
    found = between(at(expression), date(2026, 1, 1), date(2026, 1, 31))
    assert {slot.isoweekday() for slot in found} == {5, 6, 7}


@given(st.text(max_size=200), st.text(max_size=20))
@settings(max_examples=300, deadline=None)
def test_no_text_raises_anything_else(expression: str, tz: str) -> None:
    for zone in (tz, "UTC"):
        try:
            check(expression, zone)
        except InvalidSchedule:
            continue


@given(st.lists(st.text("0123456789*/,-#LMONSUJAW?", max_size=8), min_size=5, max_size=5).map(" ".join))
@settings(max_examples=500, deadline=None)
def test_what_is_accepted_has_slots(expression: str) -> None:
    try:
        check(expression, "UTC")
    except InvalidSchedule:
        return
    assert next_slots(at(expression, "UTC"), datetime(2026, 1, 1, tzinfo=UTC), 1)
