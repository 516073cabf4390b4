"""A run's state as it is drawn and said. Pure."""

from typing import Final, Literal

from kronik.events import JobDefined
from kronik.show import Text
from msgspec import Struct

from services.api.history.overview import Bar
from services.api.history.queries import JobRun
from services.words.sentences import said
from services.words.voice import Voice

Kind = Literal["success", "partial", "failed", "cancelled", "queued", "executing", "retrying"]
Tone = Literal["success", "warning", "error", "info", "quiet"]

EMOJI: Final[dict[Kind, str]] = {
    "success": "✅",
    "partial": "⚠️",
    "failed": "❌",
    "cancelled": "❌",
    "queued": "⏳",
    "executing": "🔄",
    "retrying": "🔁",
}
_TONE: Final[dict[Kind, Tone]] = {
    "success": "success",
    "partial": "warning",
    "failed": "error",
    "cancelled": "error",
    "queued": "quiet",
    "executing": "info",
    "retrying": "warning",
}


class Sign(Struct, frozen=True):
    """kind: which drawing. text: the same in words. emoji: for where drawings are not seen."""

    kind: Kind
    text: str
    tone: Tone
    emoji: str


def kind_of(run: JobRun | Bar) -> Kind:
    match run.status:
        case "SUCCESS":
            return "success"
        case "PARTIAL":
            return "partial"
        case "FAILED":
            return "cancelled" if run.cancelled_by else "failed"
    match run.phase:
        case "queued":
            return "queued"
        case "retrying":
            return "retrying"
    return "executing"


def sign(run: JobRun, voice: Voice) -> Sign:
    kind = kind_of(run)
    text = voice.text("Is being cancelled") if _stopping(run) else word(kind, voice)
    return Sign(kind, text, _TONE[kind], EMOJI[kind])


def word(kind: Kind, voice: Voice) -> str:
    match kind:
        case "success":
            return voice.text("Completed")
        case "partial":
            return voice.text("Partial failure")
        case "failed":
            return voice.text("Failed")
        case "cancelled":
            return voice.text("Cancelled")
        case "queued":
            return voice.text("Queued")
        case "retrying":
            return voice.text("Waiting for the next attempt")
        case "executing":
            return voice.text("Running")


def _stopping(run: JobRun) -> bool:
    return run.status == "RUNNING" and run.cancel_requested_by is not None


def title(job_type: str, definition: JobDefined | None, voice: Voice) -> str:
    """The job's own title, else its type as words: `HEYNABO_IMPORT` → `Heynabo import`."""
    return title_of(job_type, definition.title if definition else None, voice)


def title_of(job_type: str, texts: Text | None, voice: Voice) -> str:
    return voice.pick(texts or {}, job_type.replace("_", " ").capitalize())


def described(definition: JobDefined, voice: Voice) -> str:
    """What the job does, in the reader's language where its author has written it in that, too."""
    return definition.descriptions.get(voice.language.code) or definition.description


def error_of(run: JobRun, voice: Voice) -> str:
    """Its error, in the reader's language where it is Kronik's own; of a cancelled run who cancelled it, by name."""
    if run.cancelled_by:
        return voice.text("Cancelled by %(who)s", who=voice.who(run.cancelled_by))
    return said(run.error_message or "", voice)


def in_a_line(text: str, limit: int) -> str:
    """The first line, cut where it is too long."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return first if len(first) <= limit else first[: limit - 1].rstrip() + "…"
