"""Events on the command line: a line of words each, or a line of JSON."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from kronik.events import TYPE_OF, AnyEvent, BadTrigger, Recorded, Triggered, Unknown
from msgspec import Struct

from services.infra.clock import SystemClock
from services.words import events
from services.words.language import language
from services.words.voice import Voice

_STYLES = {"success": "green", "warning": "yellow", "error": "red", "info": "cyan"}


class Words(Struct, frozen=True):
    """What happened, and the particulars. style: a colour for the first."""

    name: str
    details: str = ""
    style: str = ""


def words(data: AnyEvent | Unknown | BadTrigger, names: Mapping[str, str] = MappingProxyType({})) -> Words:
    """In English, by this machine's clock. names: of accounts, by their ids."""
    told = events.told(data, Voice(language=language("en"), zone=None, now=SystemClock().now(), names=names))
    particulars = msgspec.json.encode(told.data).decode() if told.data else ""
    details = " ".join(filter(None, (" ".join(told.detail.splitlines()), particulars)))
    return Words(told.text, details, _STYLES.get(told.tone or "", ""))


class Line(Struct, frozen=True, rename="camel"):
    """An event as `--json` prints it."""

    sequence: int
    time: Any
    subject: str
    id: str
    type: str
    data: Any


def as_json(recorded: Recorded) -> Line:
    match recorded.data:
        case Unknown(type=kind, data=body):
            pass
        case BadTrigger() as body:
            kind = TYPE_OF[Triggered]
        case body:
            kind = TYPE_OF[type(body)]
    return Line(recorded.sequence, recorded.time, recorded.subject, recorded.id, kind, body)
