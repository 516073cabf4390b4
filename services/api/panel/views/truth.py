"""What is proved of the history, and what could not be read. Pure."""

from msgspec import Raw, Struct

from services.api.history.projections import Parked
from services.api.history.work import Kind, Work
from services.api.panel.views.run import indented
from services.words.moments import When
from services.words.voice import Voice


class Proof(Struct, frozen=True, kw_only=True):
    """A rebuild or a verify, the one that runs or the last. diff, report: JSON."""

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
    figures: str
    diff: str
    report: str
    problem: str


class Unread(Struct, frozen=True):
    sequence: int
    when: When
    subject: str
    problem: str
    excerpt: str


def proof(kind: Kind, found: Work | None, voice: Voice) -> Proof:
    running = found is not None and found.state in ("running", "waiting")
    return Proof(
        kind=kind,
        title=voice.text("Verify") if kind == "verify" else voice.text("Rebuild"),
        about=_about(kind, voice),
        state=_state(found, voice),
        running=running,
        waiting=found is not None and found.state == "waiting",
        who=voice.who(found.by) if found else "",
        when=voice.when(found.begun_at) if found else None,
        done=found.position if found else 0,
        total=found.total if found else 0,
        figures=_figures(found, voice) if found else "",
        diff=_json(found.diff) if found else "",
        report=_json(found.report) if found else "",
        problem=(found.problem or "") if found else "",
    )


def _about(kind: Kind, voice: Voice) -> str:
    if kind == "verify":
        return voice.text(
            "Folds the event stream afresh and compares it with the history, row by row. Changes nothing."
        )
    return voice.text("Makes the history anew from the event stream, shows the difference, and swaps when you say so.")


def _state(found: Work | None, voice: Voice) -> str:
    match found and found.state:
        case "running":
            return voice.text("at work")
        case "waiting":
            return voice.text("waits for your word")
        case "done":
            return voice.text("done")
        case "failed":
            return voice.text("failed")
        case "cancelled":
            return voice.text("cancelled")
        case "lost":
            return voice.text("its process is gone")
    return voice.text("never yet")


def _figures(found: Work, voice: Voice) -> str:
    done, total = voice.number(found.position), voice.number(found.total)
    return voice.text("%(done)s of %(total)s events", done=done, total=total) + f" · {voice.span(found.seconds * 1000)}"


def _json(raw: Raw | None) -> str:
    return indented(bytes(raw)) if raw is not None else ""


def parked(one: Parked, voice: Voice) -> Unread:
    return Unread(one.sequence, voice.when(one.time, seconds=True), one.subject, one.problem, one.excerpt)
