"""A schedule in the words of the panel: `Kl. 02:00`, `1. hver md kl. 04:00`, `Every 15 minutes`."""

import re
from typing import Final, Literal

from babel.dates import get_day_names, get_month_names
from cron_descriptor import ExpressionDescriptor, Options  # type: ignore[import-untyped]
from cron_descriptor.Exception import FormatException  # type: ignore[import-untyped]
from kronik.events import Schedule

Language = Literal["da", "en"]
HOME_ZONE: Final = "Europe/Copenhagen"

_LOCALE: Final = {"da": "da_DK", "en": "en_US"}
_WORDS: Final[dict[Language, dict[str, str]]] = {
    "da": {
        "manual": "Manuel",
        "and": "og",
        "daily": "Kl. {times}",
        "weekly": "{days} kl. {times}",
        "weekdays": "hverdage",
        "weekend": "weekender",
        "monthly": "{day}. hver md kl. {times}",
        "minute": "Hvert minut",
        "minutes": "Hvert {n}. minut",
        "hour": "Hver time",
        "hour_at": "Hver time, minut {n}",
    },
    "en": {
        "manual": "Manual",
        "and": "and",
        "daily": "At {times}",
        "weekly": "{days} at {times}",
        "weekdays": "weekdays",
        "weekend": "weekends",
        "monthly": "{day} of every month at {times}",
        "minute": "Every minute",
        "minutes": "Every {n} minutes",
        "hour": "Every hour",
        "hour_at": "Every hour at minute {n}",
    },
}


def in_words(schedule: Schedule | None, language: Language, home: str = HOME_ZONE) -> str:
    """The schedule for people. None is by hand; a zone other than `home` is named where hours are."""
    if schedule is None:
        return _WORDS[language]["manual"]
    fields = schedule.expression.upper().split()
    if len(fields) != 5:
        return f"{schedule.expression} ({schedule.tz})"
    every = _every(fields, _WORDS[language])
    if every is not None:
        return every
    said = _at_times(fields, language) or _described(schedule.expression, language)
    return said if said and schedule.tz == home else f"{said or schedule.expression} ({schedule.tz})"


def _every(fields: list[str], words: dict[str, str]) -> str | None:
    """The schedules that go by elapsed time, in any zone."""
    minute, *rest = fields
    if rest != ["*"] * 4:
        return None
    if minute in ("*", "*/1"):
        return words["minute"]
    if minute.isdigit():
        return words["hour_at"].format(n=int(minute)) if int(minute) else words["hour"]
    step = re.fullmatch(r"\*/(\d+)", minute)
    if step and 60 % int(step[1]) == 0:
        return words["minutes"].format(n=int(step[1]))
    return None


def _at_times(fields: list[str], language: Language) -> str | None:
    minute, hours, day, month, weekday = fields
    words = _WORDS[language]
    if month != "*" or not minute.isdigit() or not re.fullmatch(r"\d+(,\d+)*", hours):
        return None
    times = _listed([f"{hour:02}:{int(minute):02}" for hour in sorted({int(h) for h in hours.split(",")})], words)
    if (day, weekday) == ("*", "*"):
        return words["daily"].format(times=times)
    if day == "*":
        days = _weekdays(weekday, language)
        return _capital(words["weekly"].format(days=days, times=times)) if days else None
    if weekday == "*" and day.isdigit():
        return words["monthly"].format(day=_ordinal(int(day), language), times=times)
    return None


def _weekdays(field: str, language: Language) -> str | None:
    words = _WORDS[language]
    if field in ("1-5", "MON-FRI"):
        return words["weekdays"]
    if field in ("0,6", "6,0", "6,7", "6-7", "SAT,SUN", "SAT-SUN", "SUN,SAT"):
        return words["weekend"]
    numbers = [_weekday_number(part) for part in field.split(",")]
    if None in numbers:
        return None
    names = get_day_names("wide", locale=language)
    every = "s" if language == "en" else ""
    return _listed([names[number] + every for number in sorted(n for n in numbers if n is not None)], words)


def _weekday_number(text: str) -> int | None:
    """0 is Monday, as Babel has it; None for what is not one weekday."""
    names = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
    number = names.index(text) if text in names else int(text) if text in set("01234567") else None
    return None if number is None else (number + 6) % 7


def _described(expression: str, language: Language) -> str | None:
    options = Options()
    options.locale_code = _LOCALE[language]
    options.use_24hour_time_format = True
    try:
        said = str(ExpressionDescriptor(expression, options).get_full_description())
    except (FormatException, ValueError, IndexError):
        return None
    return said if language == "en" else _translated(said, language)


def _translated(said: str, language: Language) -> str:
    """cron-descriptor leaves the names of days and months in the process's locale, which is English."""
    for of in (get_day_names, get_month_names):
        local = of("wide", locale=language)
        for number, name in of("wide", locale="en").items():
            said = said.replace(str(name), str(local[number]))
    return said


def _listed(parts: list[str], words: dict[str, str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} {words['and']} {last}" if most else last


def _ordinal(day: int, language: Language) -> str:
    if language == "da":
        return str(day)
    ending = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
