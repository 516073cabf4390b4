"""What becomes of the slots that are due: each fires or is skipped with an outcome and a reason in words.

From the newest to the oldest, the first of these that holds:

paused       the schedule was paused when the slot came due, or it is now and the slot is late: a pause
             means that the job does not start by itself, not even to catch up
missed       older than the schedule's deadline, or late where nothing is caught up (`none`)
coalesced    a newer slot runs for it (`latest`), or a hundred newer ones run (`all`)
overlapped   a run of the job is open, and the schedule says `skip`; looked at from the oldest to the newest,
             because a slot that fires here is open for those behind it
fires        otherwise
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from kronik.events import Pause, Schedule, SkipOutcome
from msgspec import Struct

from services.scheduler.timeline import Due

LATE: Final = timedelta(seconds=60)
"""How old a slot may be and still count as on time."""

ALL_LIMIT: Final = 100
"""Slots that catch-up `all` runs at most."""


class Fire(Struct, frozen=True):
    slot: datetime


class Skip(Struct, frozen=True):
    slot: datetime
    outcome: SkipOutcome
    reason: str


Decision = Fire | Skip


def decide(
    due: Sequence[Due], *, now: datetime, paused: Pause | None, open_run: int | None, more: bool = False
) -> list[Decision]:
    """One decision for each slot due, ascending.

    paused: the pause that holds now. open_run: the id of an unfinished run of the job, if there is one.
    more: newer slots are due than are given here; the last hundred are then left for the next time.
    """
    newest_first: list[Decision] = []
    running: list[datetime | None] = []
    if more:
        due, running = due[:-ALL_LIMIT], [None] * ALL_LIMIT
    for each in reversed(due):
        decision = _alone(each, now, paused) or _coalesced(each, running) or Fire(each.slot)
        if isinstance(decision, Fire):
            running.append(each.slot)
        newest_first.append(decision)
    return _without_overlaps(due, newest_first[::-1], open_run)


def _alone(due: Due, now: datetime, paused: Pause | None) -> Skip | None:
    """What can be said of a slot whatever the others are."""
    late = now - due.slot
    if due.pause is not None:
        return Skip(due.slot, "paused", f"The schedule was paused{_pause(due.pause)} when this slot came due.")
    if paused is not None and late > LATE:
        reason = f"Seen {_span(late)} late, and the schedule had been paused{_pause(paused)} in the meantime."
        return Skip(due.slot, "paused", reason)
    deadline = due.schedule.deadline_ms
    if deadline is not None and late > timedelta(milliseconds=deadline):
        allowed = _span(timedelta(milliseconds=deadline))
        return Skip(due.slot, "missed", f"Seen {_span(late)} late; the schedule's deadline is {allowed}.")
    if due.schedule.catch_up == "none" and late > LATE:
        return Skip(due.slot, "missed", f"Seen {_span(late)} late, and the schedule does not catch up.")
    return None


def _pause(pause: Pause) -> str:
    by = f" by {pause.by}" if pause.by else ""
    return f"{by} ({pause.reason})" if pause.reason else by


def _coalesced(due: Due, running: Sequence[datetime | None]) -> Skip | None:
    """running: the slots behind this one that fire, the newest first; None for one that is not looked at yet."""
    if not running:
        return None
    match due.schedule.catch_up:
        case "none":
            return None
        case "latest":
            stands = f"that of {when(running[0], due.schedule)}" if running[0] else "that of a newer slot"
            return Skip(due.slot, "coalesced", f"One run stands for every slot that was missed: {stands}.")
        case "all":
            if len(running) < ALL_LIMIT:
                return None
            reason = f"At most {ALL_LIMIT} missed slots are run; newer ones were."
            return Skip(due.slot, "coalesced", reason)
        case _:
            assert_never(due.schedule.catch_up)


def _without_overlaps(due: Sequence[Due], decisions: list[Decision], open_run: int | None) -> list[Decision]:
    busy = f"Run {open_run} of this job was still open." if open_run is not None else None
    settled: list[Decision] = []
    for each, decision in zip(due, decisions, strict=True):
        if isinstance(decision, Fire):
            if busy is not None and each.schedule.overlap == "skip":
                decision = Skip(each.slot, "overlapped", busy)
            else:
                busy = f"The run of the slot of {when(each.slot, each.schedule)} had only just been asked for."
        settled.append(decision)
    return settled


def when(slot: datetime, schedule: Schedule) -> str:
    """A slot for people, by the clock of its schedule: `2026-10-25 02:00 Europe/Copenhagen`."""
    return f"{slot.astimezone(ZoneInfo(schedule.tz)):%Y-%m-%d %H:%M} {schedule.tz}"


_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def _span(span: timedelta) -> str:
    """The two largest units of it: `1 d 3 h`, `5 min`."""
    rest, parts = round(span.total_seconds()), []
    for unit, seconds in _UNITS:
        count, rest = divmod(rest, seconds)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"
