"""A run's events, told one by one. Pure."""

from collections.abc import Iterable
from datetime import datetime

from kronik.events import Recorded
from msgspec import Struct

from services.api.panel.moments import ZONE, clock
from services.api.panel.presentation import Tone, When, when
from services.words import events
from services.words.language import Language
from services.words.voice import Voice


class Moment(Struct, frozen=True):
    """One event. text: what happened, in a line; detail: what more it says."""

    sequence: int
    clock: str
    when: When
    text: str
    detail: str = ""
    tone: Tone | None = None


def timeline(events_: Iterable[Recorded], now: datetime, language: Language) -> list[Moment]:
    """In the order of the stream, the trigger first."""
    voice = Voice(language=language, zone=ZONE, now=now)
    return [_moment(recorded, voice) for recorded in events_]


def _moment(recorded: Recorded, voice: Voice) -> Moment:
    said = events.told(recorded.data, voice)
    at = when(recorded.time, voice.now, voice.language)
    return Moment(recorded.sequence, clock(recorded.time), at, said.text, said.detail, said.tone)
