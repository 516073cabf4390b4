"""Instants and spans as people say them. Pure: the language, the zone and the time are arguments."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

from babel.dates import format_date, format_datetime
from msgspec import Struct

from services.words.language import Language

_DAY: Final = {"da": "d. MMM", "en": "d MMM"}
_WHOLE_DAY: Final = {"da": "EEEE d. MMMM y 'kl.'", "en": "EEEE d MMMM y"}


class When(Struct, frozen=True):
    """An instant. text: as people say it. exactly: to the second, with the zone. machine: ISO 8601. clock: its time."""

    text: str
    exactly: str
    machine: str
    utc: str
    clock: str


def when(instant: datetime, now: datetime, zone: tzinfo | None, language: Language, *, seconds: bool = False) -> When:
    """seconds: said too, where two instants of a page would read the same without."""
    local = instant.astimezone(zone)
    return When(
        moment(instant, now, zone, language, seconds=seconds),
        f"{_date(local.date(), _WHOLE_DAY[language.code], language.locale)} {local:%H:%M:%S} {_zone(local, language)}",
        local.isoformat(timespec="seconds"),
        utc(instant),
        f"{local:%H:%M:%S}",
    )


def moment(instant: datetime, now: datetime, zone: tzinfo | None, language: Language, *, seconds: bool = False) -> str:
    """`I dag 14:30`, `I går 02:00`, `1. dec 04:00`, and with the year when it is not this one: `1. dec 2025 04:00`."""
    local = instant.astimezone(zone)
    return (
        f"{day(instant, now, zone, language)} {local:%H:%M:%S}"
        if seconds
        else (f"{day(instant, now, zone, language)} {local:%H:%M}")
    )


def day(instant: datetime, now: datetime, zone: tzinfo | None, language: Language) -> str:
    """The day alone: `I dag`, `1. dec`, `1. dec 2025`."""
    local, today = instant.astimezone(zone), now.astimezone(zone).date()
    near = _near((local.date() - today).days, language)
    return near or _day(local, language, with_year=local.year != today.year)


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
    said = _date(local.date(), _DAY[language.code], language.locale).removesuffix(".")
    return f"{said} {local.year}" if with_year else said


@lru_cache(maxsize=1024)
def _date(day: date, pattern: str, locale: str) -> str:
    """Babel takes a tenth of a millisecond; a page says a hundred dates, of a few days."""
    return format_date(day, pattern, locale=locale)


_zones: Final[dict[tuple[object, ...], str]] = {}
"""What a zone is called, in winter and in summer."""


def _zone(local: datetime, language: Language) -> str:
    key = local.tzinfo, local.utcoffset(), local.dst(), language.locale
    if (name := _zones.get(key)) is None:
        name = _zones[key] = format_datetime(local, "zzz", locale=language.locale)
    return name


def utc(instant: datetime) -> str:
    """`2026-11-27T11:45:03Z`."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def span(ms: float | None, language: Language) -> str:
    """`45 ms`, `2,3 s`, `1 min 05 s`, `2 t 03 min`, `3 d 4 t`; a dash where there is none."""
    if ms is None:
        return "–"
    if ms < 100:
        return f"{round(ms)} ms"
    if ms < 59_950:
        return f"{_tenths(ms / 1000, language)} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    hour = language.text("h")
    if hours < 48:
        return f"{hours} {hour} {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days} {language.text('d')} {hours} {hour}"


def about(span_: timedelta, language: Language) -> str:
    """In one unit, for what is not known closer: `4 min`, `2 t`, `3 dage`."""
    seconds = max(0, round(span_.total_seconds()))
    if seconds < 90:
        return f"{seconds} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 36 * 3600:
        return f"{round(seconds / 3600)} {language.text('h')}"
    return language.count("%(n)d day", "%(n)d days", round(seconds / 86400))


def _tenths(number: float, language: Language) -> str:
    text = f"{number:.1f}"
    return text.replace(".", ",") if language.code == "da" else text
