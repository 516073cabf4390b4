"""Everything the page of one job says. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from kronik import in_force
from kronik.events import JobDefined
from msgspec import Struct

from services.api.history.overview import Bar
from services.api.history.queries import DefinedJob
from services.api.panel.views import jobs
from services.api.panel.views.charts import usual_ms
from services.api.panel.views.jobs import Timing, next_slots
from services.api.panel.views.run import indented
from services.api.panel.views.signs import Kind, described, kind_of, word
from services.words.moments import When, when
from services.words.voice import Voice

_NEXT: Final = 10


class Due(Struct, frozen=True):
    """A slot to come: by the panel's clock, and by the schedule's own where that is another."""

    when: When
    local: str


class Spent(Struct, frozen=True):
    """A run of the strip, as a row: the same numbers as a table."""

    id: int
    when: When
    kind: Kind
    text: str
    took: str


class Policy(Struct, frozen=True):
    """A part of the definition. origin: who changed it; "" where the code says so."""

    label: str
    text: str
    origin: str


class JobView(Struct, frozen=True, kw_only=True):
    description: str
    timing: Timing
    due: tuple[Due, ...]
    spent: tuple[Spent, ...]
    usual: str
    fastest: str
    slowest: str
    policies: tuple[Policy, ...]
    params_schema: str
    result_schema: str
    retired: str


def job_view(job: DefinedJob, bars: Sequence[Bar], voice: Voice) -> JobView:
    definition = job.definition
    coming = next_slots(job, voice.now, _NEXT)
    took = [bar.duration_ms for bar in bars if bar.duration_ms is not None and bar.status in ("SUCCESS", "PARTIAL")]
    return JobView(
        description=described(definition, voice),
        timing=jobs.timing(job, coming[:2], voice),
        due=tuple(Due(voice.when(one), _in_its_zone(one, job, voice)) for one in coming),
        spent=tuple(_spent(bar, voice) for bar in reversed(bars)),
        usual=voice.span(usual_ms(bars)) if took else "",
        fastest=voice.span(min(took)) if took else "",
        slowest=voice.span(max(took)) if took else "",
        policies=tuple(_policies(job, voice)),
        params_schema=_indented(definition.params_schema),
        result_schema=_indented(definition.result_schema),
        retired=_retired(job, voice),
    )


def _retired(job: DefinedJob, voice: Voice) -> str:
    if not job.retired or job.change is None or job.change.retired is None:
        return ""
    said = voice.text("Retired by %(who)s", who=voice.who(job.change.retired.by))
    return f"{said}: {job.change.retired.reason}" if job.change.retired.reason else said


def _in_its_zone(instant: datetime, job: DefinedJob, voice: Voice) -> str:
    if job.schedule is None or job.schedule.tz == str(voice.zone):
        return ""
    return f"{when(instant, voice.today, ZoneInfo(job.schedule.tz), voice.language).text} {job.schedule.tz}"


def _spent(bar: Bar, voice: Voice) -> Spent:
    kind = kind_of(bar)
    took = voice.span(bar.duration_ms) if bar.duration_ms is not None else ""
    return Spent(bar.id, voice.when(bar.started_at), kind, word(kind, voice), took)


def _policies(job: DefinedJob, voice: Voice) -> Iterable[Policy]:
    definition, schedule = job.definition, job.schedule
    came = in_force.came_from(job.change)

    def of(label: str, text: str, field: str = "") -> Policy:
        by = came.get(field, in_force.CODE)
        return Policy(label, text, "" if by == in_force.CODE else voice.text("by %(who)s", who=voice.who(by)))

    if schedule:
        yield of(voice.text("Cron"), schedule.expression, "expression")
        yield of(voice.text("Time zone"), schedule.tz, "tz")
        yield of(voice.text("After downtime"), _catch_up(schedule.catch_up, voice), "catchUp")
        yield of(voice.text("When a run is unfinished"), _overlap(schedule.overlap, voice), "overlap")
        if schedule.deadline_ms:
            yield of(voice.text("A slot is too late after"), voice.span(schedule.deadline_ms), "deadlineMs")
    yield of(voice.text("Timeout"), voice.span(definition.timeout_ms))
    yield of(voice.text("Attempts"), _retry(definition, voice))
    yield of(voice.text("At the same time"), voice.number(definition.concurrency))
    yield of(voice.text("Each attempt"), _place(definition, voice))
    limit = in_force.queue_limit(definition, job.change)
    if limit:
        yield of(voice.text("May wait"), voice.number(limit.runs), "maxQueued")


def _place(definition: JobDefined, voice: Voice) -> str:
    if definition.isolation == "none":
        return voice.text("in the runner's process")
    if definition.memory_limit is None:
        return voice.text("in a process of its own")
    mebibytes = voice.number(definition.memory_limit // 2**20)
    return voice.text("in a process of its own, of at most %(n)s MiB", n=mebibytes)


def _retry(definition: JobDefined, voice: Voice) -> str:
    retry = definition.retry
    if retry.attempts <= 1:
        return voice.number(1)
    wait = voice.about(timedelta(milliseconds=retry.wait_ms))
    return voice.text("%(n)d, the first pause %(wait)s", n=retry.attempts, wait=wait)


def _catch_up(policy: str, voice: Voice) -> str:
    match policy:
        case "all":
            return voice.text("every missed slot runs")
        case "none":
            return voice.text("missed slots don't run")
    return voice.text("one run for all that were missed")


def _overlap(policy: str, voice: Voice) -> str:
    return voice.text("the slot is skipped") if policy == "skip" else voice.text("the new one waits")


def _indented(schema: dict[str, object]) -> str:
    return indented(msgspec.json.encode(schema)) if schema else ""
