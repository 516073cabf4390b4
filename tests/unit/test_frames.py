"""What is known by sight is read as what is taken apart word by word, and nothing else is known."""

import msgspec
import pytest
from hypothesis import given
from kronik.errors import InvalidEvent

from services.log import frames
from services.log.stored import Stored, delivered_raw
from tests.strangers import HEADERS, false_expectations, headers

EVENT = b"jobs.run.X.7.failed"
TRIGGER = b"jobs.trigger.X.crm"
EXPECTING = (
    b"Nats-Expected-Last-Subject-Sequence: 12",
    b"Nats-Expected-Last-Subject-Sequence-Subject: jobs.run.X.7.>",
)
BATCHED = (b"Nats-Batch-Id: b1", b"Nats-Batch-Sequence: 2")
REPLY = b"$JS.ACK.JOBS.one.1.20.3.1795814064314702204.9"


def frame(subject: bytes, header: bytes, body: bytes = b"{}", *, sid: bytes = b"5", reply: bytes = REPLY) -> bytes:
    sizes = b"%d %d" % (len(header), len(header) + len(body))
    return b" ".join([b"HMSG", subject, sid, reply, sizes]) + b"\r\n" + header + body + b"\r\n"


def known(chunk: bytes, last: int = 2) -> tuple[list[Stored], int]:
    found: list[Stored] = []
    end = frames.take_known(chunk, 0, b"5", last, found)
    return found, end


def as_read(stored: Stored) -> Stored:
    """Without what a reader of the words learns in another way."""
    return msgspec.structs.replace(stored, expects=None, run=None)


@pytest.mark.parametrize(
    ("subject", "header"),
    [
        (EVENT, headers(*EXPECTING)),
        (EVENT, headers(b"Nats-Expected-Stream: JOBS", *EXPECTING, b"Nats-Msg-Id: m1", *BATCHED)),
        (EVENT, headers(*EXPECTING, *BATCHED, b"Nats-Batch-Commit: 1")),
        (TRIGGER, headers()),
        (TRIGGER, headers(b"Nats-Expected-Stream: JOBS", b"Nats-Msg-Id: m1")),
        (TRIGGER, headers(*BATCHED)),
    ],
)
def test_what_kronik_writes_is_known_and_read_as_its_words_are(subject: bytes, header: bytes) -> None:
    chunk = frame(subject, header, b'{"a":1}\r\n')
    next_chunk = chunk.replace(b".20.3.", b".20.4.")
    found, end = known(chunk + next_chunk + chunk[:-1])
    worded, _ = delivered_raw(subject, REPLY, header, b'{"a":1}\r\n')
    assert [as_read(stored) for stored in found] == [as_read(worded)] * 2
    assert [stored.counts for stored in found] == [worded.counts] * 2 == [True, True]
    assert end == 2 * len(chunk)


def test_a_delivery_out_of_order_is_left_alone() -> None:
    chunk = frame(TRIGGER, headers())
    assert known(chunk, last=3) == known(chunk, last=1) == ([], 0)
    assert known(chunk + chunk)[1] == len(chunk)


@pytest.mark.parametrize(
    "chunk",
    [
        frame(EVENT, headers()),
        frame(EVENT, headers(EXPECTING[0])),
        frame(EVENT, headers(EXPECTING[0], EXPECTING[1].replace(b".7.", b".8."))),
        frame(EVENT, headers(EXPECTING[0], EXPECTING[1].replace(b"X", b"Y"))),
        frame(EVENT, headers(EXPECTING[0], EXPECTING[1].replace(b">", b"failed"))),
        frame(EVENT, headers(*EXPECTING, EXPECTING[0])),
        frame(EVENT, headers(*reversed(EXPECTING))),
        frame(EVENT, headers(*EXPECTING, b"ce-id: 1")),
        frame(TRIGGER, headers(*EXPECTING)),
        frame(TRIGGER, headers(b"ce-specversion: 1.0")),
        frame(b"jobs.slot.X.missed", headers(*EXPECTING)),
        frame(EVENT, headers(*EXPECTING), sid=b"6"),
        frame(EVENT, headers(*EXPECTING), reply=b"_INBOX.a"),
    ],
)
def test_whatever_looks_otherwise_is_left_alone(chunk: bytes) -> None:
    assert known(chunk) == ([], 0)


def test_headers_that_end_elsewhere_than_they_look_are_left_alone() -> None:
    """What the server takes for the headers is what it says: the rest of what looks like them is body."""
    header, body = headers(), headers(*EXPECTING)[10:] + b"{}"
    assert known(2 * frame(EVENT, header[:10], body)) == ([], 0)


@given(false_expectations)
def test_no_expectation_is_known_that_the_server_has_not_compared(forged: bytes) -> None:
    for header in (forged, *HEADERS):
        for stored in known(frame(EVENT, header))[0]:
            worded, _ = delivered_raw(EVENT, REPLY, header, b"{}")
            assert stored.counts == worded.counts


def test_an_event_that_is_known_is_decoded_as_any_other() -> None:
    stored, *_ = known(frame(EVENT, headers(*EXPECTING), b"nonsense"))[0]
    with pytest.raises(InvalidEvent):
        stored.decode()
