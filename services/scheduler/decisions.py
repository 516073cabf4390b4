"""What becomes of the slots that are due: each fires or is skipped with an outcome and a reason in words.

Of each slot, the first of these that holds:

paused       the schedule was paused when the slot came due, or it is now and the slot is late: a pause
             means that the job does not start by itself, not even to catch up
missed       older than the schedule's deadline; or late, or nobody serves the job, where nothing is caught up (`none`)
overlapped   a run of the job is open, and the schedule says `skip`
coalesced    a newer slot runs for it (`latest`), or a hundred newer ones run (`all`); or a run of an earlier slot
             waits until somebody serves the job, and runs for it
overlapped   a slot that fires here, before it, is open for it, and the schedule says `skip`
missed, coalesced   as many runs wait as the job allows (`refuse`, `coalesce`)
fires        otherwise

A slot whose newer one was to run for it shares that one's fate: no reason names a run that never was.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from kronik.events import Pause, Schedule, SkipOutcome
from kronik.in_force import QueueLimit
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


class _Shares(Struct, frozen=True):
    """Whatever becomes of the next newer slot that is decided for itself is true of this one."""

    slot: datetime


Decision = Fire | Skip


class Circumstances(Struct, frozen=True):
    """What is so now. paused: the pause that holds. open_run: an unfinished run of the job, if there is one.

    queued: how many of its runs wait to begin. limit: how many may. waiting_run: where nobody serves the job, a run of
    an earlier slot that waits until somebody does. unserved: whether nobody does.
    """

    now: datetime
    paused: Pause | None = None
    open_run: int | None = None
    queued: int = 0
    limit: QueueLimit | None = None
    unserved: bool = False
    waiting_run: int | None = None


def decide(due: Sequence[Due], so: Circumstances, *, more: bool = False) -> list[Decision]:
    """One decision for each slot due, ascending.

    more: newer slots are due than are given here; the last hundred are then left for the next time.
    """
    newest_first: list[Decision | _Shares] = []
    running: list[datetime | None] = []
    if more:
        due, running = due[:-ALL_LIMIT], [None] * ALL_LIMIT
    for each in reversed(due):
        decision = _alone(each, so) or _coalesced(each, running, so) or Fire(each.slot)
        if isinstance(decision, Fire):
            running.append(each.slot)
        newest_first.append(decision)
    return _true_to_what_fires(due, _one_after_the_other(due, newest_first[::-1], so))


def _alone(due: Due, so: Circumstances) -> Skip | None:
    """What can be said of a slot whatever the others are."""
    late = so.now - due.slot
    if due.pause is not None:
        return Skip(due.slot, "paused", f"The schedule was paused{_pause(due.pause)} when this slot came due.")
    if so.paused is not None and late > LATE:
        reason = f"Seen {span(late)} late, and the schedule had been paused{_pause(so.paused)} in the meantime."
        return Skip(due.slot, "paused", reason)
    deadline = due.schedule.deadline_ms
    if deadline is not None and late > timedelta(milliseconds=deadline):
        allowed = span(timedelta(milliseconds=deadline))
        return Skip(due.slot, "missed", f"Seen {span(late)} late; the schedule's deadline is {allowed}.")
    if due.schedule.catch_up == "none" and late > LATE:
        return Skip(due.slot, "missed", f"Seen {span(late)} late, and the schedule does not catch up.")
    if due.schedule.catch_up == "none" and so.unserved:
        return Skip(due.slot, "missed", "No runner serves this job now, and the schedule does not catch up.")
    if due.schedule.overlap == "skip" and so.open_run is not None:
        return Skip(due.slot, "overlapped", f"Run {so.open_run} of this job was still open.")
    return None


def _pause(pause: Pause) -> str:
    by = f" by {pause.by}" if pause.by else ""
    return f"{by} ({pause.reason})" if pause.reason else by


def _coalesced(due: Due, running: Sequence[datetime | None], so: Circumstances) -> Skip | _Shares | None:
    """running: the slots behind this one that fire, the newest first; None for one that is not looked at yet."""
    match due.schedule.catch_up:
        case "none":
            return None
        case "latest":
            if so.waiting_run is not None:
                reason = f"No runner serves this job now; run {so.waiting_run} waits for one and runs for this slot."
                return Skip(due.slot, "coalesced", reason)
            if running and running[0] is None:
                reason = "Of the slots that were missed only the newest counts, and newer ones were due."
                return Skip(due.slot, "coalesced", reason)
            return _Shares(due.slot) if running else None
        case "all":
            if len(running) + (so.queued if so.unserved else 0) < ALL_LIMIT:
                return None
            reason = f"At most {ALL_LIMIT} missed slots are run; there were as many others."
            return Skip(due.slot, "coalesced", reason)
        case _:
            assert_never(due.schedule.catch_up)


def _one_after_the_other(
    due: Sequence[Due], decisions: list[Decision | _Shares], so: Circumstances
) -> list[Decision | _Shares]:
    """From the oldest on, because a slot that fires here is open, and waits, for those behind it."""
    fired: Due | None = None
    waiting = so.queued
    settled: list[Decision | _Shares] = []
    for each, decision in zip(due, decisions, strict=True):
        if isinstance(decision, Fire):
            if fired is not None and each.schedule.overlap == "skip":
                reason = f"The run of the slot of {when(fired.slot, fired.schedule)} had only just been asked for."
                decision = Skip(each.slot, "overlapped", reason)
            elif so.limit is not None and waiting >= so.limit.runs:
                decision = _full(each, waiting, so.limit)
            else:
                fired, waiting = each, waiting + 1
        settled.append(decision)
    return settled


def _full(due: Due, waiting: int, limit: QueueLimit) -> Skip:
    are = f"{waiting} runs of this job wait" if waiting != 1 else "1 run of this job waits"
    if limit.when_full == "coalesce":
        return Skip(due.slot, "coalesced", f"{are} already, as many as may: this slot is left to them.")
    return Skip(due.slot, "missed", f"{are} already, and no more than {limit.runs} may.")


def _true_to_what_fires(due: Sequence[Due], decisions: list[Decision | _Shares]) -> list[Decision]:
    newest_first: list[Decision] = []
    newest: datetime | None = None
    fate: Decision | None = None
    for each, decision in zip(reversed(due), reversed(decisions), strict=True):
        if isinstance(decision, _Shares):
            newest_first.append(_sharing(each, fate, newest))
            continue
        if isinstance(decision, Fire):
            newest = newest or decision.slot
        fate = decision
        newest_first.append(decision)
    return newest_first[::-1]


def _sharing(due: Due, fate: Decision | None, newest: datetime | None) -> Skip:
    """fate: of the slot that was to run for this one. newest: the newest slot that fires."""
    if isinstance(fate, Skip) and newest is None:
        return Skip(due.slot, fate.outcome, fate.reason)
    assert newest is not None, "a slot shares only with one that was to fire"
    reason = f"One run stands for every slot that was missed: that of {when(newest, due.schedule)}."
    return Skip(due.slot, "coalesced", reason)


def when(slot: datetime, schedule: Schedule) -> str:
    """A slot for people, by the clock of its schedule: `2026-10-25 02:00 Europe/Copenhagen`."""
    return f"{slot.astimezone(ZoneInfo(schedule.tz)):%Y-%m-%d %H:%M} {schedule.tz}"


_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def span(span: timedelta) -> str:
    """The two largest units of it: `1 d 3 h`, `5 min`."""
    rest, parts = round(span.total_seconds()), []
    for unit, seconds in _UNITS:
        count, rest = divmod(rest, seconds)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"
