"""Messages of the stream that could not be read. Pure."""

from msgspec import Struct

from services.api.history.projections import Parked
from services.words.moments import When
from services.words.sentences import said
from services.words.voice import Voice


class Unread(Struct, frozen=True):
    sequence: int
    when: When
    subject: str
    problem: str
    excerpt: str


def parked(one: Parked, voice: Voice) -> Unread:
    """What it says of its subject is said of the subject, which stands beside it."""
    when, problem = voice.when(one.time, seconds=True), said(one.problem.removeprefix(f"{one.subject}: "), voice)
    return Unread(one.sequence, when, one.subject, problem[:1].upper() + problem[1:], one.excerpt)
