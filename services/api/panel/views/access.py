"""People, tokens and sessions, in words. Pure."""

import re
from typing import Final

from msgspec import Struct

from services.api.access.store import Person, Role, Session, Token
from services.words.moments import When
from services.words.voice import Voice

_BROWSERS: Final = (
    ("Edge", "Edg"),
    ("Opera", "OPR"),
    ("Firefox", "Firefox|FxiOS"),
    ("Chrome", "Chrome|CriOS"),
    ("Safari", "Safari"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("macOS", "Macintosh"),
    ("Linux", "Linux"),
)
_AGENT_LIMIT: Final = 60


class Shown(Struct, frozen=True, kw_only=True):
    """A person, a token of one, or a session. sessions: how many are signed in; ended: since when a token is refused.

    used: when it was used last; place: from where. until: when a session ends by itself.
    """

    name: str
    role: str
    since: When
    token: str = ""
    sessions: int = 0
    ended: When | None = None
    used: When | None = None
    place: str = ""
    until: When | None = None


def person(one: Person, voice: Voice) -> Shown:
    return Shown(name=one.name, role=role(one.role, voice), since=voice.when(one.created_at), sessions=one.sessions)


def token(one: Token, voice: Voice) -> Shown:
    return Shown(
        name=one.account,
        role=role(one.role, voice),
        since=voice.when(one.created_at),
        token=one.name,
        ended=voice.when(one.revoked_at) if one.revoked_at else None,
        used=voice.when(one.used_at) if one.used_at else None,
        place=one.used_from,
    )


def session(one: Session, voice: Voice) -> Shown:
    return Shown(
        name=one.account,
        role=role(one.role, voice),
        since=voice.when(one.created_at),
        used=voice.when(one.used_at) if one.used_at else None,
        place=place(one.address, one.agent),
        until=voice.when(one.expires_at),
    )


def place(address: str, agent: str) -> str:
    """`127.0.0.1 · Firefox, Linux`."""
    return " · ".join(filter(None, (address, browser(agent))))


def browser(agent: str) -> str:
    """What a browser calls itself, in short; what no browser calls itself as it is."""
    names = [
        next((name for name, known in among if re.search(rf"\b(?:{known})\b", agent)), "")
        for among in (_BROWSERS, _SYSTEMS)
    ]
    return ", ".join(filter(None, names)) or agent[:_AGENT_LIMIT]


def role(name: Role, voice: Voice) -> str:
    match name:
        case "viewer":
            return voice.text("viewer: reads")
        case "operator":
            return voice.text("operator: also runs and cancels")
    return voice.text("admin: also changes schedules")
