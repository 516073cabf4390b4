"""Everything the page of one run says. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from kronik import in_force
from kronik.events import (
    Abandoned,
    Cancelled,
    Completed,
    Failed,
    JobDefined,
    Recorded,
    Retrying,
    Started,
    Warning,
)
from msgspec import Struct

from services.api.history.overview import Neighbours
from services.api.history.queries import DefinedJob, JobRun
from services.api.job_log import Line
from services.api.panel.views.filters import address
from services.api.panel.views.rows import result_of
from services.api.panel.views.signs import Sign, error_of, sign, title
from services.infra.schedule_words import in_words
from services.words import events
from services.words.events import Told
from services.words.figures import Figure
from services.words.moments import When
from services.words.voice import Voice

_PARAM_LIMIT: Final = 80


class Fact(Struct, frozen=True):
    label: str
    text: str = ""
    when: When | None = None
    run: int | None = None


class Stretch(Struct, frozen=True):
    """A part of a run's time. x, width: in per cent. kind: waiting, or how the attempt ended."""

    kind: str
    x: float
    width: float
    text: str


class Moment(Struct, frozen=True):
    """One event. passed: since the one before."""

    sequence: int
    when: When
    passed: str
    told: Told
    traceback: str


class RunView(Struct, frozen=True, kw_only=True):
    """Everything the page of one run says, but for its events and its log.

    alike: its params, and where the runs are that had the same. why_queued: what it waits for, while it waits.
    usual: what such a run usually takes.
    """

    id: int
    job_type: str
    title: str
    sign: Sign
    took: str
    usual: str
    facts: tuple[Fact, ...]
    why_queued: str
    error: str
    traceback: str
    figures: tuple[Figure, ...]
    result: str
    warnings: tuple[Warning, ...]
    warnings_left_out: int
    params: str
    alike: tuple[tuple[str, str], ...]
    reruns: tuple[int, ...]
    before: int | None
    after: int | None
    can_cancel: bool
    finished: bool


def run_view(
    run: JobRun,
    job: DefinedJob | None,
    then: DefinedJob | None,
    near: Neighbours,
    usual: int | None,
    why_queued: str,
    voice: Voice,
) -> RunView:
    """job: its job; then: as it was when a slot asked for it."""
    definition = job.definition if job else None
    show = definition.show if definition else ()
    return RunView(
        id=run.id,
        job_type=run.job_type,
        title=title(run.job_type, definition, voice),
        sign=sign(run, voice),
        took=_took(run, voice),
        usual=voice.span(usual) if usual is not None else "",
        facts=tuple(_facts(run, job, then, voice)),
        why_queued=why_queued,
        error=error_of(run, voice),
        traceback=run.traceback or "",
        figures=tuple(voice.figures(result_of(run), show)),
        result=indented(run.result_summary.encode()) if run.result_summary else "",
        warnings=tuple(run.warnings),
        warnings_left_out=max(0, run.warning_count - len(run.warnings)),
        params="" if bytes(run.params) == b"{}" else indented(bytes(run.params)),
        alike=tuple(_alike(run)),
        reruns=near.reruns,
        before=near.before,
        after=near.after,
        can_cancel=run.status == "RUNNING" and run.cancel_requested_by is None,
        finished=run.status != "RUNNING",
    )


def _alike(run: JobRun) -> Iterable[tuple[str, str]]:
    """Of each param that is no object or array: `month = 2026-10`."""
    try:
        params = msgspec.json.decode(run.params, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return
    for name, value in params.items():
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if not isinstance(value, dict | list) and 0 < len(text) <= _PARAM_LIMIT and len(name) <= _PARAM_LIMIT:
            yield (
                f"{name} = {text}",
                address("/admin/system/history", [("job", run.job_type), (f"param.{name}", text)]),
            )


def _took(run: JobRun, voice: Voice) -> str:
    if run.duration_ms is not None:
        return voice.span(run.duration_ms)
    if run.phase == "executing":
        return voice.text("%(span)s so far", span=voice.span((voice.now - run.started_at) / timedelta(milliseconds=1)))
    return ""


def _facts(run: JobRun, job: DefinedJob | None, then: DefinedJob | None, voice: Voice) -> Iterable[Fact]:
    yield Fact(voice.text("Asked for"), voice.text("by %(who)s", who=voice.who(run.triggered_by)))
    if run.scheduled_for:
        yield Fact(voice.text("Planned for"), when=voice.when(run.scheduled_for))
    if then and then.schedule:
        yield Fact(voice.text("By the schedule"), _schedule(then, job, voice))
    if run.phase != "queued":
        yield Fact(voice.text("Started"), when=voice.when(run.started_at, seconds=True))
    if run.completed_at:
        yield Fact(voice.text("Ended"), when=voice.when(run.completed_at, seconds=True))
    if run.attempt > 1:
        yield Fact(voice.text("Attempts"), voice.number(run.attempt))
    if run.retry_at:
        yield Fact(voice.text("Next attempt"), when=voice.when(run.retry_at, seconds=True))
    if run.cancel_requested_by and not run.cancelled_by:
        yield Fact(voice.text("Asked to stop"), voice.text("by %(who)s", who=voice.who(run.cancel_requested_by)))
    if run.rerun_of:
        yield Fact(voice.text("Repeats"), run=run.rerun_of)


def _schedule(then: DefinedJob, job: DefinedJob | None, voice: Voice) -> str:
    """`Kl. 02:00 (0 2 * * * Europe/Copenhagen), set by Birgitte; it is another now`."""
    held = then.schedule
    assert held is not None
    said = f"{in_words(held, voice.language.code)} ({held.expression} {held.tz})"
    if (by := in_force.came_from(then.change)["expression"]) != in_force.CODE:
        said += ", " + voice.text("set by %(who)s", who=voice.who(by))
    now = job.schedule if job else None
    if now is None or (now.expression, now.tz) != (held.expression, held.tz):
        said += "; " + voice.text("it is another now")
    return said


def why_queued(
    run: JobRun, definition: JobDefined | None, others: Sequence[JobRun], usual: int | None, voice: Voice
) -> str:
    """`1 of 1 is running: run 356, about 4 min.` others: the job's open runs, the newest first."""
    if run.phase != "queued" or definition is None:
        return ""
    busy = [one for one in others if one.phase in ("executing", "retrying")]
    ahead = [one for one in others if one.phase == "queued" and one.id < run.id]
    said = []
    if busy:
        first, most = busy[-1], definition.concurrency
        text = voice.text("%(n)d of %(most)d are running: run %(id)d", n=len(busy), most=most, id=first.id)
        said.append(text + _to_go(first, usual, voice))
    if ahead:
        said.append(voice.count("%(n)d run waits before it", "%(n)d runs wait before it", len(ahead)))
    if not said:
        said.append(voice.text("it waits for a runner to take it"))
    return ". ".join(one[:1].upper() + one[1:] for one in said) + "."


def _to_go(run: JobRun, usual: int | None, voice: Voice) -> str:
    left = timedelta(milliseconds=usual or 0) - (voice.now - run.started_at)
    return voice.text(", about %(span)s to go", span=voice.about(left)) if left > timedelta(0) else ""


def timeline(recorded: Sequence[Recorded], voice: Voice) -> list[Moment]:
    """In the order of the stream, the trigger first."""
    before: datetime | None = None
    found = []
    for one in recorded:
        passed = "" if before is None else f"+{voice.span((one.time - before) / timedelta(milliseconds=1))}"
        traceback = getattr(one.data, "traceback", None) or ""
        found.append(Moment(one.sequence, voice.when(one.time), passed, events.told(one.data, voice), traceback))
        before = one.time
    return found


def stretches(recorded: Sequence[Recorded], voice: Voice) -> list[Stretch]:
    """queued | attempt 1 | wait | attempt 2: what became of the run's time."""
    if not recorded:
        return []
    first = recorded[0].time
    ended = next((one.time for one in recorded if isinstance(one.data, Completed | Failed | Cancelled)), voice.now)
    whole = max((ended - first) / timedelta(milliseconds=1), 1.0)
    found: list[Stretch] = []
    at, kind, text = first, "queued", voice.text("Queued")
    for one in recorded[1:]:
        follows = _follows(one.data, voice)
        if follows is None:
            continue
        outcome, next_kind, next_text = follows
        drawn = outcome if kind == "executing" and outcome else kind
        found.append(_stretch(drawn, text, at, one.time, first, whole, voice))
        at, kind, text = one.time, next_kind, next_text
        if not next_kind:
            return found
    return [*found, _stretch(kind, text, at, ended, first, whole, voice)]


def _follows(event: Any, voice: Voice) -> tuple[str, str, str] | None:
    """How the attempt before ended, and what begins with this event; None for an event that ends nothing."""
    match event:
        case Started():
            return "", "executing", voice.text("Attempt %(n)d", n=event.attempt)
        case Retrying() | Abandoned():
            return "failed", "retrying", voice.text("Wait")
        case Completed():
            return ("partial" if event.warning_count or event.warnings else "success"), "", ""
        case Failed() | Cancelled():
            return "failed", "", ""
    return None


def _stretch(
    kind: str, text: str, start: datetime, end: datetime, first: datetime, whole: float, voice: Voice
) -> Stretch:
    ms = (end - start) / timedelta(milliseconds=1)
    x = round(100 * ((start - first) / timedelta(milliseconds=1)) / whole, 2)
    return Stretch(kind, x, round(max(0.4, 100 * ms / whole), 2), f"{text}: {voice.span(max(ms, 0))}")


class LogLine(Struct, frozen=True):
    """What a job wrote to its log. id: its place in the log."""

    id: int
    when: When
    text: str
    level: str


def log_lines(lines: Iterable[tuple[int, Line]], voice: Voice) -> list[LogLine]:
    return [_log_line(place, line, voice) for place, line in lines]


def _log_line(place: int, line: Line, voice: Voice) -> LogLine:
    fields = (f"{name}={value}" for name, value in line.fields.items())
    level = line.level if line.level in ("debug", "info", "warning", "error") else "info"
    return LogLine(place, voice.when(line.time), " ".join((line.event, *fields)), level)


def indented(json: bytes) -> str:
    try:
        return msgspec.json.format(json, indent=2).decode("utf-8", "replace")
    except (msgspec.DecodeError, RecursionError):
        return json.decode("utf-8", "replace")
