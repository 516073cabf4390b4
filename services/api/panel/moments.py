"""Instants and spans as people say them, by the community's clock."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from babel.dates import format_datetime

from services.words.language import Language

ZONE: Final = ZoneInfo("Europe/Copenhagen")


def moment(instant: datetime, now: datetime, language: Language) -> str:
    """`I dag 14:30`, `I går 02:00`, `1. dec 04:00`, and with the year when it is not this one: `1. dec 2025 04:00`."""
    local, today = instant.astimezone(ZONE), now.astimezone(ZONE).date()
    day = _near((local.date() - today).days, language) or _day(local, language, with_year=local.year != today.year)
    return f"{day} {local:%H:%M}"


def _near(days: int, language: Language) -> str:
    match days:
        case 0:
            return language.text("Today")
        case -1:
            return language.text("Yesterday")
        case 1:
            return language.text("Tomorrow")
    return ""


def _day(local: datetime, language: Language, *, with_year: bool) -> str:
    """The abbreviated month without the point that Danish puts behind it, as the panel was drawn."""
    pattern = {"da": "d. MMM", "en": "d MMM"}[language.code]
    day = format_datetime(local, pattern, locale=language.locale).removesuffix(".")
    return f"{day} {local.year}" if with_year else day


def exactly(instant: datetime, language: Language) -> str:
    """To the second and with the zone: `1. december 2025 04:00:02 CET`."""
    pattern = {"da": "d. MMMM y HH:mm:ss zzz", "en": "d MMMM y HH:mm:ss zzz"}[language.code]
    return format_datetime(instant.astimezone(ZONE), pattern, locale=language.locale)


def clock(instant: datetime) -> str:
    """The time of day to the second."""
    return f"{instant.astimezone(ZONE):%H:%M:%S}"


def machine(instant: datetime) -> str:
    """For the `datetime` of a `<time>`."""
    return instant.astimezone(ZONE).isoformat(timespec="seconds")


def duration(duration_ms: int | None, language: Language) -> str:
    """`45ms`, `2.3s`, `1m 05s`, `2h 03m` (`2t 03m` in Danish); a dash where there is none."""
    if duration_ms is None:
        return "–"
    if duration_ms < 100:
        return f"{duration_ms}ms"
    if duration_ms < 59_950:
        return f"{duration_ms / 1000:.1f}s"
    minutes, seconds = divmod(round(duration_ms / 1000), 60)
    if minutes < 60:
        return f"{minutes}m {seconds:02d}s"
    hours, minutes = divmod(minutes, 60)
    unit = language.text("h")
    return f"{hours}{unit} {minutes:02d}m"
