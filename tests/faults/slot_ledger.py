"""Which slots there must be, by looking at every minute there is; and which the stream accounts for."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tests.invariants import Fact

MINUTE = timedelta(minutes=1)


def minutes(after: datetime, until: datetime) -> Iterator[datetime]:
    """Every full minute in (after, until], UTC."""
    minute = after.astimezone(UTC).replace(second=0, microsecond=0) + MINUTE
    while minute <= until:
        yield minute
        minute += MINUTE


def elapsed(matches: Callable[[datetime], bool], tz: str, after: datetime, until: datetime) -> list[datetime]:
    """The rule of hours that begin with `*`: whenever the wall clock matches."""
    zone = ZoneInfo(tz)
    return [minute for minute in minutes(after, until) if matches(minute.astimezone(zone))]


def once_a_day(days: Iterable[datetime], hour: int, minute: int, tz: str) -> list[datetime]:
    """The rule of fixed hours: on each of these days (midnight, no zone) the first minute that shows this time, or,
    where the clocks jump over it, the first minute behind the jump."""
    zone = ZoneInfo(tz)
    return sorted({_first(day.replace(hour=hour, minute=minute), zone) for day in days})


def _first(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which the wall shows this time or a later one: it may have gone back by then, never on."""
    start = wall.replace(tzinfo=UTC) - timedelta(hours=16)
    return next(m for m in minutes(start, start + timedelta(hours=40)) if _shown(m, zone) >= wall)


def _shown(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)


def transitions(tz: str, after: datetime) -> list[datetime]:
    """The days (midnight, no zone) within a year on which this zone's clocks change."""
    zone, found = ZoneInfo(tz), []
    hour = after.replace(minute=0, second=0, microsecond=0)
    for _ in range(365 * 24):
        following = hour + timedelta(hours=1)
        if hour.astimezone(zone).utcoffset() != following.astimezone(zone).utcoffset():
            before = _shown(following - MINUTE, zone)
            found.append(before.replace(hour=0, minute=0))
        hour = following
    return found


@dataclass(frozen=True)
class Audit:
    """expected: how many slots there are. ways: what became of them, `fired` or an outcome, counted."""

    expected: int
    lost: list[datetime]
    doubled: list[datetime]
    strange: list[datetime]
    ways: dict[str, int]

    @property
    def exact(self) -> bool:
        return not (self.lost or self.doubled or self.strange)


def accounts(facts: Iterable[Fact], job: str) -> dict[datetime, list[str]]:
    """What stands in the ledger of each slot of the job, in stream order; `torn` for one half of a slot that fired and
    its trigger, which the stream must hold one behind the other or not at all."""
    found: dict[datetime, list[str]] = defaultdict(list)
    asked: datetime | None = None
    for fact in facts:
        if asked is not None and not (fact.subject == f"jobs.slot.{job}.fired" and _slot(fact) == asked):
            found[asked].append("torn")
            asked = None
        if fact.subject == f"jobs.trigger.{job}.cron":
            asked = _slot(fact)
        elif fact.subject.startswith(f"jobs.slot.{job}."):
            way = fact.subject.rpartition(".")[2]
            found[_slot(fact)] += [way] if way != "fired" or asked is not None else [way, "torn"]
            asked = None
    if asked is not None:
        found[asked].append("torn")
    return found


def _slot(fact: Fact) -> datetime:
    return datetime.fromisoformat(fact.data["scheduledFor"].replace("Z", "+00:00")).astimezone(UTC)


def audit(facts: Iterable[Fact], job: str, expected: Iterable[datetime]) -> Audit:
    """Each of the expected slots has to have one account, and no other instant one."""
    wanted, found = set(expected), accounts(facts, job)
    ways: dict[str, int] = defaultdict(int)
    for each in found.values():
        for way in each:
            ways[way] += 1
    return Audit(
        len(wanted),
        sorted(wanted - set(found)),
        sorted(slot for slot, each in found.items() if len(each) > 1),
        sorted(set(found) - wanted),
        dict(sorted(ways.items())),
    )
