"""A message as it stands in the stream, however it was read: all that strangers chose in it is text.

The server says what it is of a message (its sequence, its subject, its time) either in the ack subject that a delivery
carries, or, on a direct get, in headers that it writes behind the message's own. A status comes without either. So
what a message is never depends on a header that its writer can have set.

One header of the writer's counts: the expectation, which the server has compared and keeps with the message. An event
of a kind that has to expect something, and that doesn't, is none (docs/adr/0011); every reader learns it here.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from kronik import codec, subjects
from kronik.errors import InvalidEvent, InvalidName
from kronik.events import Recorded, Unknown
from kronik.text import clean
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.log.protocol import EXPECTED, EXPECTED_FILTER, readable, text

_SEQUENCE: Final = "Nats-Sequence"
_MSG_ID: Final = "Nats-Msg-Id"
_OWN: Final = re.compile(
    rb"NATS/1\.0\r\n(?:Nats-Expected-Stream: JOBS\r\n)?"
    rb"(?:Nats-Expected-Last-Subject-Sequence: [0-9]+\r\n"
    rb"Nats-Expected-Last-Subject-Sequence-Subject: ([!-~]+)\r\n)?"
    rb"(?:Nats-Msg-Id: ([!-~]+)\r\n)?"
    rb"(?:Nats-Batch-Id: [!-~]+\r\nNats-Batch-Sequence: [0-9]+\r\n(?:Nats-Batch-Commit: 1\r\n)?)?\r\n"
)
"""Headers just as Kronik itself writes them, nearly all of the stream's: read in one step."""
_Told = tuple[str | None, dict[str, str] | None, str | None]
_TOLD_NOTHING: Final[_Told] = (None, None, None)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Position(Struct, frozen=True, gc=False):
    """A place in the stream and what stands there: (0, "") before the first event.

    event_id: made of the server's sequence and time, because an id is its writer's choice. Where a stream lost its
    tail or was made anew, another message stands at the same sequence, stored at another time.
    """

    sequence: int
    event_id: str


START: Final = Position(0, "")

UNEXPECTED: Final = "written without an expectation of what stood there before, and therefore no event (docs/events.md)"


class Status(Struct, frozen=True):
    """What the server says instead of a message. 100: a heartbeat. pending: messages that were asked for in vain."""

    code: str
    text: str
    pending: int | None = None

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class Stored(Struct, frozen=True, gc=False):
    """A message as it stands in the stream, not decoded. behind: how many more were there after it when it was read.

    attributes: of a CloudEvent in binary mode, which has them in its headers. expects: see expects_of.
    run: what the subject of a run's event says, where it was read together with the expectation, which is right.
    """

    sequence: int
    subject: str
    time: datetime
    body: bytes
    msg_id: str | None = None
    behind: int = 0
    attributes: dict[str, str] | None = None
    expects: str | None = None
    run: subjects.RunSubject | None = None

    @property
    def counts(self) -> bool:
        """Whether the server compared what its writer expected, where an event of its kind has to expect something."""
        if self.run is not None:
            return True
        aggregate = subjects.aggregate(self.subject)
        return aggregate is None or self.expects == aggregate

    @property
    def position(self) -> Position:
        return Position(self.sequence, f"{self.sequence}@{self.time.isoformat()}")

    def stands_at(self, position: Position) -> bool:
        """Whether this is what was read at the position; one that version 0.1 kept names the event's own id."""
        return position in (self.position, Position(self.sequence, clean(self.recorded().id)))

    def decode(self) -> Recorded:
        """Raises InvalidName, InvalidEvent."""
        recorded = codec.decode(
            self.subject,
            self.body,
            sequence=self.sequence,
            time=self.time,
            msg_id=self.msg_id,
            attributes=self.attributes,
            place=self.run,
        )
        if not self.counts:
            raise InvalidEvent(f"{self.subject}: {UNEXPECTED}")
        return recorded

    def decode_or_none(self) -> Recorded | None:
        """For readers that leave what can't be read to the projector, which parks it."""
        try:
            return self.decode()
        except (InvalidName, InvalidEvent):
            return None

    def recorded(self) -> Recorded:
        """The event; as Unknown where it can't be decoded, for readers that must expect it all the same."""
        try:
            return self.decode()
        except (InvalidName, InvalidEvent) as error:
            id = self.msg_id or self.position.event_id
            return Recorded(self.sequence, self.subject, self.time, id, Unknown("unreadable", str(error)))


class Delivery(Struct, frozen=True):
    """What a consumer delivered. reply: its ack subject; times: how often it was delivered, this time counted."""

    stored: Stored
    reply: str
    times: int


def delivery_of(subject: bytes, reply: bytes, headers: bytes | None, body: bytes) -> Delivery:
    """Of a delivery's bytes (protocol.deliver_raw)."""
    times, *told = _acknowledgement(reply)
    return Delivery(_delivered(subject, told, headers, body), reply.decode(), int(times))


def delivered_raw(subject: bytes, reply: bytes, headers: bytes | None, body: bytes) -> tuple[Stored, int]:
    """A message that a consumer delivered, of its bytes (protocol.deliver_raw), and which of the consumer's deliveries
    it is (from 1)."""
    _, *told = _acknowledgement(reply)
    return _delivered(subject, told, headers, body), int(told[1])


def _delivered(subject: bytes, told: list[bytes], headers: bytes | None, body: bytes) -> Stored:
    sequence, _, stamp, behind = told
    on = text(subject)
    msg_id, attributes, expects = _told(on, headers) if headers else _TOLD_NOTHING
    return Stored(int(sequence), on, time_of(int(stamp)), body, msg_id, int(behind), attributes, expects)


def _acknowledgement(reply: bytes) -> list[bytes]:
    """$JS.ACK.[domain.account.]<stream>.<consumer>.<n>.<sequence>.<delivery>.<ns>.<pending>[.token], from n on."""
    parts = reply.split(b".")
    return parts[4:9] if len(parts) == 9 else parts[6:11]


def _told(subject: str, raw: bytes) -> _Told:
    """What headers tell of the message: its id, attributes, and what was expected."""
    own = _OWN.fullmatch(raw)
    if own and not subject.startswith("jobs.slot."):
        expects, msg_id = own.groups()
        return None if msg_id is None else msg_id.decode(), None, None if expects is None else expects.decode()
    headers = Client._parse_header_lines(readable(raw).partition(b"\r\n")[2])
    if not headers:
        return _TOLD_NOTHING
    return headers.get(_MSG_ID), codec.binary_attributes(headers), expects_of(subject, headers)


def fetched(message: Msg) -> Stored | Status:
    """What came of a direct get. The server writes its headers last, and the last of a name is the one that counts."""
    headers = message.headers or {}
    if _SEQUENCE not in headers:
        return status(message)
    subject = headers["Nats-Subject"]
    return Stored(
        int(headers[_SEQUENCE]),
        subject,
        parse_time(headers["Nats-Time-Stamp"]),
        message.data,
        headers.get(_MSG_ID),
        attributes=codec.binary_attributes(headers),
        expects=expects_of(subject, headers),
    )


def expects_of(subject: str, headers: Mapping[str, str] | None) -> str | None:
    """The filter whose last sequence the server compared with what the writer said, before it stored the message.

    Of the slots that are stored as one the first alone says it: the others stand or fall with it.
    """
    if not headers:
        return None
    if headers.get(EXPECTED):
        return headers.get(EXPECTED_FILTER, subject)
    behind = headers.get("Nats-Batch-Id") and headers.get("Nats-Batch-Sequence", "1") != "1"
    return subjects.aggregate(subject) if behind and subject.startswith("jobs.slot.") else None


def status(message: Msg) -> Status:
    """The server's word, of a message that is neither a delivery nor the answer to a get."""
    headers = message.headers or {}
    pending = headers.get("Nats-Pending-Messages")
    return Status(headers.get("Status", ""), headers.get("Description", ""), int(pending) if pending else None)


def time_of(nanoseconds: int) -> datetime:
    """To microseconds, as Postgres keeps them."""
    return _EPOCH + timedelta(0, 0, nanoseconds // 1000)


def parse_time(text: str) -> datetime:
    """RFC 3339 with up to nine decimals; the last three are cut, as Postgres keeps microseconds."""
    head, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{head}.{fraction[:6].ljust(6, '0')}+00:00")
