"""Days × jobs: how many runs succeeded and failed, which slots were skipped, which are to come. Pure."""

from calendar import monthrange
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from babel.dates import format_date
from kronik import in_force
from msgspec import Struct

from services.api.history.counts import Day
from services.api.history.overview import Changed
from services.api.history.queries import DefinedJob, Slot
from services.api.panel.views.jobs import coming
from services.api.panel.views.rows import skipped_in_a_line
from services.api.panel.views.signs import title
from services.words import events
from services.words.moments import When
from services.words.voice import Voice

_PLANNED: Final = 200
"""So many slots of a job are counted; of the days beyond it is only said that there are some."""
MANY: Final = -1
_DAY: Final = {"da": "EEE d.", "en": "EEE d"}


class Cell(Struct, frozen=True):
    """A job's day. skipped: why each slot became no run; href: its runs in the history, "" where there are none."""

    ok: int
    partial: int
    failed: int
    open: int
    skipped: tuple[str, ...]
    planned: int
    changes: tuple[str, ...]
    href: str

    @property
    def empty(self) -> bool:
        return not (self.ok or self.partial or self.failed or self.open or self.skipped or self.planned or self.changes)


class CalendarDay(Struct, frozen=True):
    """clocks: what the clocks do in that night, "" for nothing."""

    text: str
    machine: str
    today: bool
    weekend: bool
    clocks: str
    cells: tuple[Cell, ...]


class Mark(Struct, frozen=True):
    """A change of a job's schedule."""

    when: When
    job_type: str
    title: str
    text: str


class Calendar(Struct, frozen=True):
    """before, after: the months around it, for programs; earlier, later: the same in words."""

    heading: str
    before: str
    after: str
    earlier: str
    later: str
    jobs: tuple[tuple[str, str], ...]
    days: tuple[CalendarDay, ...]
    marks: tuple[Mark, ...]


def last_day(first: date) -> date:
    return first.replace(day=monthrange(first.year, first.month)[1])


def midnight(day: date, zone: tzinfo, days: int = 0) -> datetime:
    return datetime.combine(day + timedelta(days=days), time(), zone).astimezone(UTC)


def calendar(
    first: date,
    jobs: Sequence[DefinedJob],
    counted: Sequence[Day],
    skipped: Sequence[Slot],
    changes: Sequence[Changed],
    voice: Voice,
) -> Calendar:
    last = last_day(first)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    counts = {(one.day, one.job_type): one for one in counted}
    missed: dict[tuple[date, str], list[str]] = {}
    for slot in skipped:
        place = (_day(slot.scheduled_for, voice), slot.job_type)
        missed.setdefault(place, []).append(skipped_in_a_line(slot, voice))
    planned: dict[tuple[date, str], int] = {}
    for job in jobs:
        planned.update(_planned(job, days, voice))
    marks: dict[tuple[date, str], list[str]] = {}
    for one in changes:
        marks.setdefault((_day(one.changed_at, voice), one.job_type), []).append(events.told(one.change, voice).text)

    def cell(day: date, job_type: str) -> Cell:
        found, place = counts.get((day, job_type)), (day, job_type)
        by = found.counts if found else None
        return Cell(
            ok=by.SUCCESS if by else 0,
            partial=by.PARTIAL if by else 0,
            failed=by.FAILED if by else 0,
            open=by.RUNNING if by else 0,
            skipped=tuple(missed.get(place, ())),
            planned=planned.get(place, 0),
            changes=tuple(marks.get(place, ())),
            href=_href(day, job_type, voice) if found else "",
        )

    types = [job.definition.job_type for job in jobs]
    return Calendar(
        heading=_sentence(format_date(first, "MMMM y", locale=voice.language.locale)),
        before=f"{first - timedelta(days=1):%Y-%m}",
        after=f"{last + timedelta(days=1):%Y-%m}",
        earlier=format_date(first - timedelta(days=1), "MMMM", locale=voice.language.locale),
        later=format_date(last + timedelta(days=1), "MMMM", locale=voice.language.locale),
        jobs=tuple((job.definition.job_type, title(job.definition.job_type, job.definition, voice)) for job in jobs),
        days=tuple(_calendar_day(day, tuple(cell(day, one) for one in types), voice) for day in days),
        marks=tuple(_mark(one, jobs, voice) for one in changes if one.job_type in types),
    )


def _sentence(text: str) -> str:
    """As it stands at the beginning."""
    return text[:1].upper() + text[1:]


def _mark(one: Changed, jobs: Sequence[DefinedJob], voice: Voice) -> Mark:
    definition = next((job.definition for job in jobs if job.definition.job_type == one.job_type), None)
    text = events.told(one.change, voice).text
    return Mark(voice.when(one.changed_at), one.job_type, title(one.job_type, definition, voice), text)


def _calendar_day(day: date, cells: tuple[Cell, ...], voice: Voice) -> CalendarDay:
    return CalendarDay(
        text=format_date(day, _DAY[voice.language.code], locale=voice.language.locale),
        machine=day.isoformat(),
        today=day == _day(voice.now, voice),
        weekend=day.weekday() >= 5,
        clocks=_clocks(day, voice),
        cells=cells,
    )


def _clocks(day: date, voice: Voice) -> str:
    noon = datetime.combine(day, time(12), voice.zone)
    moved = (noon.utcoffset() or timedelta()) - ((noon - timedelta(days=1)).utcoffset() or timedelta())
    if not moved:
        return ""
    return voice.text("clocks forward") if moved > timedelta(0) else voice.text("clocks back")


def _planned(job: DefinedJob, days: Sequence[date], voice: Voice) -> dict[tuple[date, str], int]:
    dates = [_day(instant, voice) for instant in _coming(job, days[0], days[-1], voice)]
    counted = {(day, job.definition.job_type): count for day, count in Counter(dates).items()}
    if len(dates) == _PLANNED:
        counted |= {(day, job.definition.job_type): MANY for day in days if day >= dates[-1]}
    return counted


def _coming(job: DefinedJob, first: date, last: date, voice: Voice) -> list[datetime]:
    """The slots of the month that are still to come."""
    assert voice.zone is not None
    end, now = midnight(last, voice.zone, 1), voice.now
    pause = in_force.pause(job.change, now)
    if job.schedule is None or job.retired or end <= now or (pause and pause.until is None):
        return []
    since = max(now, midnight(first, voice.zone), pause.until if pause and pause.until else now)
    return [one for one in coming(job.schedule, since, _PLANNED) if one < end]


def _day(instant: datetime, voice: Voice) -> date:
    return instant.astimezone(voice.zone).date()


def _href(day: date, job_type: str, voice: Voice) -> str:
    assert voice.zone is not None
    start, end = (midnight(day, voice.zone, n).strftime("%Y-%m-%dT%H:%M:%SZ") for n in (0, 1))
    return f"/admin/system/history?job={job_type}&from={start}&to={end}"
