"""What Kronik writes is read back as it was, and what can't be read is refused in a documented way."""

import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kronik import codec, subjects
from kronik.errors import InvalidEvent, InvalidName
from kronik.events import (
    RUN_EVENT_NAME,
    TYPE_OF,
    AnyEvent,
    Completed,
    Failed,
    JobDefined,
    Recorded,
    Retrying,
    RunEvent,
    ScheduleChanged,
    ServiceChanged,
    SlotFired,
    SlotSkipped,
    Started,
    Triggered,
    TriggerRefused,
    Unknown,
)

from tests.unit.contracts import strategies as some
from tests.unit.contracts.events_at import T0, completed, failed, retrying, started

JOB = "DAILY_MAINTENANCE"


def subject_of(event: AnyEvent) -> str:
    match event:
        case Triggered():
            return subjects.trigger(JOB, "admin")
        case SlotFired():
            return subjects.slot(JOB, "fired")
        case TriggerRefused():
            return subjects.refused(JOB, "admin")
        case SlotSkipped():
            return subjects.slot(JOB, event.outcome)
        case JobDefined():
            return subjects.definition(event.job_type)
        case ScheduleChanged():
            return subjects.schedule(JOB)
        case ServiceChanged():
            return subjects.service("crm")
        case _:
            return subjects.run_event(JOB, 12, RUN_EVENT_NAME[type(event)])


def encode(event: AnyEvent, id: str = "12.0.started.x") -> bytes:
    return codec.encode(event, id=id, source="/kronik/runner/host-1", time=T0, about="12", causation="12")


def decode(subject: str, body: bytes) -> Recorded:
    return codec.decode(subject, body, sequence=13, time=T0)


def enveloped(type: str, data: object, **more: object) -> bytes:
    envelope = {"specversion": "1.0", "id": "x", "source": "/test", "type": type, "time": T0, "data": data}
    return msgspec.json.encode({**envelope, **more})


@given(some.events)
def test_every_event_is_read_back_as_it_was_written(event: AnyEvent) -> None:
    subject = subject_of(event)
    assert decode(subject, encode(event)) == Recorded(13, subject, T0, "12.0.started.x", event, "/kronik/runner/host-1")


@given(some.events)
def test_the_stored_form_is_a_cloud_event(event: AnyEvent) -> None:
    envelope = msgspec.json.decode(encode(event))
    assert {name: value for name, value in envelope.items() if name != "data"} == {
        "specversion": "1.0",
        "id": "12.0.started.x",
        "source": "/kronik/runner/host-1",
        "type": TYPE_OF[type(event)],
        "time": "2026-11-23T02:00:00Z",
        "subject": "12",
        "causationid": "12",
    }
    assert set(envelope["data"]) <= {field.encode_name for field in msgspec.structs.fields(event)}


def test_what_is_not_said_is_not_written() -> None:
    envelope = msgspec.json.decode(codec.encode(Triggered(), id="x", source="/test", time=T0))
    assert envelope.keys() == {"specversion", "id", "source", "type", "time", "data"}
    assert envelope["data"] == {}


@pytest.mark.parametrize(
    "event",
    [
        failed(error="\ud800"),
        Completed(attempt=1, result={"nested": {"text": "\udfff"}}),
        Completed(attempt=1, result={"set": object()}),
        Completed(attempt=1, result=[1]),  # type: ignore[arg-type]
        Started(attempt=-1, incarnation="x", timeout_ms=1),
        Started(attempt=2**31, incarnation="x", timeout_ms=1),
        Triggered(rerun_of=2**63),
        Triggered(params={"text": "x" * codec.PARAMS_LIMIT}),
        Triggered(params={"text": {"a": ["\0"]}}),
        Triggered(params={"a\0": 1}),
        Triggered(params={"triggeredBy": "ADMIN:1"}),
        Retrying(attempt=1, error="", error_type="", retry_at=datetime(2026, 1, 1)),  # noqa: DTZ001
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_would_not_be_read_back_is_not_written(event: AnyEvent) -> None:
    with pytest.raises(InvalidEvent, match=type(event).__name__):
        encode(event)


@pytest.mark.parametrize("depth", [codec.DEPTH_LIMIT, 1_000, 100_000])
def test_what_is_nested_too_deeply_is_not_written(depth: int) -> None:
    result: dict[str, Any] = {}
    for _ in range(depth):
        result = {"in": result}
    with pytest.raises(InvalidEvent, match="Completed"):
        encode(Completed(attempt=1, result=result))


def test_a_result_that_contains_itself_is_not_written() -> None:
    result: dict[str, Any] = {}
    result["self"] = result
    with pytest.raises(InvalidEvent):
        encode(Completed(attempt=1, result=result))


@pytest.mark.parametrize("id", ["", "x" * 257, "\ud800"])
def test_an_id_that_would_not_be_read_back_is_not_written(id: str) -> None:
    with pytest.raises(InvalidEvent):
        encode(started(), id=id)


def test_a_writers_naive_time_is_refused() -> None:
    with pytest.raises(InvalidEvent):
        codec.encode(started(), id="x", source="/test", time=datetime(2026, 1, 1))  # noqa: DTZ001


@given(
    st.sampled_from(["jobs.run.A.1.started", "jobs.slot.A.missed", "jobs.definition.A", "jobs.schedule.A"]), st.data()
)
def test_any_bytes_are_an_event_or_an_invalid_one(subject: str, data: st.DataObject) -> None:
    body = data.draw(st.binary(max_size=40) | some.json.map(msgspec.json.encode))
    with pytest.raises(InvalidEvent):
        decode(subject, body)


@given(some.run_events, st.data())
def test_a_flipped_byte_never_raises_anything_else(event: RunEvent, data: st.DataObject) -> None:
    body = bytearray(encode(event))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        recorded = decode(subject_of(event), bytes(body))
    except InvalidEvent:
        return
    msgspec.json.encode(recorded)


def test_deep_nesting_is_an_invalid_event() -> None:
    depth = 100_000  # how much less is refused depends on the version of Python
    deep = msgspec.Raw(b'{"attempt":1,"result":{"x":' + b"[" * depth + b"]" * depth + b"}}")
    with pytest.raises(InvalidEvent):
        decode("jobs.run.A.1.completed", enveloped("kronik.run.completed.v1", deep))
    with pytest.raises(InvalidEvent):
        decode("jobs.run.A.1.completed", enveloped("kronik.run.baked.v1", deep))


def test_invalid_utf8_is_an_invalid_event() -> None:
    body = encode(failed(error="MARK")).replace(b"MARK", b"\xff\xfe")
    with pytest.raises(InvalidEvent):
        decode("jobs.run.A.1.failed", body)


@pytest.mark.parametrize("type", ["kronik.run.completed.v1", "kronik.run.baked.v1"])
@pytest.mark.parametrize(("written", "read"), [(r"a\u0000b", "a�b"), (r"a\\u0000b", r"a\u0000b"), (r"\\\u0000", "\\�")])
def test_nul_is_replaced_where_it_is_one(type: str, written: str, read: str) -> None:
    result = msgspec.Raw(f'{{"attempt":1,"result":{{"{written}":"{written}"}}}}'.encode())
    event: Any = decode("jobs.run.A.1.completed", enveloped(type, result)).data
    found = event.data["result"] if isinstance(event, Unknown) else event.result
    assert found == {read: read}


def test_an_envelopes_own_text_has_no_nul_either() -> None:
    recorded = decode("jobs.run.A.1.baked".replace("baked", "started"), enveloped("a\0b", {}, id="c\0d"))
    assert (recorded.id, recorded.data) == ("c�d", Unknown("a�b", {}))


def test_instants_come_out_in_utc() -> None:
    copenhagen = timezone(timedelta(hours=1))
    retry_at = datetime(2026, 11, 23, 3, 0, tzinfo=copenhagen)
    event = decode(
        "jobs.run.A.1.retrying", encode(Retrying(attempt=1, error="", error_type="", retry_at=retry_at))
    ).data
    assert isinstance(event, Retrying)
    assert (event.retry_at, event.retry_at.tzinfo) == (T0, UTC)


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_an_instant_off_the_calendar_is_an_invalid_event(instant: str) -> None:
    data = {"attempt": 1, "error": "", "errorType": "", "retryAt": instant}
    with pytest.raises(InvalidEvent):
        decode("jobs.run.A.1.retrying", enveloped("kronik.run.retrying.v1", data))


@pytest.mark.parametrize("instant", ["2026-11-23T02:00:00", "yesterday", 0, None])
def test_an_instant_has_an_offset(instant: object) -> None:
    data = {"scheduledFor": instant, "outcome": "missed", "reason": "late"}
    with pytest.raises(InvalidEvent):
        decode("jobs.slot.A.missed", enveloped("kronik.slot.skipped.v1", data))


@given(some.json)
def test_an_unknown_type_is_kept_on_every_subject(data: object) -> None:
    body = enveloped("kronik.run.frozen.v1", data)
    for subject in ("jobs.run.A.1.started", "jobs.slot.A.missed", "jobs.definition.A", "jobs.schedule.A"):
        assert decode(subject, body).data == Unknown("kronik.run.frozen.v1", data)


@given(some.run_events | some.slots | some.fired | some.refusals | some.definitions | some.schedule_changes, st.data())
def test_an_event_on_another_events_subject_is_refused(event: AnyEvent, data: st.DataObject) -> None:
    everywhere = [subjects.run_event(JOB, 12, name) for name in subjects.RUN_EVENTS]
    everywhere += [subjects.slot(JOB, outcome) for outcome in subjects.OUTCOMES]
    everywhere += [
        subjects.refused(JOB, "admin"),
        subjects.definition(JOB),
        subjects.definition("OTHER"),
        subjects.schedule(JOB),
    ]
    subject = data.draw(st.sampled_from([one for one in everywhere if one != subject_of(event)]))
    with pytest.raises(InvalidEvent, match="does not belong"):
        decode(subject, encode(event))


@given(some.definitions)
def test_a_definition_belongs_on_its_own_jobs_subject(definition: JobDefined) -> None:
    with pytest.raises(InvalidEvent, match="does not belong"):
        decode(subjects.definition("OTHER"), encode(definition))


def test_a_trigger_does_not_belong_on_a_run() -> None:
    with pytest.raises(InvalidEvent, match="does not belong"):
        decode("jobs.run.A.1.started", encode(Triggered()))


def test_newer_writers_may_add_fields() -> None:
    data = {"attempt": 1, "incarnation": "host-1", "timeoutMs": 60_000, "mood": "good"}
    body = enveloped("kronik.run.started.v1", data, dataschema="https://example.org", correlationid="c", mood=1)
    assert decode("jobs.run.A.1.started", body).data == started()


@pytest.mark.parametrize(
    "wrong", [{"specversion": "0.3"}, {"id": ""}, {"id": 7}, {"id": "x" * 257}, {"time": "noon"}, {"source": None}]
)
def test_an_envelope_that_breaks_its_rules_is_refused(wrong: dict[str, object]) -> None:
    data = {"attempt": 1, "incarnation": "host-1", "timeoutMs": 60_000}
    with pytest.raises(InvalidEvent):
        decode("jobs.run.A.1.started", enveloped("kronik.run.started.v1", data, **wrong))


def test_a_subject_that_is_not_kroniks_is_refused_by_name() -> None:
    with pytest.raises(InvalidName):
        decode("orders.created", encode(started()))


def test_what_is_refused_says_where_and_why() -> None:
    with pytest.raises(InvalidEvent, match=r"jobs\.run\.A\.1\.started: .*incarnation"):
        decode("jobs.run.A.1.started", enveloped("kronik.run.started.v1", {"attempt": 1}))


def test_reading_does_not_depend_on_the_readers_stack() -> None:
    """One message, read by a shallow caller and by a deep one, must be the same to both."""
    body = enveloped(
        "kronik.run.completed.v1", msgspec.Raw(b'{"attempt":1,"result":{"x":' + b"[" * 55 + b"]" * 55 + b"}}")
    )

    def deep(levels: int) -> Recorded:
        return deep(levels - 1) if levels else decode("jobs.run.A.1.completed", body)

    assert deep(sys.getrecursionlimit() // 2) == decode("jobs.run.A.1.completed", body)


def test_a_body_with_many_values_is_not_a_deep_one() -> None:
    result = {"brackets in text": "[{" * 500, 'quote " and \\': ["]"] * 500, "rows": [{"n": n} for n in range(500)]}
    event = completed()
    event = msgspec.structs.replace(event, result=result)
    assert decode("jobs.run.A.1.completed", encode(event)).data == event


def test_a_retry_at_in_utc_is_left_alone() -> None:
    event = retrying()
    assert decode("jobs.run.A.1.retrying", encode(event)).data == event


def test_failed_is_read_on_its_own_subject() -> None:
    assert decode("jobs.run.A.1.failed", encode(failed())).data == Failed(
        attempt=1, error="no flour", error_type="OutOfFlour"
    )
