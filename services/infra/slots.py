"""The slots of a schedule: the instants at which its cron expression says that the job runs.

A fixed hour (`30 2 * * *`) fires exactly once on every day it names: in the spring gap at the first
instant after it, in the autumn fold at the first of the two; slots that the gap pushes onto one
instant are one slot. An hour field that starts with `*` (`*/15 * * * *`) goes by elapsed time: it fires
whenever the wall clock matches, so not in the gap and twice in the fold. With both a day of
month and a weekday restricted, either suffices, as in every cron.

croniter finds the wall-clock times; where they lie in time is decided here, because croniter fires
a fixed hour twice in the fold.
"""

import difflib
import re
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import islice
from typing import Final, Literal
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, CroniterError, croniter
from kronik import KronikError
from kronik.events import Schedule
from msgspec import Struct

EXPRESSION_LIMIT: Final = 128
"""Characters. croniter burns most of a second on an expression of 200 kB."""


class InvalidSchedule(KronikError):
    """A schedule that can't work. field: `expression` or `tz`; the message says what is allowed."""

    def __init__(self, field: Literal["expression", "tz"], problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class _Field(Struct, frozen=True):
    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()
    special: str = r"(?!)"


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31, special="L"),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 7, _WEEKDAYS, special=rf"L[0-7]|(?:[0-7]|{'|'.join(_WEEKDAYS)})#[1-5]"),
)
_PLAIN = re.compile(r"[0-9A-Z*/,#\- ]*")
_ITEM = re.compile(r"(?:(?P<star>\*)|(?P<low>\d{1,2}|[A-Z]{3})(?:-(?P<high>\d{1,2}|[A-Z]{3}))?)(?:/(?P<step>\d{1,3}))?")
_SOME_DAY = datetime(2026, 1, 1)  # noqa: DTZ001  wall-clock time
_MINUTE = timedelta(minutes=1)


@lru_cache(maxsize=1024)
def check(expression: str, tz: str) -> None:
    """Raises InvalidSchedule for what `slots` could not work with, and for what never fires."""
    _check_zone(tz)
    if len(expression) > EXPRESSION_LIMIT:
        raise _invalid(f"{len(expression)} characters; at most {EXPRESSION_LIMIT} are allowed")
    if not _PLAIN.fullmatch(expression.upper()):
        raise _invalid(f"{expression!r}: only digits, names such as MON or JAN, and * / , - # are allowed")
    fields = expression.upper().split()
    if len(fields) != len(_FIELDS):
        raise _invalid(
            f"{expression!r} has {len(fields)} fields; exactly five are allowed: minute hour day-of-month month weekday"
        )
    for field, text in zip(_FIELDS, fields, strict=True):
        _check_field(field, text)
    _check_special_days(fields)
    _check_fires(expression)


def slots(schedule: Schedule, after: datetime, until: datetime) -> Iterator[datetime]:
    """The slots in (after, until], ascending, UTC, found one by one. Raises InvalidSchedule."""
    for slot in slots_after(schedule, after):
        if slot > until:
            return
        yield slot


def next_slots(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """The first `count` slots after an instant, UTC; fewer where the calendar has no more. Raises InvalidSchedule."""
    return list(islice(slots_after(schedule, after), count))


def slots_after(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """All slots after an instant, ascending, UTC, found one by one. Raises InvalidSchedule."""
    check(schedule.expression, schedule.tz)
    zone = ZoneInfo(schedule.tz)
    elapsed = schedule.expression.split()[1].startswith("*")
    place = _by_elapsed_time if elapsed else _once_a_day
    last = after
    for slot in place(_wall_times(schedule.expression, _first_wall_time(after, zone)), zone):
        if slot > last:
            last = slot
            yield slot


def _first_wall_time(after: datetime, zone: ZoneInfo) -> datetime:
    """Where to begin to look: within a fold at its begin, for its second pass may be still to come."""
    local = after.astimezone(zone)
    back = max(local.replace(fold=0).utcoffset() - local.replace(fold=1).utcoffset(), timedelta(0))  # type: ignore[operator]
    return local.replace(tzinfo=None, second=0, microsecond=0) - back


def _wall_times(expression: str, after: datetime) -> Iterator[datetime]:
    """What the expression matches on a wall clock that no zone disturbs; ends with the calendar."""
    matches = croniter(expression, after)
    while True:
        try:
            yield matches.get_next(datetime)
        except (CroniterBadDateError, OverflowError, ValueError):
            return


def _once_a_day(wall_times: Iterator[datetime], zone: ZoneInfo) -> Iterator[datetime]:
    for wall in wall_times:
        first = _first(wall, zone)
        yield first if _exists(wall, first, zone) else _end_of_gap(wall, zone)


def _by_elapsed_time(wall_times: Iterator[datetime], zone: ZoneInfo) -> Iterator[datetime]:
    """The second pass through a fold comes after all of the first pass."""
    second_pass: list[datetime] = []
    for wall in wall_times:
        first, second = _first(wall, zone), _second(wall, zone)
        if not _exists(wall, first, zone):
            continue
        if first == second:
            yield from second_pass
            second_pass.clear()
        else:
            second_pass.append(second)
        yield first


def _first(wall: datetime, zone: ZoneInfo) -> datetime:
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def _second(wall: datetime, zone: ZoneInfo) -> datetime:
    return wall.replace(tzinfo=zone, fold=1).astimezone(UTC)


def _exists(wall: datetime, instant: datetime, zone: ZoneInfo) -> bool:
    return instant.astimezone(zone).replace(tzinfo=None) == wall


def _end_of_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant after the gap that swallowed a wall time: the offset changes there (PEP 495)."""
    before, after = _second(wall, zone), _first(wall, zone)
    old = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after


@cache
def zones() -> frozenset[str]:
    """The names that `tz` may have."""
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})


def _check_zone(tz: str) -> None:
    if tz in zones():
        return
    near = difflib.get_close_matches(tz[:64], zones(), 1, 0.7)
    hint = f"; did you mean {near[0]}?" if near else "; it must be an IANA zone such as Europe/Copenhagen or UTC"
    raise InvalidSchedule("tz", f"{tz[:64]!r} is not a known time zone{hint}")


def _check_field(field: _Field, text: str) -> None:
    for item in text.split(","):
        if not re.fullmatch(field.special, item):
            _check_item(field, item)


def _check_item(field: _Field, item: str) -> None:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise _bad(field, item, _allowed(field))
    if match["step"] and not 1 <= int(match["step"]) <= field.high - field.low:
        raise _bad(field, item, f"a step must be 1 to {field.high - field.low}")
    if match["star"]:
        return
    low = _value(field, match["low"], item)
    if match["high"]:
        high = _value(field, match["high"], item)
        sunday_ends_it = field.high == 7 and high == 0
        if low >= high and not (sunday_ends_it and low > 0):
            raise _bad(field, item, "a range must ascend; write several, separated by commas")


def _value(field: _Field, text: str, item: str) -> int:
    if text in field.words:
        return field.words.index(text) + field.low
    if not text.isdigit() or not field.low <= int(text) <= field.high:
        raise _bad(field, item, _allowed(field))
    return int(text)


def _allowed(field: _Field) -> str:
    words = f" or {field.words[0]} to {field.words[-1]}" if field.words else ""
    return f"allowed are {field.low} to {field.high}{words}, *, ranges a-b, lists a,b and steps */n"


def _check_special_days(fields: list[str]) -> None:
    """croniter would demand both, not either, which nobody expects."""
    if ("#" in fields[4] or "L" in fields[4]) and fields[2] != "*":
        raise _invalid(f"weekday {fields[4]!r} can't be combined with a day of month; set the day of month to *")


def _check_fires(expression: str) -> None:
    try:
        croniter(expression, _SOME_DAY).get_next(datetime)
    except CroniterBadDateError:
        raise _invalid(f"{expression!r} never fires: no month that it names has such a day") from None
    except CroniterError as error:
        raise _invalid(f"{expression!r} can't be read: {error}") from error


def _bad(field: _Field, item: str, allowed: str) -> InvalidSchedule:
    return _invalid(f"{field.name} {item!r} is not valid: {allowed}")


def _invalid(problem: str) -> InvalidSchedule:
    return InvalidSchedule("expression", problem)
