"""CloudEvents 1.0, structured JSON: what stands around every event in the stream.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, defstruct

Instant = Annotated[datetime, Meta(tz=True)]
ID_LIMIT: Final = 256
"""Characters of an event's id."""


class Envelope(Struct, frozen=True, kw_only=True):
    """Unknown attributes are ignored, so that newer writers don't stop older readers.

    id: what a repeat is recognised by. source: who wrote it.
    type: `kronik.<noun>.<verb>.v<version>`.
    time: when the writer decided it, UTC. Histories use the stream's own time instead: one clock.
    subject: whom it is about: a run's id, or a job type.
    causationid: the id of the event that led to this one. correlationid, traceparent: passed through.
    """

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str, Meta(min_length=1, max_length=ID_LIMIT)]
    source: str
    type: str
    time: Instant
    subject: str | UnsetType = UNSET
    data: Raw = Raw(b"{}")
    correlationid: str | UnsetType = UNSET
    causationid: str | UnsetType = UNSET
    traceparent: str | UnsetType = UNSET


def envelope_of(event: type[Struct], name: str) -> type[Struct]:
    """The envelope whose `type` is name and whose `data` is this event: decodes both in one pass."""
    fields: list[tuple[str, Any]] = [("type", Literal[name]), ("data", event)]
    return defstruct(f"{event.__name__}Envelope", fields, bases=(Envelope,), frozen=True, kw_only=True)
