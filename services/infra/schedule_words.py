"""A schedule in the words of the panel: `Kl. 02:00`, `1. hver md kl. 04:00`, `Every 15 minutes`. Pure.

Said is what the expression means (cron.Cron), not how it is written, so the same words never mean other slots: each
part below is a different text for each different meaning of it. What goes by elapsed time begins with `Every`, what
comes once a day at each time with its times.
"""

from collections.abc import Sequence
from typing import Final, Literal

from babel.dates import get_day_names, get_month_names
from kronik.events import Schedule

from services.infra.cron import Cron, InvalidSchedule, parse

Language = Literal["da", "en"]
HOME_ZONE: Final = "Europe/Copenhagen"

_TIMES_LISTED: Final = 6
_WORDS: Final[dict[Language, dict[str, str]]] = {
    "da": {
        "manual": "Manuel",
        "and": "og",
        "to": "til",
        "at": "kl. {times}",
        "hours": "{minutes} i timerne {hours}",
        "hour": "{minutes} i timen {hours}",
        "minute_every": "hvert minut",
        "minutes_every": "hvert {n}. minut",
        "minutes_at": "minut {minutes}",
        "days_every": "1. og hver {n}. dag derfra",
        "every_minute": "Hvert minut",
        "every_minutes": "Hvert {n}. minut",
        "every_hour": "Hver time",
        "every_hour_at": "Hver time, minut {minutes}",
        "every_hours": "Hver {n}. time, minut {minutes}",
        "every_in": "Hver gang minuttet er {minutes}, i timerne {hours}",
        "weekdays": "hverdage",
        "weekend": "weekender",
        "each": "{day}",
        "monthly": "{days} hver md",
        "in_months": "{days} i {months}",
        "only_in": "i {months}",
        "last_day": "sidste dag",
        "or": "{one} samt {other}",
        "on_days": "{weekdays} den {days}",
        "nth": "{n} {day} i måneden",
        "first": "første,anden,tredje,fjerde,femte,sidste",
    },
    "en": {
        "manual": "Manual",
        "and": "and",
        "to": "to",
        "at": "at {times}",
        "hours": "{minutes} of hours {hours}",
        "hour": "{minutes} of hour {hours}",
        "minute_every": "every minute",
        "minutes_every": "every {n} minutes",
        "minutes_at": "at minute {minutes}",
        "days_every": "1st and every {n} days from it",
        "every_minute": "Every minute",
        "every_minutes": "Every {n} minutes",
        "every_hour": "Every hour",
        "every_hour_at": "Every hour at minute {minutes}",
        "every_hours": "Every {n} hours at minute {minutes}",
        "every_in": "Every time the minute is {minutes}, in hours {hours}",
        "weekdays": "weekdays",
        "weekend": "weekends",
        "each": "{day}s",
        "monthly": "{days} of every month",
        "in_months": "{days} of {months}",
        "only_in": "in {months}",
        "last_day": "last day",
        "or": "{one} and also {other}",
        "on_days": "{weekdays} on the {days}",
        "nth": "{n} {day} of the month",
        "first": "first,second,third,fourth,fifth,last",
    },
}


def in_words(schedule: Schedule | None, language: Language, home: str = HOME_ZONE) -> str:
    """The schedule for people. None is by hand; a zone other than `home` is named where it makes a difference."""
    if schedule is None:
        return _WORDS[language]["manual"]
    try:
        cron = parse(schedule.expression)
    except InvalidSchedule:
        return f"{schedule.expression} ({schedule.tz})"
    said = cron_in_words(cron, language)
    return said if schedule.tz == home or _is_the_same_everywhere(cron) else f"{said} ({schedule.tz})"


def cron_in_words(cron: Cron, language: Language) -> str:
    """All that the expression means but its zone."""
    days, time = _days(cron, language), _time(cron, language)
    if not days:
        return _capital(time)
    return _capital(f"{time}, {days}" if cron.elapsed else f"{days} {time}")


def _is_the_same_everywhere(cron: Cron) -> bool:
    """Zones lie whole quarters of an hour apart."""
    step = _step(cron.minutes, 60)
    return cron.elapsed and len(cron.hours) == 24 and not _restricts_days(cron) and step is not None and 15 % step == 0


def _restricts_days(cron: Cron) -> bool:
    days = cron.days is not None or cron.last_day
    return days or cron.weekdays is not None or cron.nth is not None or len(cron.months) < 12


def _step(values: Sequence[int], span: int) -> int | None:
    """n, where the values are every n-th from 0 on, without a shorter gap at the end."""
    step = span // len(values)
    return step if tuple(values) == tuple(range(0, span, step)) and span % step == 0 else None


def _time(cron: Cron, language: Language) -> str:
    words = _WORDS[language]
    minutes, hours = _ranges(cron.minutes, words), _ranges(cron.hours, words)
    if not cron.elapsed:
        times = [f"{hour:02}:{minute:02}" for hour in cron.hours for minute in cron.minutes]
        if len(times) <= _TIMES_LISTED:
            return words["at"].format(times=_listed(times, words))
        return words["hours" if len(cron.hours) > 1 else "hour"].format(minutes=_minutes(cron, words), hours=hours)
    if len(cron.hours) == 24:
        return _every_hour(cron, minutes, words)
    step = _step(cron.hours, 24)
    if step is not None and len(cron.hours) > 1:
        return words["every_hours"].format(n=step, minutes=minutes)
    return words["every_in"].format(minutes=minutes, hours=hours)


def _every_hour(cron: Cron, minutes: str, words: dict[str, str]) -> str:
    step = _step(cron.minutes, 60)
    if step is None:
        return words["every_hour_at"].format(minutes=minutes)
    if step == 60:
        return words["every_hour"]
    return words["every_minute"] if step == 1 else words["every_minutes"].format(n=step)


def _minutes(cron: Cron, words: dict[str, str]) -> str:
    step = _step(cron.minutes, 60)
    if step is None or step == 60:
        return words["minutes_at"].format(minutes=_ranges(cron.minutes, words))
    return words["minute_every"] if step == 1 else words["minutes_every"].format(n=step)


def _days(cron: Cron, language: Language) -> str:
    """The days and the months; nothing for every day of the year."""
    words = _WORDS[language]
    months = "" if len(cron.months) == 12 else _months(cron.months, language)
    weekdays = _weekdays(cron, language)
    if cron.days is None and not cron.last_day:
        only_in = words["only_in"].format(months=months) if months else ""
        return " ".join(filter(None, (weekdays, only_in)))
    days = _month_days(cron, language)
    of_month = words["in_months" if months else "monthly"].format(days=days, months=months)
    if not weekdays:
        return of_month
    if cron.either:
        others = f"{weekdays} {words['only_in'].format(months=months)}" if months else weekdays
        return words["or"].format(one=of_month, other=others)
    return words["on_days"].format(weekdays=weekdays, days=of_month)


def _month_days(cron: Cron, language: Language) -> str:
    words, days = _WORDS[language], cron.days or ()
    step = days[1] - 1 if len(days) > 2 else 0
    if step and not cron.last_day and days == tuple(range(1, 32, step)):
        return words["days_every"].format(n=step)
    said = _rows(days, [_ordinal(day, language) for day in days], words)
    return _listed(said + [words["last_day"]] * cron.last_day, words)


def _weekdays(cron: Cron, language: Language) -> str:
    words, names = _WORDS[language], get_day_names("wide", locale=language)
    if cron.nth is not None:
        which = words["first"].split(",")
        said = [f"{which[n - 1]} {names[(day + 6) % 7]}" for day, n in cron.nth]
        return words["nth"].format(n="", day=_listed(said, words)).strip()
    if cron.weekdays is None:
        return ""
    if cron.weekdays in ((1, 2, 3, 4, 5), (0, 6)):
        return words["weekdays" if len(cron.weekdays) == 5 else "weekend"]
    from_monday = sorted((day + 6) % 7 for day in cron.weekdays)
    return _listed(_rows(from_monday, [words["each"].format(day=names[day]) for day in from_monday], words), words)


def _months(months: Sequence[int], language: Language) -> str:
    names = get_month_names("wide", locale=language)
    return _listed(_rows(months, [str(names[month]) for month in months], _WORDS[language]), _WORDS[language])


def _ranges(values: Sequence[int], words: dict[str, str]) -> str:
    """`0, 15 and 30 to 45`"""
    return _listed(_rows(values, [str(value) for value in values], words), words)


def _rows(values: Sequence[int], said: Sequence[str], words: dict[str, str]) -> list[str]:
    """What is said of each value; three and more in a row as a range."""
    parts: list[str] = []
    begin = 0
    for end in range(1, len(values) + 1):
        if end < len(values) and values[end] == values[end - 1] + 1:
            continue
        row = said[begin:end]
        parts += [f"{row[0]} {words['to']} {row[-1]}"] if len(row) > 2 else row
        begin = end
    return parts


def _listed(parts: Sequence[str], words: dict[str, str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} {words['and']} {last}" if most else last


def _ordinal(day: int, language: Language) -> str:
    if language == "da":
        return f"{day}."
    ending = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
