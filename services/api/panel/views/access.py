"""People, tokens and sessions, in words. Pure."""

import re
from typing import Final

from msgspec import Struct

from services.api.access.store import Person, Role, Session, Token
from services.words.moments import When
from services.words.voice import Voice

_BROWSERS: Final = (
    ("Edge", "Edg|EdgA|EdgiOS|Edge"),
    ("Opera", "OPR|OPT|Opera"),
    ("Samsung Internet", "SamsungBrowser"),
    ("Vivaldi", "Vivaldi"),
    ("Firefox", "Firefox|FxiOS"),
    ("Chrome (headless)", "HeadlessChrome"),
    ("Chromium", "Chromium"),
    ("Chrome", "Chrome|CriOS"),
    ("Safari", "Safari"),
)
"""In this order: each calls itself all that come after it as well."""
_BOT: Final = re.compile(r"\b\w*(?:bot|spider|crawler)\b", re.IGNORECASE)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("ChromeOS", "CrOS"),
    ("macOS", "Macintosh"),
    ("Linux", "Linux"),
)
_AGENT_LIMIT: Final = 60


class Shown(Struct, frozen=True, kw_only=True):
    """A person, a token of one, or a session. sessions: how many are signed in; ended: since when a token is refused.

    used: when it was used last; place: from where. until: when a session ends by itself. own: the reader's own session.
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
    id: str = ""
    own: bool = False


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
        id=one.id,
    )


def session(one: Session, own: str, voice: Voice) -> Shown:
    """own: the id of the reader's session."""
    return Shown(
        name=one.account,
        role=role(one.role, voice),
        since=voice.when(one.created_at),
        used=voice.when(one.used_at) if one.used_at else None,
        place=place(one.address, one.agent),
        until=voice.when(one.expires_at),
        id=one.id,
        own=one.id == own,
    )


def place(address: str, agent: str) -> str:
    """`127.0.0.1 · Firefox, Linux`."""
    return " · ".join(filter(None, (address, browser(agent))))


def browser(agent: str) -> str:
    """What a browser calls itself, in short; what no browser calls itself as it is."""
    if bot := _BOT.search(agent):
        return bot[0][:_AGENT_LIMIT]
    name = _first(_BROWSERS, agent)
    return ", ".join(filter(None, (name, _first(_SYSTEMS, agent)))) if name else agent[:_AGENT_LIMIT]


def _first(among: tuple[tuple[str, str], ...], agent: str) -> str:
    return next((name for name, known in among if re.search(rf"\b(?:{known})\b", agent, re.IGNORECASE)), "")


def role(name: Role, voice: Voice) -> str:
    match name:
        case "viewer":
            return voice.text("viewer: reads")
        case "operator":
            return voice.text("operator: also runs and cancels")
    return voice.text("admin: also changes schedules")
