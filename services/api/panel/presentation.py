"""What the pages say of runs and jobs. Pure: the read model goes in, texts in one language come out."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from kronik import in_force
from kronik.events import JobDefined, Schedule, Warning
from kronik.show import Show
from msgspec import Struct

from services.api.history.queries import DefinedJob, JobRun, Slot
from services.api.job_log import Line, Progress
from services.api.panel import figures, params
from services.api.panel.moments import clock, duration, exactly, machine, moment
from services.api.panel.params import Param
from services.infra.schedule_words import in_words
from services.words.language import Language

TROUBLE_LIMIT: Final = 200
"""Characters of a warning or an error on a card."""
SHORT_LIMIT: Final = 60
"""Characters of a result in the history."""

Tone = Literal["success", "warning", "error", "info"]


class Icon(Struct, frozen=True):
    """A status as it is drawn. text: the same for those who can't see it."""

    sign: str
    text: str
    tone: Tone


class When(Struct, frozen=True):
    """An instant. text: as people say it. exactly: to the second. machine: ISO 8601."""

    text: str
    exactly: str
    machine: str


class Row(Struct, frozen=True, kw_only=True):
    """A run in the history."""

    id: int
    title: str
    when: When
    icon: Icon
    duration: str
    result: str


class Skipped(Struct, frozen=True, kw_only=True):
    """A slot that did not become a run. why: in the reader's language; reason: in the scheduler's own words."""

    title: str
    when: When
    why: str
    reason: str


class ProgressBar(Struct, frozen=True):
    """How far a run is. text: `3 / 4 scaffold`. done, total: for a bar, where there is a total."""

    text: str
    done: int | float
    total: int | float | None


class LogLine(Struct, frozen=True):
    """What a job wrote to its log."""

    clock: str
    when: When
    text: str
    tone: Tone | None


class LastRun(Struct, frozen=True, kw_only=True):
    """A job's newest run, on its card. note: what follows the date; trouble: its warnings or its error, in a line."""

    id: int
    when: When
    icon: Icon
    note: str
    summary: str
    trouble: str
    progress: ProgressBar | None


class Card(Struct, frozen=True, kw_only=True):
    """A job on the front page. schedule: when it runs, in words; last: None where it never ran.

    params: what the job takes; empty for most.
    """

    job_type: str
    title: str
    schedule: str
    schedule_exactly: str
    last: LastRun | None
    params: tuple[Param, ...]
    params_example: str


class Fact(Struct, frozen=True):
    label: str
    text: str
    when: When | None = None


class RunView(Struct, frozen=True, kw_only=True):
    """Everything the page of one run says, but for its events."""

    id: int
    job_type: str
    title: str
    icon: Icon
    facts: tuple[Fact, ...]
    summary: str
    warnings: tuple[str, ...]
    warnings_left_out: int
    error: str
    params: str
    result: str
    rerun_of: int | None
    can_cancel: bool
    finished: bool


_SIGNS: Final[dict[str, tuple[str, Tone]]] = {
    "SUCCESS": ("✅", "success"),
    "PARTIAL": ("⚠️", "warning"),
    "FAILED": ("❌", "error"),
    "RUNNING": ("🔄", "info"),
}


def cards(
    jobs: Iterable[DefinedJob],
    last_runs: dict[str, JobRun],
    progress: dict[int, Progress],
    now: datetime,
    language: Language,
) -> list[Card]:
    """The jobs with a schedule first, then the ones that only run by hand. progress: by run."""
    ordered = sorted(jobs, key=lambda job: (schedule(job) is None, job.definition.job_type))
    return [_card(job, last_runs.get(job.definition.job_type), progress, now, language) for job in ordered]


def schedule(job: DefinedJob) -> Schedule | None:
    """The schedule that holds: an admin's, else the job's own."""
    return job.schedule


def _card(
    job: DefinedJob, run: JobRun | None, progress: dict[int, Progress], now: datetime, language: Language
) -> Card:
    definition, holds = job.definition, schedule(job)
    takes = params.params(definition.params_schema)
    words = [in_words(holds, language.code)]
    if in_force.pause(job.change, now) is not None:
        words.append(language.text("paused"))
    return Card(
        job_type=definition.job_type,
        title=title(definition.job_type, definition, language),
        schedule=" · ".join(words),
        schedule_exactly=f"{holds.expression} {holds.tz}" if holds else "",
        last=last_run(run, definition, progress.get(run.id), now, language) if run else None,
        params=takes,
        params_example=params.example(takes),
    )


def last_run(
    run: JobRun, definition: JobDefined, progress: Progress | None, now: datetime, language: Language
) -> LastRun:
    shown = icon(run, language)
    return LastRun(
        id=run.id,
        when=when(run.started_at, now, language),
        icon=shown,
        note="" if run.status == "SUCCESS" else shown.text,
        summary=figures.summary(_result(run), definition.show, language),
        trouble=_trouble(run, language),
        progress=progress_bar(progress, language) if progress else None,
    )


def _trouble(run: JobRun, language: Language) -> str:
    """The only warning itself, else how many there are; the error's first line."""
    if run.error_message:
        return _in_a_line(run.error_message)
    if run.warning_count == 1 and run.warnings:
        return _in_a_line(warning(run.warnings[0]))
    if run.warning_count:
        return language.count("%(n)d warning", "%(n)d warnings", run.warning_count)
    return ""


def _in_a_line(text: str, limit: int = TROUBLE_LIMIT) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"


def history(runs: Sequence[JobRun], definitions: dict[str, JobDefined], now: datetime, language: Language) -> list[Row]:
    """Rows in the order of the runs; a run of a job that no runner ever announced is shown by its job type."""
    return [_row(run, definitions.get(run.job_type), now, language) for run in runs]


def _row(run: JobRun, definition: JobDefined | None, now: datetime, language: Language) -> Row:
    return Row(
        id=run.id,
        title=title(run.job_type, definition, language),
        when=when(run.started_at, now, language),
        icon=icon(run, language),
        duration=duration(run.duration_ms, language),
        result=_in_short(run, definition.show if definition else (), language),
    )


def _in_short(run: JobRun, show: tuple[Show, ...], language: Language) -> str:
    """The figures that its job wants in the history, else the error, else what there is."""
    result = _result(run)
    text = figures.short(result, show, language) or run.error_message or figures.summary(result, show, language)
    return _in_a_line(text, SHORT_LIMIT)


def skipped(
    slots: Iterable[Slot], definitions: dict[str, JobDefined], now: datetime, language: Language
) -> list[Skipped]:
    """In the order of the slots."""
    return [
        Skipped(
            title=title(slot.job_type, definitions.get(slot.job_type), language),
            when=when(slot.scheduled_for, now, language),
            why=_why(slot, language),
            reason=slot.reason,
        )
        for slot in slots
    ]


def _why(slot: Slot, language: Language) -> str:
    match slot.outcome:
        case "paused":
            return language.text("The schedule was paused")
        case "missed":
            return language.text("It was too late for it")
        case "coalesced":
            return language.text("A later run did it as well")
        case "overlapped":
            return language.text("An earlier run was not finished")
        case _:
            return slot.reason


def run_view(run: JobRun, definition: JobDefined | None, now: datetime, language: Language) -> RunView:
    result = _result(run)
    show: tuple[Show, ...] = definition.show if definition else ()
    return RunView(
        id=run.id,
        job_type=run.job_type,
        title=title(run.job_type, definition, language),
        icon=icon(run, language),
        facts=tuple(_facts(run, now, language)),
        summary=figures.summary(result, show, language),
        warnings=tuple(warning(one) for one in run.warnings),
        warnings_left_out=max(0, run.warning_count - len(run.warnings)),
        error=run.error_message or "",
        params="" if bytes(run.params) == b"{}" else _indented(run.params),
        result=_indented(run.result_summary.encode()) if run.result_summary else "",
        rerun_of=run.rerun_of,
        can_cancel=run.status == "RUNNING" and run.cancel_requested_by is None,
        finished=run.status != "RUNNING",
    )


def _facts(run: JobRun, now: datetime, language: Language) -> Iterable[Fact]:
    def at(label: str, instant: datetime | None) -> Iterable[Fact]:
        if instant:
            yield Fact(label, "", when(instant, now, language))

    yield from at(language.text("Started"), run.started_at)
    yield from at(language.text("Finished"), run.completed_at)
    if run.duration_ms is not None:
        yield Fact(language.text("Duration"), duration(run.duration_ms, language))
    yield Fact(language.text("Triggered by"), who(run.triggered_by, language))
    yield from at(language.text("Planned for"), run.scheduled_for)
    if run.attempt > 1:
        yield Fact(language.text("Attempt"), str(run.attempt))
    yield from at(language.text("Next attempt"), run.retry_at)


def title(job_type: str, definition: JobDefined | None, language: Language) -> str:
    """The job's own title, else its type as words: `HEYNABO_IMPORT` → `Heynabo import`."""
    as_words = job_type.replace("_", " ").capitalize()
    return language.pick(definition.title, as_words) if definition else as_words


def icon(run: JobRun, language: Language) -> Icon:
    sign, tone = _SIGNS[run.status]
    return Icon(sign, _status(run, language), tone)


def _status(run: JobRun, language: Language) -> str:
    match run.status, run.phase:
        case "SUCCESS", _:
            return language.text("Completed")
        case "PARTIAL", _:
            return language.text("Partial failure")
        case "FAILED", _:
            return language.text("Cancelled") if run.cancelled_by else language.text("Failed")
        case _ if run.cancel_requested_by:
            return language.text("Is being cancelled")
        case _, "queued":
            return language.text("Queued")
        case _, "retrying":
            return language.text("Waiting for the next attempt")
    return language.text("Running")


def who(triggered_by: str, language: Language) -> str:
    """`CRON`, `ADMIN:<userId>` and `SERVICE:<name>` for people."""
    kind, _, name = triggered_by.partition(":")
    match kind:
        case "CRON":
            return language.text("The schedule")
        case "ADMIN":
            return language.text("Administrator %(name)s") % {"name": name}
        case "SERVICE":
            return language.text("The service %(name)s") % {"name": name}
    return triggered_by


def progress_bar(progress: Progress, language: Language) -> ProgressBar:
    amount = figures.figure(progress.done, "number", language)
    if progress.total is not None:
        amount += " / " + figures.figure(progress.total, "number", language)
    return ProgressBar(f"{amount} {progress.text}".strip(), progress.done, progress.total)


def log_lines(lines: Iterable[Line], now: datetime, language: Language) -> list[LogLine]:
    return [_log_line(line, now, language) for line in lines]


def _log_line(line: Line, now: datetime, language: Language) -> LogLine:
    fields = (f"{name}={value}" for name, value in line.fields.items())
    tones: dict[str, Tone] = {"warning": "warning", "error": "error"}
    at = when(line.time, now, language)
    return LogLine(clock(line.time), at, " ".join((line.event, *fields)), tones.get(line.level))


def when(instant: datetime, now: datetime, language: Language) -> When:
    return When(moment(instant, now, language), exactly(instant, language), machine(instant))


def warning(one: Warning) -> str:
    return f"{one.item}: {one.text}" if one.item else one.text


def _result(run: JobRun) -> Any:
    """The result as data; None where there is none or it is not JSON."""
    try:
        return msgspec.json.decode(run.result_summary) if run.result_summary else None
    except (msgspec.DecodeError, RecursionError):
        return None


def _indented(json: bytes) -> str:
    try:
        return msgspec.json.format(json, indent=2).decode("utf-8", "replace")
    except (msgspec.DecodeError, RecursionError):
        return json.decode("utf-8", "replace")
