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
    when = voice.when(one.time, seconds=True)
    return Unread(one.sequence, when, one.subject, said(one.problem, voice), one.excerpt)
