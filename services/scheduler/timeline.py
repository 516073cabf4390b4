"""Which schedule a job had when: its definitions and schedule changes, folded in stream order.

A slot belongs to the schedule that held when it came due, not to the one that holds when it is
looked at, so a schedule that is changed or paused while slots are due changes none of them. The times are the
stream's. A job's slots begin with its first definition; the same schedule announced again changes nothing.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import zip_longest

from kronik import in_force, subjects
from kronik.events import JobDefined, Pause, Recorded, Schedule, ScheduleChanged
from msgspec import Struct
from msgspec.structs import replace

from services.infra import slots
from services.infra.slots import InvalidSchedule


class Segment(Struct, frozen=True):
    """What held from an instant on until the next segment began.

    ahead: how far the rehearsal clock was ahead when it began; as long as it is, the segment began so much later.
    """

    since: datetime
    schedule: Schedule | None
    pause: Pause | None
    ahead: timedelta = timedelta(0)

    def begin(self, ahead: timedelta) -> datetime:
        return self.since + max(min(self.ahead, ahead), timedelta(0))


class Timeline(Struct, frozen=True):
    """One job's schedules.

    definition, change: sequences of the latest events taken, 0 for none: whoever decides checks that no newer ones
    stand in the stream. problem: why the latest schedule can't work; it has no slots then.
    """

    job_type: str
    defined: JobDefined | None = None
    changed: ScheduleChanged | None = None
    definition: int = 0
    change: int = 0
    segments: tuple[Segment, ...] = ()
    problem: str | None = None

    @property
    def schedule(self) -> Schedule | None:
        """The one that holds. None: by hand alone, or out of use."""
        if self.defined is None or self.retired:
            return None
        return in_force.schedule(self.defined.schedule, self.changed)

    @property
    def retired(self) -> bool:
        return in_force.is_retired(self.definition, self.change, self.changed)

    def pause(self, now: datetime) -> Pause | None:
        """The pause that holds at this instant."""
        return in_force.pause(self.changed, now)


class Due(Struct, frozen=True):
    """A slot with the schedule and the pause that held when it came due."""

    slot: datetime
    schedule: Schedule
    pause: Pause | None = None


def evolve(timeline: Timeline, recorded: Recorded, ahead: timedelta = timedelta(0)) -> Timeline:
    """The timeline after one more event. An event that says nothing of schedules only moves its sequence.

    ahead: how far the rehearsal clock was ahead when the event arrived.
    """
    place = subjects.parse(recorded.subject)
    if isinstance(place, subjects.DefinitionSubject):
        timeline = replace(timeline, definition=recorded.sequence)
    else:
        timeline = replace(timeline, change=recorded.sequence)
    match recorded.data:
        case JobDefined() as defined:
            timeline = replace(timeline, defined=_without_words(defined))
        case ScheduleChanged() as changed:
            timeline = replace(timeline, changed=changed)
    is_defined = bool(timeline.segments) or isinstance(recorded.data, JobDefined)
    return _extend(timeline, recorded.time, ahead) if is_defined else timeline


def _without_words(defined: JobDefined) -> JobDefined:
    """What a scheduler needs of it: ten thousand jobs' schemas and descriptions would be most of its memory."""
    return replace(defined, title={}, description="", params_schema={}, result_schema={}, show=())


def _extend(timeline: Timeline, time: datetime, ahead: timedelta) -> Timeline:
    """Segments that begin later than one that comes after them are from a server whose clock was put back since."""
    problem = _problem(timeline.schedule)
    pause = timeline.changed.pause if timeline.changed else None
    segment = Segment(time, timeline.schedule if problem is None else None, pause, ahead)
    before = tuple(each for each in timeline.segments if each.since <= time)
    if before and (before[-1].schedule, before[-1].pause) == (segment.schedule, segment.pause):
        return replace(timeline, segments=before, problem=problem)
    return replace(timeline, segments=(*before, segment), problem=problem)


def _problem(schedule: Schedule | None) -> str | None:
    if schedule is None:
        return None
    try:
        slots.check(schedule.expression, schedule.tz)
    except InvalidSchedule as error:
        return str(error)
    return None


def due(timeline: Timeline, after: datetime | None, until: datetime, ahead: timedelta = timedelta(0)) -> Iterator[Due]:
    """The slots in (after, until], ascending. after: the last slot that was handled; None: none ever was."""
    for found in _from(timeline, after, ahead):
        if found.slot > until:
            return
        yield found


def upcoming(timeline: Timeline, after: datetime | None, ahead: timedelta = timedelta(0)) -> datetime | None:
    """The first slot after the last one handled, however far away; None where there is none."""
    first = next(_from(timeline, after, ahead), None)
    return first.slot if first else None


def _from(timeline: Timeline, after: datetime | None, ahead: timedelta) -> Iterator[Due]:
    for segment, following in zip_longest(timeline.segments, timeline.segments[1:]):
        end = following.begin(ahead) if following else None
        begin = max(segment.begin(ahead), after) if after else segment.begin(ahead)
        if segment.schedule is None or (end is not None and begin >= end):
            continue
        slot = slots.next_after(segment.schedule, begin)
        while slot is not None and (end is None or slot <= end):
            yield Due(slot, segment.schedule, in_force.holding(segment.pause, slot))
            slot = slots.next_after(segment.schedule, slot)
