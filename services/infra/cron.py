"""A cron expression, read once into what it means: its slots and its words are both made of that. Pure.

The dialect is `docs/schedules.md`. croniter is only ever given what `Cron.for_croniter` writes: plain lists of numbers.
"""

import re
from functools import lru_cache
from typing import Final, Literal

from kronik import KronikError
from msgspec import Struct

EXPRESSION_LIMIT: Final = 128
"""Characters. croniter burns most of a second on an expression of 200 kB."""


class InvalidSchedule(KronikError):
    """A schedule that can't work. field: `expression` or `tz`; the message says what is allowed."""

    def __init__(self, field: Literal["expression", "tz"], problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class Cron(Struct, frozen=True):
    """What an expression means. Every tuple ascends and names each value once; weekdays begin with 0, Sunday.

    days, weekdays: None where the field is no restriction. last_day: the last day of the month besides.
    nth: (weekday, which one of the month), 0 for its last one; None where plain weekdays are named.
    either: a day that one of the two fields names suffices; else both must hold.
    elapsed: goes by elapsed time, so twice through an hour that comes twice; else once a day at each time.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...] | None
    last_day: bool
    months: tuple[int, ...]
    weekdays: tuple[int, ...] | None
    nth: tuple[tuple[int, int], ...] | None
    either: bool
    elapsed: bool

    @property
    def for_croniter(self) -> str:
        days = [*map(str, self.days or ()), *(["L"] if self.last_day else [])]
        minutes, hours, months = _numbers(self.minutes, 60), _numbers(self.hours, 24), _numbers(self.months, 12)
        weekdays = [f"{day}#{n}" if n else f"L{day}" for day, n in self.nth or ()] or [*map(str, self.weekdays or ())]
        fields = (minutes, hours, days, months, weekdays)
        return " ".join(",".join(field) or "*" for field in fields)


class _Field(Struct, frozen=True):
    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()
    special: str = r"(?!)"

    @property
    def values(self) -> range:
        """A weekday can be written 0 to 7; what a star and an open step go through are the seven of them."""
        return range(self.low, min(self.high, 6) + 1) if self.words == _WEEKDAYS else range(self.low, self.high + 1)


_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31, special="L"),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 7, _WEEKDAYS, special=rf"L(?:[0-7])|(?:[0-7]|{'|'.join(_WEEKDAYS)})#[1-5]"),
)
_PLAIN = re.compile(r"[0-9A-Z*/,#\- ]*")
_ITEM = re.compile(r"(?:(?P<star>\*)|(?P<low>\d{1,2}|[A-Z]{3})(?:-(?P<high>\d{1,2}|[A-Z]{3}))?)(?:/(?P<step>\d{1,3}))?")
_LONGEST_MONTH: Final = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
_SHORTHANDS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@lru_cache(maxsize=16_384)
def parse(expression: str) -> Cron:
    """Raises InvalidSchedule for what is not the dialect, and for what never fires."""
    texts = _split(expression)
    minutes, hours, days, months, weekdays = (
        _plain_values(field, text) for field, text in zip(_FIELDS, texts, strict=True)
    )
    _check_special_days(texts)
    nth = _nth(texts[4])
    last_day = "L" in texts[2].split(",")
    by_day = not texts[2].startswith("*") and (last_day or days != _all(2))
    by_weekday = not texts[4].startswith("*") and (nth is not None or weekdays != _all(4))
    either = not texts[2].startswith("*") and not texts[4].startswith("*")
    every_day = either and not (by_day and by_weekday)
    cron = Cron(
        minutes=minutes,
        hours=hours,
        days=None if every_day or (days == _all(2)) else days,
        last_day=last_day and not every_day and days != _all(2),
        months=months,
        weekdays=None if every_day or nth is not None or weekdays == _all(4) else weekdays,
        nth=None if every_day else nth,
        either=either and not every_day,
        elapsed=texts[1].startswith("*"),
    )
    if not _can_fire(cron):
        raise _invalid(f"{expression!r} never fires: no month that it names has such a day")
    return cron


def _split(expression: str) -> list[str]:
    if len(expression) > EXPRESSION_LIMIT:
        raise _invalid(f"{len(expression)} characters; at most {EXPRESSION_LIMIT} are allowed")
    if instead := _SHORTHANDS.get(expression.strip().lower()):
        raise _invalid(f"{expression!r}: only digits, names and * / , - # are allowed; write {instead!r}")
    if not _PLAIN.fullmatch(expression.upper()):
        raise _invalid(f"{expression!r}: only digits, names such as MON or JAN, and * / , - # are allowed")
    texts = expression.upper().split()
    if len(texts) != len(_FIELDS):
        raise _invalid(
            f"{expression!r} has {len(texts)} fields; exactly five are allowed: minute hour day-of-month month weekday"
        )
    return texts


def _all(field: int) -> tuple[int, ...]:
    return tuple(_FIELDS[field].values)


def _plain_values(field: _Field, text: str) -> tuple[int, ...]:
    """All that the field names besides its special items, ascending."""
    found: set[int] = set()
    for item in text.split(","):
        if not re.fullmatch(field.special, item):
            found.update(_values(field, item))
    return tuple(sorted(found))


def _values(field: _Field, item: str) -> list[int]:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise _bad(field, item, _allowed(field))
    step = int(match["step"] or 1)
    if not 1 <= step <= field.high - field.low:
        raise _bad(field, item, f"a step must be 1 to {field.high - field.low}")
    if match["star"]:
        return list(field.values)[::step]
    low = _value(field, match["low"], item)
    if match["high"] is None:
        return (
            list(range(low % 7 if field.high == 7 else low, field.values[-1] + 1, step))
            if match["step"]
            else [low % 7 if field.high == 7 else low]
        )
    high = _value(field, match["high"], item)
    if field.high == 7 and high == 0 < low:
        high = 7
    if low >= high:
        raise _bad(field, item, f"a range must ascend; {_instead(field, low, high, match['step'])}")
    values = range(low, high + 1, step)
    return [value % 7 for value in values] if field.high == 7 else list(values)


def _instead(field: _Field, low: int, high: int, step: str | None) -> str:
    """How a range over the field's end is written."""
    if low == high:
        return f"write {low}"
    if step:
        return "write several, separated by commas"
    first, last = field.values[0], field.values[-1]
    parts = (f"{low}-{last}" if low < last else str(low), f"{first}-{high}" if first < high else str(first))
    return f"write {','.join(parts)}"


def _value(field: _Field, text: str, item: str) -> int:
    if text in field.words:
        return field.words.index(text) + field.low
    if not text.isdigit() or not field.low <= int(text) <= field.high:
        raise _bad(field, item, _allowed(field))
    return int(text)


def _nth(text: str) -> tuple[tuple[int, int], ...] | None:
    """The items `MON#2` and `L5`, as (weekday, which one; 0 for the last)."""
    found = set()
    for item in text.split(","):
        if "#" in item:
            day, _, n = item.partition("#")
            found.add((_value(_FIELDS[4], day, item) % 7, int(n)))
        elif re.fullmatch(r"L[0-7]", item):
            found.add((int(item[1:]) % 7, 0))
    return tuple(sorted(found, key=lambda each: (each[0], each[1] or 6))) or None


def _check_special_days(texts: list[str]) -> None:
    special = [item for item in texts[4].split(",") if "#" in item or re.fullmatch(r"L[0-7]", item)]
    if not special:
        return
    if len(special) != len(texts[4].split(",")):
        raise _invalid(f"weekday {texts[4]!r} can't be read: {special[0]!r} can't stand beside plain weekdays")
    if texts[2] not in ("*", "*/1"):
        raise _invalid(f"weekday {texts[4]!r} can't be combined with a day of month; set the day of month to *")


def _can_fire(cron: Cron) -> bool:
    if cron.last_day or cron.days is None or (cron.either and (cron.weekdays or cron.nth)):
        return True
    return any(cron.days[0] <= _LONGEST_MONTH.get(month, 31) for month in cron.months)


def _allowed(field: _Field) -> str:
    words = f" or {field.words[0]} to {field.words[-1]}" if field.words else ""
    return f"allowed are {field.low} to {field.high}{words}, *, ranges a-b, lists a,b and steps */n"


def _numbers(values: tuple[int, ...], all: int) -> list[str]:
    """None for all of them, which is `*`."""
    return [] if len(values) == all else [str(value) for value in values]


def _bad(field: _Field, item: str, allowed: str) -> InvalidSchedule:
    return _invalid(f"{field.name} {item!r} is not valid: {allowed}")


def _invalid(problem: str) -> InvalidSchedule:
    return InvalidSchedule("expression", problem)
