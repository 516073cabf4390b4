"""Events to bytes and back. Strict with what Kronik writes, lenient with triggers from outside."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from kronik import subjects
from kronik.envelope import ID_LIMIT, Envelope, envelope_of
from kronik.errors import InvalidEvent, InvalidName, InvalidTrigger
from kronik.events import (
    RUN_EVENT_NAME,
    TYPE_OF,
    AnyEvent,
    BadTrigger,
    JobDefined,
    Pause,
    Recorded,
    Retrying,
    RunEvent,
    ScheduleChanged,
    ServiceChanged,
    SlotFired,
    SlotSkipped,
    Triggered,
    TriggerRefused,
    Unknown,
)
from kronik.text import clean
from kronik.upcasters import upcast

PARAMS_LIMIT: Final = 64 * 1024
"""Bytes a trigger's body may have."""
_READ_LIMIT: Final = 256 * 1024
"""Bytes it might have in version 0.1, whose runs keep their params."""
DEPTH_LIMIT: Final = 64
"""Levels of arrays and objects a body may have: far from the end of any reader's stack, so that all read the same."""
_ENVELOPE_DEPTH: Final = 2
"""Levels that envelope and data put around the params or the result."""

_OWN_TRIGGER: Final = "kronik.run.triggered."
_STRUCTURED: Final = "application/cloudevents"
_ATTRIBUTES: Final = frozenset({"specversion", "id", "source", "type", "subject", "correlationid", "traceparent"})
_ONLY_OURS: Final = ("userId", "scheduledFor", "rerunOf")
_BOM: Final = b"\xef\xbb\xbf"
_NUL: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
"""The one way NUL can stand in valid JSON; after an even number of backslashes, which are text."""
_STRING_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)

_envelopes: Final = msgspec.json.Decoder(Envelope)
_anything: Final = msgspec.json.Decoder()
_data: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    name: msgspec.json.Decoder(event) for event, name in TYPE_OF.items()
}
_envelopes_of: Final[dict[type, msgspec.json.Decoder[Any]]] = {
    event: msgspec.json.Decoder(envelope_of(event, name)) for event, name in TYPE_OF.items()
}
_run_envelopes: Final = {token: _envelopes_of[event] for event, token in RUN_EVENT_NAME.items()}
_trigger_envelopes: Final = _envelopes_of[Triggered]
_instants: Final[dict[type, str]] = {
    Triggered: "scheduled_for",
    Retrying: "retry_at",
    SlotFired: "scheduled_for",
    SlotSkipped: "scheduled_for",
    Pause: "until",
    ScheduleChanged: "pause",
}
_encoder: Final = msgspec.json.Encoder()

_Data = TypeVar("_Data", bound=msgspec.Struct)


def encode(
    event: AnyEvent,
    *,
    id: str,
    source: str,
    time: datetime,
    about: str = "",
    causation: str | None = None,
    correlation_id: str | None = None,
    traceparent: str | None = None,
) -> bytes:
    """The event in its envelope, as structured-mode CloudEvents JSON.

    Raises InvalidEvent for what JSON can't hold and for what `decode` would not read back.
    """
    name = TYPE_OF[type(event)]
    try:
        data = msgspec.Raw(_encoder.encode(event))
        envelope = Envelope(
            id=id,
            source=source,
            type=name,
            time=time,
            subject=about or msgspec.UNSET,
            causationid=causation or msgspec.UNSET,
            correlationid=correlation_id or msgspec.UNSET,
            traceparent=traceparent or msgspec.UNSET,
            data=data,
        )
        body = _encoder.encode(envelope)
        _envelopes_of[type(event)].decode(body)
    except (msgspec.MsgspecError, RecursionError, TypeError, ValueError, OverflowError) as error:
        raise InvalidEvent(f"{type(event).__name__} can't be written as JSON: {clean(str(error), 300)}") from error
    if is_too_deep(body):
        raise InvalidEvent(f"{type(event).__name__} is nested too deeply; at most {DEPTH_LIMIT} levels are allowed")
    if isinstance(event, Triggered):
        _refuse_what_no_trigger_carries(event, body)
    return body


def _refuse_what_no_trigger_carries(event: Triggered, body: bytes) -> None:
    """A trigger is read more strictly than any other event; in those, NUL is replaced as they are read."""
    if len(body) > PARAMS_LIMIT:
        raise InvalidEvent(f"Triggered has {len(body)} bytes; at most {PARAMS_LIMIT} are allowed")
    try:
        _refuse_nul(body)
        _refuse_triggered_by(event.params)
    except InvalidTrigger as error:
        raise InvalidEvent(f"Triggered would not be read back: {error}") from error


def check_params(params: dict[str, Any]) -> None:
    """Raises InvalidTrigger for params that no job could be given, because no trigger can carry them.

    For who publishes triggers, to refuse them at once; published all the same, they become a failed run.
    """
    try:
        body = _encoder.encode(params)
    except (RecursionError, TypeError, ValueError, OverflowError) as error:
        raise InvalidTrigger(f"the params can't be written as JSON: {clean(str(error), 300)}") from error
    if is_too_deep(body, DEPTH_LIMIT - _ENVELOPE_DEPTH):
        raise InvalidTrigger(f"nested too deeply; at most {DEPTH_LIMIT - _ENVELOPE_DEPTH} levels are allowed")
    if len(body) > PARAMS_LIMIT:
        raise InvalidTrigger(_too_large(body))
    _refuse_triggered_by(_document(body))


def binary_attributes(headers: Mapping[str, str] | None) -> dict[str, str] | None:
    """The attributes of a CloudEvent in binary mode, whose body is its data: headers that begin with `ce-`.

    None for every other message. Their text is a stranger's.
    Source: the NATS protocol binding of CloudEvents 1.0, §3.1.
    """
    if not headers:
        return None
    named = {name.lower(): value for name, value in headers.items()}
    if "ce-specversion" not in named or named.get("content-type", "").lower().startswith(_STRUCTURED):
        return None
    return {name[3:]: unquote(value) for name, value in named.items() if name[:3] == "ce-" and name[3:] in _ATTRIBUTES}


def decode(
    subject: str,
    body: bytes,
    *,
    sequence: int,
    time: datetime,
    msg_id: str | None = None,
    attributes: Mapping[str, str] | None = None,
    place: subjects.Subject | None = None,
) -> Recorded:
    """One stored message, read: its text free of NUL and lone surrogates, its instants in UTC.

    attributes: see binary_attributes; of a trigger of another service's alone, for Kronik writes none so.
    place: the subject, where it has been parsed.
    A trigger always becomes Triggered or BadTrigger. Raises InvalidName for a subject that is not
    Kronik's and InvalidEvent for a body that can't be read; both are for the projector to park.
    """
    place = place or subjects.parse(subject)
    if type(place) is subjects.TriggerSubject:
        return _decode_trigger(place, subject, body, sequence, time, msg_id, attributes)
    if b"\\u0000" in body:
        body = _NUL.sub(rb"\1\\ufffd", body)
    try:
        envelope, data = _expected(place, body) or _examined(place, body)
        return Recorded(
            sequence,
            subject,
            time,
            envelope.id,
            _in_utc(data),
            envelope.source,
            envelope.correlationid or None,
            envelope.traceparent or None,
        )
    except (msgspec.MsgspecError, RecursionError, ValueError, OverflowError) as error:
        raise InvalidEvent(f"{subject}: {clean(str(error), 300)}") from error


def _expected(place: subjects.Subject, body: bytes) -> tuple[Envelope, AnyEvent] | None:
    """The short way for nearly all of the stream: today's version of the run event that the subject names."""
    if type(place) is not subjects.RunSubject:
        return None
    try:
        envelope = _run_envelopes[place.event].decode(body)
    except msgspec.MsgspecError:
        return None
    return envelope, envelope.data


def _examined(place: subjects.Subject, body: bytes) -> tuple[Envelope, AnyEvent | Unknown]:
    envelope = _envelopes.decode(body)
    data = _decode_data(envelope)
    if not _fits(place, data):
        raise InvalidEvent(f"an event of type {clean(envelope.type, 80)} does not belong on a subject of {place}")
    return envelope, data


def _decode_data(envelope: Envelope) -> AnyEvent | Unknown:
    raw = _anything.decode(envelope.data)
    newest, data = _upcast(envelope.type, raw)
    decoder = _data.get(newest)
    if decoder is None:
        return Unknown(envelope.type, raw)
    event: AnyEvent = msgspec.convert(data, decoder.type)
    return event


def _upcast(name: str, raw: Any) -> tuple[str, Any]:
    """Data of an old type can be anything at all: an upcaster that fails on it is no surprise."""
    try:
        return upcast(name, raw)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InvalidEvent(f"data is not that of {clean(name, 80)}: {clean(repr(error), 300)}") from error


def _fits(place: subjects.Subject, data: AnyEvent | Unknown) -> bool:
    """An event on a subject of another kind would be folded as what it is not."""
    match place:
        case _ if isinstance(data, Unknown):
            return True
        case subjects.RunSubject(event=event):
            return isinstance(data, RunEvent) and RUN_EVENT_NAME[type(data)] == event
        case subjects.SlotSubject(outcome=outcome):
            return data.outcome == outcome if isinstance(data, SlotSkipped) else _is_fired(data, outcome)
        case subjects.RefusalSubject():
            return isinstance(data, TriggerRefused)
        case subjects.DefinitionSubject(job_type=job_type):
            return isinstance(data, JobDefined) and data.job_type == job_type
        case subjects.ServiceSubject():
            return isinstance(data, ServiceChanged)
        case _:
            return isinstance(data, ScheduleChanged)


def _is_fired(data: AnyEvent | Unknown, outcome: str) -> bool:
    return isinstance(data, SlotFired) and outcome == "fired"


def _in_utc(data: _Data) -> _Data:
    """Raises OverflowError for an instant that is off the calendar in UTC."""
    field = _instants.get(type(data))
    if field is None:
        return data
    instant = getattr(data, field)
    if isinstance(instant, Pause):
        return replace(data, **{field: _in_utc(instant)})
    if instant is None or instant.tzinfo is UTC:
        return data
    return replace(data, **{field: instant.astimezone(UTC)})


def _decode_trigger(
    place: subjects.TriggerSubject,
    subject: str,
    body: bytes,
    sequence: int,
    time: datetime,
    msg_id: str | None,
    attributes: Mapping[str, str] | None,
) -> Recorded:
    data: Triggered | BadTrigger
    own = place.origin in (subjects.ADMIN, subjects.CRON)
    if (own or not (attributes or _may_claim(body))) and (short := _expected_trigger(body)):
        envelope, data = short
        id = envelope.id if own or not msg_id else clean(msg_id, ID_LIMIT)
        traced = (envelope.correlationid or None, envelope.traceparent or None)
        return Recorded(sequence, subject, time, id, data, envelope.source, *traced)
    document: dict[str, Any] = {}
    try:
        document = _document(body)
        if attributes and place.origin not in (subjects.ADMIN, subjects.CRON):
            document = {**attributes, "data": document}
        data = _trigger(place.origin, document)
        if len(body) > PARAMS_LIMIT:
            data = BadTrigger(_too_large(body), data.user_id, data)
    except InvalidTrigger as error:
        data = BadTrigger(str(error), _user_id(place.origin, document))
    named = document if "specversion" in document else {}
    id = _trigger_id(place.origin, named, msg_id) or f"{sequence}@{time.isoformat()}"
    if not named:
        return Recorded(sequence, subject, time, id, data)
    source, correlation_id = _attribute(named, "source") or "", _attribute(named, "correlationid")
    return Recorded(sequence, subject, time, id, data, source, correlation_id, _attribute(named, "traceparent"))


def _expected_trigger(body: bytes) -> tuple[Envelope, Triggered] | None:
    """The short way for nearly all that are written as Kronik writes its own, today's version in plain ASCII: None for
    whatever needs a look."""
    if not body.isascii() or len(body) > PARAMS_LIMIT or is_too_deep(body):
        return None
    if b"\\" in body or b"data_base64" in body or b"triggeredby" in body.lower().translate(None, b"_-"):
        return None
    try:
        found = _trigger_envelopes.decode(body)
        data = _in_utc(found.data)
    except (msgspec.MsgspecError, OverflowError):
        return None
    is_long = (
        len(body) > ID_LIMIT
        and max(len(found.source), len(found.correlationid or ""), len(found.traceparent or "")) > ID_LIMIT
    )
    return None if is_long else (found, data)


def _may_claim(body: bytes) -> bool:
    """Whether it names what only we may say; a pattern takes ten times as long to see that it doesn't."""
    return b"userId" in body or b"scheduledFor" in body or b"rerunOf" in body


def _trigger_id(origin: str, named: dict[str, Any], msg_id: str | None) -> str | None:
    """Kronik's own triggers are what their envelope says; of another service's, what the stream tells repeats by."""
    if not msg_id:
        return _attribute(named, "id")
    own = _attribute(named, "id") if origin in (subjects.ADMIN, subjects.CRON) else None
    return own or clean(msg_id, ID_LIMIT)


def _attribute(named: dict[str, Any], name: str) -> str | None:
    """Of a CloudEvent, where it has one that can be kept."""
    value = named.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= ID_LIMIT and clean(value) == value else None


def _user_id(origin: str, document: dict[str, Any]) -> str | None:
    """Whose trigger can't run; believed, as always, on the API's own subject alone."""
    data = document.get("data") if origin == subjects.ADMIN else None
    user_id = data.get("userId") if isinstance(data, dict) else None
    return user_id if isinstance(user_id, str) else None


def _document(body: bytes) -> dict[str, Any]:
    """The body as a JSON object; an empty body is an empty one."""
    if len(body) > _READ_LIMIT:
        raise InvalidTrigger(_too_large(body))
    body = body.removeprefix(_BOM)
    if not body.strip():
        return {}
    if is_too_deep(body):
        raise InvalidTrigger(f"the trigger's body is nested too deeply; at most {DEPTH_LIMIT} levels are allowed")
    try:
        document = _anything.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidTrigger(f"the trigger's body is not valid JSON: {clean(str(error), 300)}") from error
    _refuse_nul(body)
    if not isinstance(document, dict):
        raise InvalidTrigger(f"the trigger's body must be a JSON object (the params), got {_kind(document)}")
    return document


def _refuse_nul(body: bytes) -> None:
    if b"\\u0000" in body and _NUL.search(body):
        raise InvalidTrigger("the trigger's body has a NUL character (\\u0000), which can't be stored; leave it out")


def _too_large(body: bytes) -> str:
    return f"the trigger's body has {len(body)} bytes; at most {PARAMS_LIMIT} are allowed"


def is_too_deep(body: bytes, limit: int = DEPTH_LIMIT) -> bool:
    """Told from the bytes: whether decoding raises RecursionError depends on the caller's own stack."""
    if body.count(b"{") + body.count(b"[") <= limit:
        return False
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(body):
        if found[0] in b"[{":
            depth += 1
        elif found[0] in b"]}":
            depth -= 1
        if depth > limit:
            return True
    return False


def _trigger(origin: str, document: dict[str, Any]) -> Triggered:
    _refuse_triggered_by(document)
    if "specversion" not in document:
        return Triggered(params=document)
    data = _cloud_event_data(document)
    name = document.get("type")
    if not (isinstance(name, str) and name.startswith(_OWN_TRIGGER)):
        return Triggered(params=_foreign_params(data))
    if origin in (subjects.ADMIN, subjects.CRON):
        return _own_trigger(name, data)
    return Triggered(params=_copied_params(data))


def _cloud_event_data(document: dict[str, Any]) -> dict[str, Any]:
    version = document["specversion"]
    if version != "1.0":
        got = repr(version[:80]) if isinstance(version, str) else _kind(version)
        raise InvalidTrigger(f"specversion: must be the string '1.0', got {got}")
    if "data_base64" in document:
        raise InvalidTrigger("data_base64: not supported; send the params as JSON in 'data'")
    data = document.get("data")
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InvalidTrigger(f"data: must be a JSON object (the params), got {_kind(data)}")
    _refuse_triggered_by(data)
    return data


def _own_trigger(name: str, data: dict[str, Any]) -> Triggered:
    """One that the API or the scheduler wrote; they alone may publish there."""
    try:
        trigger = _in_utc(msgspec.convert(_upcast(name, data)[1], Triggered))
    except (msgspec.ValidationError, InvalidEvent, OverflowError) as error:
        raise InvalidTrigger(f"data: {clean(str(error), 300)}") from error
    _refuse_triggered_by(trigger.params)
    return trigger


def _copied_params(data: dict[str, Any]) -> dict[str, Any]:
    """Another service wrote a trigger just as Kronik's own look: its params count, a claimed identity is refused."""
    for field in _ONLY_OURS:
        if field in data:
            raise InvalidTrigger(f"data.{field}: only Kronik itself may set it; send params alone")
    params = data.get("params", {})
    if not isinstance(params, dict):
        raise InvalidTrigger(f"data.params: must be a JSON object, got {_kind(params)}")
    _refuse_triggered_by(params)
    return params


def _foreign_params(data: dict[str, Any]) -> dict[str, Any]:
    """In a CloudEvent of any other type `data` is the params themselves, or {"params": {...}} and nothing else."""
    inner = data.get("params")
    if len(data) == 1 and isinstance(inner, dict):
        _refuse_triggered_by(inner)
        return inner
    return data


def _refuse_triggered_by(document: dict[str, Any]) -> None:
    for field in document:
        if len(field) >= 11 and field.replace("_", "").replace("-", "").lower() == "triggeredby":
            raise InvalidTrigger(
                f"{clean(field, 64)}: can't be set in the payload;"
                " who triggered is the last token of jobs.trigger.<JOB>.<origin>"
            )


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
    return "an object"


__all__ = [
    "DEPTH_LIMIT",
    "PARAMS_LIMIT",
    "InvalidEvent",
    "InvalidName",
    "check_params",
    "decode",
    "encode",
    "is_too_deep",
]
