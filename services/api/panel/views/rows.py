"""Runs and skipped slots as rows of a table. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from kronik.events import JobDefined
from msgspec import Struct

from services.api.history.queries import JobRun, Slot
from services.api.panel.views.signs import Sign, error_of, in_a_line, sign, title
from services.words.events import why_no_run
from services.words.moments import When
from services.words.sentences import known
from services.words.voice import Voice

SHORT_LIMIT: Final = 120
"""Characters of a result in the history."""


class Row(Struct, frozen=True, kw_only=True):
    """A run in the history. trouble: whether the result is an error."""

    id: int
    job_type: str
    title: str
    when: When
    sign: Sign
    duration: str
    result: str
    trouble: bool
    rerun_of: int | None


class Skipped(Struct, frozen=True, kw_only=True):
    """A slot that did not become a run. why: in words; reason: as somebody else wrote it, where we don't know it."""

    job_type: str
    title: str
    when: When
    why: str
    reason: str


def rows(runs: Sequence[JobRun], definitions: dict[str, JobDefined], voice: Voice) -> list[Row]:
    """In the order of the runs. Seconds are said where two rows would read the same without."""
    same = Counter(voice.moment(run.started_at) for run in runs)
    return [
        row(run, definitions.get(run.job_type), voice, seconds=same[voice.moment(run.started_at)] > 1) for run in runs
    ]


def row(run: JobRun, definition: JobDefined | None, voice: Voice, *, seconds: bool) -> Row:
    """A job that no runner announced is shown by its job type."""
    return Row(
        id=run.id,
        job_type=run.job_type,
        title=title(run.job_type, definition, voice),
        when=voice.when(run.started_at, seconds=seconds),
        sign=sign(run, voice),
        duration=voice.span(run.duration_ms) if run.duration_ms is not None else "",
        result=in_short(run, definition, voice),
        trouble=run.status == "FAILED",
        rerun_of=run.rerun_of,
    )


def in_short(run: JobRun, definition: JobDefined | None, voice: Voice) -> str:
    """The figures that its job wants in the history, else the error, else what there is."""
    result, show = result_of(run), definition.show if definition else ()
    text = voice.short(result, show) or error_of(run, voice) or voice.summary(result, show)
    return in_a_line(text, SHORT_LIMIT)


def result_of(run: JobRun) -> Any:
    """The result as data; None where there is none or it is not JSON."""
    try:
        return msgspec.json.decode(run.result_summary) if run.result_summary else None
    except (msgspec.DecodeError, RecursionError):
        return None


def skipped(slots: Sequence[Slot], definitions: dict[str, JobDefined], voice: Voice) -> list[Skipped]:
    """In the order of the slots."""
    return [
        Skipped(
            job_type=slot.job_type,
            title=title(slot.job_type, definitions.get(slot.job_type), voice),
            when=voice.when(slot.scheduled_for),
            why=known(slot.reason, voice) or why_no_run(slot.outcome, voice),
            reason="" if known(slot.reason, voice) else slot.reason,
        )
        for slot in slots
    ]


def skipped_in_a_line(slot: Slot, voice: Voice) -> str:
    why = known(slot.reason, voice) or f"{why_no_run(slot.outcome, voice)}. {in_a_line(slot.reason, SHORT_LIMIT)}"
    return f"{voice.moment(slot.scheduled_for)}: {why}"
