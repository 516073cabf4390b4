"""A schedule before it holds: in words, with its next slots. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from kronik.events import Pause, Schedule
from msgspec import Struct

from services.api.history.queries import DefinedJob
from services.api.panel.views import jobs
from services.api.problems import NO_SCHEDULE, Problem
from services.infra.schedule_words import in_words
from services.words import sentences
from services.words.moments import When, when
from services.words.voice import Voice


class Slot(Struct, frozen=True):
    """A slot to come. local: by the schedule's own clock, where that is another. shifted: clocks change that day."""

    when: When
    local: str
    shifted: bool


class Preview(Struct, frozen=True):
    """lost: slots that would fire now and not after the change."""

    words: str
    slots: tuple[Slot, ...]
    lost: tuple[When, ...]


def preview(
    job: DefinedJob, typed: Mapping[str, str], coming: Sequence[datetime], skips: Sequence[datetime], voice: Voice
) -> Preview:
    zone = typed.get("tz") or (job.schedule.tz if job.schedule else str(voice.zone))
    given = typed.get("cron")
    schedule = (
        Schedule(expression=given, tz=zone) if given and typed.get("do") not in ("pause", "own") else job.schedule
    )
    return Preview(
        in_words(schedule, voice.language.code),
        tuple(_slot(one, zone, voice) for one in coming),
        tuple(voice.when(one) for one in skips),
    )


def _slot(instant: datetime, zone: str, voice: Voice) -> Slot:
    own = ZoneInfo(zone)
    local = "" if zone == str(voice.zone) else f"{when(instant, voice.today, own, voice.language).text} {zone}"
    return Slot(voice.when(instant), local, _changes(instant, own))


def _changes(instant: datetime, zone: ZoneInfo) -> bool:
    """Whether the clocks change on that day."""
    midnight = instant.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return midnight.utcoffset() != (midnight + timedelta(days=1)).utcoffset()


def paused(pause: Pause, voice: Voice) -> str:
    said = jobs.paused(pause, voice)
    return said[:1].upper() + said[1:]


def said(problem: Exception, voice: Voice) -> str:
    """Why a change can't work, in the page's language where it is a thing that people do."""
    if not isinstance(problem, Problem):
        return voice.text("The end of the pause is no date and time.")
    if problem.kind is NO_SCHEDULE:
        return voice.text("There is no schedule to change: fill in the cron expression.")
    field = problem.errors[0].field if problem.errors else ""
    match field:
        case "pausedUntil":
            return voice.text("The end of the pause is in the past.")
        case "pauseReason" | "reason":
            return voice.text("It has a character that can't be stored (NUL): leave it out.")
        case "tz":
            return voice.text("There is no such time zone.")
        case "cron":
            return voice.text("This can't be a schedule: %(why)s", why=sentences.said(problem.errors[0].problem, voice))
    return problem.detail if voice.language.code == "en" else voice.text("That could not be understood")
