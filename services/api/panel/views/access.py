"""People and tokens, in words. Pure."""

from msgspec import Struct

from services.api.access.store import Person, Role, Token
from services.words.moments import When
from services.words.voice import Voice


class Shown(Struct, frozen=True):
    """A person, or a token of one. sessions: how many are signed in; ended: since when a token is not accepted."""

    name: str
    role: str
    since: When
    token: str = ""
    sessions: int = 0
    ended: When | None = None


def person(one: Person, voice: Voice) -> Shown:
    return Shown(one.name, role(one.role, voice), voice.when(one.created_at), sessions=one.sessions)


def token(one: Token, voice: Voice) -> Shown:
    ended = voice.when(one.revoked_at) if one.revoked_at else None
    return Shown(one.account, role(one.role, voice), voice.when(one.created_at), token=one.name, ended=ended)


def role(name: Role, voice: Voice) -> str:
    match name:
        case "viewer":
            return voice.text("viewer: reads")
        case "operator":
            return voice.text("operator: also runs and cancels")
    return voice.text("admin: also changes schedules")
