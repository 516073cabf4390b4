"""The jobs of the system page, worst first. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final

from kronik import in_force
from kronik.events import JobDefined, Pause, Schedule
from msgspec import Struct

from services.api.history.overview import Bar
from services.api.history.queries import DefinedJob, JobRun
from services.api.job_log import Progress
from services.api.panel.views import fields
from services.api.panel.views.charts import Strip, strip, usual_ms
from services.api.panel.views.rows import result_of
from services.api.panel.views.signs import Sign, error_of, in_a_line, sign, title
from services.infra import slots
from services.infra.schedule_words import in_words
from services.words.moments import When
from services.words.voice import Voice

TROUBLE_LIMIT: Final = 200
"""Characters of a warning or an error on a card."""
DRAWN: Final = 5
"""Up to so many jobs are shown as the user drew them; more as a list."""


class ProgressBar(Struct, frozen=True):
    """How far a run is. text: `3 / 4 scaffold`. done, total: for a bar, where there is a total."""

    text: str
    done: int | float
    total: int | float | None


class OpenRun(Struct, frozen=True):
    """A run that is not finished. since: since when it waits or runs, in words."""

    id: int
    sign: Sign
    when: When
    since: str
    progress: ProgressBar | None


class LastRun(Struct, frozen=True, kw_only=True):
    """A job's newest run. note: what follows the date; trouble: its warnings or its error, in a line."""

    id: int
    when: When
    sign: Sign
    note: str
    summary: str
    trouble: str
    took: str
    since: str
    progress: ProgressBar | None


class Timing(Struct, frozen=True):
    """When a job runs by itself. cron: expression and zone; paused: who paused it, in words.

    next: the next slots; soon: the same in short, without the day where it is that of the slot before.
    """

    words: str
    cron: str
    zone: str
    paused: str
    next: tuple[When, ...]
    soon: tuple[str, ...]


class Card(Struct, frozen=True, kw_only=True):
    """A job. last: None where it never ran; open: its unfinished runs, the oldest first; queued: how many of them wait.

    asks: whether running it needs a form, because it takes params or wants to be confirmed.
    """

    job_type: str
    title: str
    timing: Timing
    last: LastRun | None
    open: tuple[OpenRun, ...]
    more_open: int
    queued: int
    usual: str
    strip: Strip
    takes_params: bool
    asks: bool
    order: tuple[int, float, str]


def cards(
    jobs: Iterable[DefinedJob],
    last_runs: dict[str, JobRun],
    open_runs: Sequence[JobRun],
    bars: dict[str, list[Bar]],
    progress: dict[int, Progress],
    voice: Voice,
) -> list[Card]:
    """The worst first, then what is due next, then what runs by hand alone. progress: by run."""
    made = []
    for job in jobs:
        job_type = job.definition.job_type
        unfinished = [run for run in open_runs if run.job_type == job_type]
        made.append(_card(job, last_runs.get(job_type), unfinished, bars.get(job_type, []), progress, voice))
    if len(made) <= DRAWN:
        return sorted(made, key=lambda card: (not card.timing.cron, card.job_type))
    return sorted(made, key=lambda card: card.order)


_SHOWN_OPEN: Final = 3


def _card(
    job: DefinedJob,
    run: JobRun | None,
    unfinished: Sequence[JobRun],
    bars: Sequence[Bar],
    progress: dict[int, Progress],
    voice: Voice,
) -> Card:
    definition = job.definition
    named = title(definition.job_type, definition, voice)
    coming = next_slots(job, voice.now, 2)
    others = sorted((one for one in unfinished if run is None or one.id != run.id), key=lambda one: one.id)
    return Card(
        job_type=definition.job_type,
        title=named,
        timing=timing(job, coming, voice),
        last=last_run(run, definition, progress.get(run.id), voice) if run else None,
        open=tuple(open_run(one, progress.get(one.id), voice) for one in others[:_SHOWN_OPEN]),
        more_open=max(0, len(others) - _SHOWN_OPEN),
        queued=sum(one.phase == "queued" for one in unfinished),
        usual=voice.span(usual) if (usual := usual_ms(bars)) is not None else "",
        strip=strip(bars, named, voice),
        takes_params=fields.takes_params(definition),
        asks=fields.asks(definition),
        order=(_badness(bars), coming[0].timestamp() if coming else float("inf"), definition.job_type),
    )


def _badness(bars: Sequence[Bar]) -> int:
    """By the last run that came to an end: what runs now may turn out well."""
    last = next((bar.status for bar in reversed(bars) if bar.phase == "finished"), None)
    return {"FAILED": 0, "PARTIAL": 1}.get(last or "", 2)


def next_slots(job: DefinedJob, now: datetime, count: int) -> list[datetime]:
    """None while paused, and none of a schedule that can't work."""
    if job.schedule is None or job.retired or in_force.pause(job.change, now):
        return []
    return coming(job.schedule, now, count)


def coming(schedule: Schedule, now: datetime, count: int) -> list[datetime]:
    """The next slots. None of a schedule that can't work."""
    return list(_after(schedule, now.replace(second=0, microsecond=0), count))


@lru_cache(maxsize=512)
def _after(schedule: Schedule, minute: datetime, count: int) -> tuple[datetime, ...]:
    """Slots lie on whole minutes, so they are the same for everybody who asks within one."""
    try:
        return tuple(slots.next_slots(schedule, minute, count))
    except slots.InvalidSchedule:
        return ()


def timing(job: DefinedJob, coming: Sequence[datetime], voice: Voice) -> Timing:
    schedule, pause = job.schedule, in_force.pause(job.change, voice.now)
    return Timing(
        words=in_words(schedule, voice.language.code),
        cron=schedule.expression if schedule else "",
        zone=schedule.tz if schedule else "",
        paused=paused(pause, voice) if pause else "",
        next=tuple(voice.when(one) for one in coming),
        soon=tuple(_soon(before, one, voice) for before, one in zip((None, *coming), coming, strict=False)),
    )


def _soon(before: datetime | None, slot: datetime, voice: Voice) -> str:
    if before is None or voice.day(before) != voice.day(slot):
        return voice.moment(slot)
    return f"{slot.astimezone(voice.zone):%H:%M}"


def paused(pause: Pause, voice: Voice) -> str:
    """`paused by Birgitte until 1. dec 06:00: moving house`."""
    said = voice.text("paused by %(who)s", who=voice.who(pause.by)) if pause.by else voice.text("paused")
    if pause.until:
        said += " " + voice.text("until %(when)s", when=voice.moment(pause.until))
    return f"{said}: {pause.reason}" if pause.reason else said


def last_run(run: JobRun, definition: JobDefined, progress: Progress | None, voice: Voice) -> LastRun:
    shown = sign(run, voice)
    return LastRun(
        id=run.id,
        when=voice.when(run.started_at),
        sign=shown,
        note="" if run.status == "SUCCESS" else shown.text,
        summary=voice.summary(result_of(run), definition.show),
        trouble=_trouble(run, voice),
        took=voice.span(run.duration_ms) if run.duration_ms is not None else "",
        since=since(run, voice) if run.status == "RUNNING" else "",
        progress=bar(progress, voice) if progress and run.phase == "executing" else None,
    )


def open_run(run: JobRun, progress: Progress | None, voice: Voice) -> OpenRun:
    began = run.triggered_at if run.phase == "queued" else run.started_at
    return OpenRun(
        run.id, sign(run, voice), voice.when(began), since(run, voice), bar(progress, voice) if progress else None
    )


def since(run: JobRun, voice: Voice) -> str:
    """Of an open run: for how long it waits or runs, or when its next attempt is due."""
    if run.phase == "retrying" and run.retry_at:
        return voice.text("next attempt %(at)s", at=voice.clock(run.retry_at))
    began = run.triggered_at if run.phase == "queued" else run.started_at
    return voice.text("for %(span)s", span=voice.about(voice.now - began))


def bar(progress: Progress, voice: Voice) -> ProgressBar:
    amount = voice.number(progress.done)
    if progress.total is not None:
        amount += " / " + voice.number(progress.total)
    return ProgressBar(f"{amount} {progress.text}".strip(), progress.done, progress.total)


def _trouble(run: JobRun, voice: Voice) -> str:
    if run.status == "PARTIAL" and run.warnings:
        one = run.warnings[0]
        said = in_a_line(f"{one.item}: {one.text}" if one.item else one.text, TROUBLE_LIMIT)
        more = max(run.warning_count, len(run.warnings)) - 1
        others = voice.count("and %(n)d more", "and %(n)d more", more)
        return f"{said} {others}" if more else said
    return in_a_line(error_of(run, voice), TROUBLE_LIMIT)
