"""A rebuild or a verify in words: how far it is, what a swap changes, what came of it. Pure."""

from collections.abc import Iterable
from typing import Final, Literal, TypeVar

import msgspec
from msgspec import Raw, Struct

from services.api.history.rebuild import Diff, RebuildReport
from services.api.history.verify import Difference, VerifyReport
from services.api.history.work import Kind, Work
from services.words.figures import Figure
from services.words.language import marked
from services.words.moments import When
from services.words.sentences import said
from services.words.voice import Voice

_LISTED: Final = 100
_Report = TypeVar("_Report", bound=Struct)

_STATE: Final = {
    "running": marked("at work"),
    "waiting": marked("waits for your word"),
    "done": marked("done"),
    "failed": marked("failed"),
    "cancelled": marked("cancelled"),
    "lost": marked("its process is gone"),
}
_PHASE: Final = {
    "starting": marked("begins"),
    "folding": marked("reads the events"),
    "indexing": marked("builds the indexes"),
    "catching up": marked("catches up with what came meanwhile"),
    "comparing": marked("compares"),
    "swapping": marked("swaps"),
}
_TABLE: Final = {
    "run": marked("Run"),
    "param": marked("Index of parameters"),
    "job": marked("Definition"),
    "schedule": marked("Schedule"),
    "slot": marked("Skipped slot"),
    "parked": marked("Message that can't be read"),
    "idempotency": marked("Key of a run"),
    "tally": marked("Count"),
}
_HOW: Final = {
    "missing": marked("is missing"),
    "surplus": marked("should not be there"),
    "changed": marked("is otherwise"),
}


class Shown(Struct, frozen=True):
    """A row that is served otherwise than the events tell. run: its id, where it is a run."""

    what: str
    run: str
    how: str
    field: str
    served: str
    told: str


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of it. fields: which fields of the runs differ, and of how many; more: differences not shown."""

    tone: Literal["success", "warning"]
    text: str
    figures: tuple[Figure, ...] = ()
    changes: tuple[Figure, ...] = ()
    fields: tuple[Figure, ...] = ()
    differences: tuple[Shown, ...] = ()
    more: int = 0


class Proof(Struct, frozen=True, kw_only=True):
    """The one that runs, or the last. progress: how far it is; to_come: what its swap would change."""

    kind: Kind
    title: str
    about: str
    state: str
    running: bool
    waiting: bool
    who: str
    when: When | None
    done: int
    total: int
    progress: str
    to_come: Outcome | None
    outcome: Outcome | None
    problem: str


def proof(kind: Kind, found: Work | None, voice: Voice) -> Proof:
    running = found is not None and found.state in ("running", "waiting")
    return Proof(
        kind=kind,
        title=voice.text("Verify") if kind == "verify" else voice.text("Rebuild"),
        about=_about(kind, voice),
        state=voice.text(_STATE[found.state]) if found else voice.text("never yet"),
        running=running,
        waiting=found is not None and found.state == "waiting",
        who=voice.who(found.by) if found else "",
        when=voice.when(found.begun_at) if found else None,
        done=found.position if found else 0,
        total=found.total if found else 0,
        progress=_progress(found, voice) if found else "",
        to_come=_to_come(found.diff, voice) if found and running else None,
        outcome=_outcome(found, voice) if found and found.state == "done" else None,
        problem=said(found.problem or "", voice) if found and found.state != "cancelled" else "",
    )


def _about(kind: Kind, voice: Voice) -> str:
    if kind == "verify":
        return voice.text(
            "Folds the event stream afresh and compares it with the history, row by row. Changes nothing."
        )
    return voice.text("Makes the history anew from the event stream, shows the difference, and swaps when you say so.")


def _progress(found: Work, voice: Voice) -> str:
    done, total = voice.number(found.position), voice.number(found.total)
    doing = voice.text(_PHASE[found.phase]) if found.state == "running" and found.phase in _PHASE else ""
    events = voice.text("%(done)s of %(total)s events", done=done, total=total)
    return " · ".join(filter(None, (doing, events, voice.span(found.seconds * 1000))))


def _to_come(raw: Raw | None, voice: Voice) -> Outcome | None:
    diff = _read(raw, Diff)
    if diff is None:
        return None
    tone, text = _changing(diff, voice)
    return Outcome(tone=tone, text=text, changes=_changes(diff, voice), fields=_fields(diff.fields, voice))


def _outcome(found: Work, voice: Voice) -> Outcome | None:
    if found.kind == "verify":
        verified = _read(found.report, VerifyReport)
        return _verified(verified, voice) if verified else None
    rebuilt = _read(found.report, RebuildReport)
    return _rebuilt(rebuilt, voice) if rebuilt else None


def _read(raw: Raw | None, kind: type[_Report]) -> _Report | None:
    """None too for what an earlier version wrote otherwise."""
    try:
        return None if raw is None else msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:
        return None


def _changing(of: Diff | RebuildReport, voice: Voice) -> tuple[Literal["success", "warning"], str]:
    if of.added is None:
        return "success", voice.text("There was no history to compare it with: all of it is new.")
    if not (of.added or of.changed or of.removed):
        return "success", voice.text("Nothing: the history is what the events tell.")
    return "warning", voice.text("The history is not what the events tell:")


def _changes(of: Diff | RebuildReport, voice: Voice) -> tuple[Figure, ...]:
    counts = (
        (voice.text("Runs that come in"), of.added),
        (voice.text("Runs that change"), of.changed),
        (voice.text("Runs that go out"), of.removed),
    )
    return tuple(Figure(label, voice.number(count)) for label, count in counts if count is not None)


def _fields(fields: dict[str, int], voice: Voice) -> tuple[Figure, ...]:
    by_count = sorted(fields.items(), key=lambda one: (-one[1], one[0]))
    return tuple(Figure(name, voice.count("in %(n)d run", "in %(n)d runs", count)) for name, count in by_count)


def _rebuilt(report: RebuildReport, voice: Voice) -> Outcome:
    tone, text = _changing(report, voice)
    why = said(report.mismatch, voice) if report.mismatch else ""
    figures = (
        *_read_events(report, voice),
        Figure(voice.text("Runs"), voice.number(report.runs)),
        Figure(voice.text("Runs from before the first event, kept as they were"), voice.number(report.carried_over)),
        Figure(voice.text("Messages that can't be read"), voice.number(report.parked)),
        Figure(voice.text("Events a second"), voice.number(round(report.events_per_s))),
    )
    return Outcome(
        tone=tone,
        text=" ".join(filter(None, (text, why))),
        figures=figures,
        changes=_changes(report, voice),
        fields=_fields(report.fields, voice),
    )


def _verified(report: VerifyReport, voice: Voice) -> Outcome:
    text = voice.text("The history is what the events tell, row by row.")
    if not report.ok:
        text = voice.count(
            "%(n)d row is served otherwise than the events tell. A rebuild puts it right.",
            "%(n)d rows are served otherwise than the events tell. A rebuild puts them right.",
            report.differing,
        )
    shown = report.differences[:_LISTED]
    return Outcome(
        tone="success" if report.ok else "warning",
        text=text,
        figures=(
            *_read_events(report, voice),
            Figure(voice.text("Runs compared"), voice.number(report.runs)),
            Figure(voice.text("Runs from before the first event, not compared"), voice.number(report.too_old)),
            Figure(voice.text("Rows that differ"), voice.number(report.differing)),
        ),
        differences=tuple(_difference(one, voice) for one in shown),
        more=len({(one.table, one.id) for one in report.differences[_LISTED:]}),
    )


def _read_events(report: RebuildReport | VerifyReport, voice: Voice) -> Iterable[Figure]:
    first, last = voice.number(report.first), voice.number(report.last)
    yield Figure(voice.text("Events read"), f"{first} – {last}")
    yield Figure(voice.text("Duration"), voice.span(report.seconds * 1000))


def _difference(one: Difference, voice: Voice) -> Shown:
    table = voice.text(_TABLE[one.table]) if one.table in _TABLE else one.table
    is_run = one.table == "run"
    return Shown(
        what=f"{table} {one.id}",
        run=one.id if is_run and one.kind != "missing" else "",
        how=voice.text(_HOW[one.kind]),
        field=one.field or "",
        served=one.served or "",
        told=one.folded or "",
    )
