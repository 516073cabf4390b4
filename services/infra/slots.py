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
from typing import Final
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter
from kronik.events import Schedule

from services.infra.cron import EXPRESSION_LIMIT, Cron, InvalidSchedule, parse

_SOME_DAY: Final = datetime(2026, 1, 1)  # noqa: DTZ001  wall-clock time

__all__ = ["EXPRESSION_LIMIT", "InvalidSchedule", "check", "next_slots", "slots", "slots_after", "zones"]


@lru_cache(maxsize=16_384)
def check(expression: str, tz: str) -> None:
    """Raises InvalidSchedule for what `slots` could not work with, and for what never fires."""
    _check_zone(tz)
    parse(expression)


def slots(schedule: Schedule, after: datetime, until: datetime) -> Iterator[datetime]:
    """The slots in (after, until], ascending, UTC, found one by one. Raises InvalidSchedule."""
    for slot in slots_after(schedule, after):
        if slot > until:
            return
        yield slot


def next_slots(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """The first `count` slots after an instant, UTC; fewer where the calendar has no more. Raises InvalidSchedule."""
    return list(islice(slots_after(schedule, after), count))


@lru_cache(maxsize=16_384)
def next_after(schedule: Schedule, after: datetime) -> datetime | None:
    """The first slot after an instant; None where the calendar has no more. Many jobs share a schedule, and an instant.

    Raises InvalidSchedule.
    """
    return next(slots_after(schedule, after), None)


def slots_after(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """All slots after an instant, ascending, UTC, found one by one. Raises InvalidSchedule."""
    check(schedule.expression, schedule.tz)
    zone, cron = ZoneInfo(schedule.tz), parse(schedule.expression)
    place = _by_elapsed_time if cron.elapsed else _once_a_day
    last = after
    for slot in place(_wall_times(cron, _first_wall_time(after, zone)), zone):
        if slot > last:
            last = slot
            yield slot


def _first_wall_time(after: datetime, zone: ZoneInfo) -> datetime:
    """Where to begin to look: within a fold at its begin, for its second pass may be still to come."""
    local = after.astimezone(zone)
    back = max(local.replace(fold=0).utcoffset() - local.replace(fold=1).utcoffset(), timedelta(0))  # type: ignore[operator]
    return local.replace(tzinfo=None, second=0, microsecond=0) - back


@lru_cache(maxsize=1_024)
def _matches(cron: Cron) -> croniter:
    """Made once: croniter takes longer to read an expression than to find the next match."""
    return croniter(cron.for_croniter, _SOME_DAY, day_or=cron.either)


def _wall_times(cron: Cron, after: datetime) -> Iterator[datetime]:
    """What the expression matches on a wall clock that no zone disturbs; ends with the calendar."""
    matches = _matches(cron)
    while True:
        try:
            # Set anew each time: it is shared by all who ask for this expression.
            matches.set_current(after, force=True)
            after = matches.get_next(datetime)
            yield after
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
    if tz not in zones():
        raise InvalidSchedule("tz", f"{tz[:64]!r} is not a known time zone; {_zone_hint(tz[:64].strip())}")


_MEANT: Final = {
    "CET": "Europe/Copenhagen",
    "CEST": "Europe/Copenhagen",
    "BST": "Europe/London",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "AEST": "Australia/Sydney",
    "EDT": "America/New_York",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "MDT": "America/Denver",
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "WEST": "Europe/Lisbon",
    "EEST": "Europe/Helsinki",
    "MSK": "Europe/Moscow",
    "Z": "UTC",
}
"""What is meant by abbreviations: names of one offset, where a schedule needs a place whose clocks change."""


def _zone_hint(tz: str) -> str:
    folded = {name.casefold(): name for name in sorted(zones(), reverse=True)}
    spelled = tz.replace(" ", "_").casefold()
    if spelled in folded:
        return f"did you mean {folded[spelled]}?"
    if tz.upper() in _MEANT:
        return f"did you mean {_MEANT[tz.upper()]}?"
    if re.fullmatch(r"(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?", tz.upper()):
        return "an offset is not a zone; name a place such as Europe/Copenhagen, or UTC"
    cities = [name for name in sorted(zones()) if name.casefold().rpartition("/")[2] == spelled]
    near = cities or [folded[found] for found in difflib.get_close_matches(spelled, folded, 1, 0.8)]
    return f"did you mean {near[0]}?" if near else "it must be an IANA zone such as Europe/Copenhagen or UTC"
