"""Triggers from outside: whatever is published becomes a run that can be stored, with params or with a reason."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kronik import codec, subjects
from kronik.errors import InvalidTrigger
from kronik.events import BadTrigger, Completed, Failed, Recorded, RetryPolicy, Started, Triggered
from kronik.run import Run, begin, decide_delivery, evolve
from kronik.subjects import TriggerSubject

from tests.unit.contracts import strategies as some
from tests.unit.contracts.events_at import T0, at

FOREIGN = {"specversion": "1.0", "id": "a-1", "source": "/kitchen", "type": "dk.example.kitchen.opened"}
OWN = {**FOREIGN, "type": "kronik.run.triggered.v1", "time": "2026-11-23T02:00:00Z"}
MONTH = {"month": "2026-10"}


def decode(body: bytes | dict[str, Any], origin: str = "ops", msg_id: str | None = None) -> Recorded:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return codec.decode(f"jobs.trigger.A.{origin}", raw, sequence=12, time=T0, msg_id=msg_id)


BINARY = {"ce-specversion": "1.0", "ce-type": "dk.example.kitchen.opened", "ce-source": "/kitchen", "ce-id": "a%201"}


def decode_binary(headers: dict[str, str], body: bytes, origin: str = "ops") -> Recorded:
    attributes = codec.binary_attributes(headers)
    return codec.decode(f"jobs.trigger.A.{origin}", body, sequence=12, time=T0, attributes=attributes)


def test_a_cloud_event_in_binary_mode_is_a_trigger_like_a_structured_one() -> None:
    for body in (b'{"month":"2026-10"}', b'{"params":{"month":"2026-10"}}'):
        recorded = decode_binary({**BINARY, "Content-Type": "application/json", "X-Other": "ce-"}, body)
        assert recorded.data == Triggered(params=MONTH)
        assert (recorded.id, recorded.source) == ("a 1", "/kitchen")
    shouting = {name.upper(): value for name, value in BINARY.items()}
    assert decode_binary({**shouting, "CE-CorrelationId": "c-1"}, b"").correlation_id == "c-1"
    assert decode_binary(BINARY, b"").data == Triggered()
    assert decode_binary({**BINARY, "ce-type": "kronik.run.triggered.v1"}, b'{"params":{"month":"2026-10"}}').data == (
        Triggered(params=MONTH)
    )


@pytest.mark.parametrize(
    ("headers", "body", "problem"),
    [
        ({**BINARY, "ce-specversion": "0.3"}, b"{}", "specversion: must be the string '1.0'"),
        (BINARY, b"[]", "the trigger's body must be a JSON object"),
        (BINARY, b'{"triggeredBy":"CRON"}', "triggeredBy: can't be set in the payload"),
        ({**BINARY, "ce-type": "kronik.run.triggered.v1"}, b'{"userId":"1"}', "data.userId: only Kronik itself"),
        ({**BINARY, "ce-data": "x", "ce-triggeredby": "ADMIN:1"}, b"{", "the trigger's body is not valid JSON"),
    ],
)
def test_a_bad_one_in_binary_mode_fails_in_the_same_words(headers: dict[str, str], body: bytes, problem: str) -> None:
    data = decode_binary(headers, body).data
    assert isinstance(data, BadTrigger)
    assert data.problem.startswith(problem)


def test_headers_make_nothing_of_what_is_structured_or_kroniks_own() -> None:
    structured = {**BINARY, "content-type": "application/cloudevents+json; charset=utf-8"}
    assert codec.binary_attributes(structured) is None
    assert codec.binary_attributes({"ce-type": "x"}) is None
    own = json.dumps({**OWN, "data": {"params": MONTH, "userId": "1"}}).encode()
    assert decode_binary(BINARY, own, "admin").data == Triggered(params=MONTH, user_id="1")


@given(st.dictionaries(st.sampled_from([*BINARY, "ce-correlationid", "content-type"]), st.text()), st.binary())
def test_whatever_the_headers_are_a_trigger_is_read_and_can_be_stored(headers: dict[str, str], body: bytes) -> None:
    recorded = decode_binary(headers, body)
    assert isinstance(recorded.data, Triggered | BadTrigger)
    msgspec.json.encode(recorded)


def run_of(body: bytes | dict[str, Any], origin: str = "ops") -> Run:
    return begin(decode(body, origin), subjects.TriggerSubject("A", origin))


def problem_of(body: bytes | dict[str, Any], origin: str = "ops") -> str:
    data = decode(body, origin).data
    assert isinstance(data, BadTrigger), data
    return data.problem


@pytest.mark.parametrize("body", [b"", b" \r\n\t", b"{}", b"{ }\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf{}"])
def test_an_empty_body_asks_for_a_run_without_params(body: bytes) -> None:
    assert decode(body).data == Triggered()


@pytest.mark.parametrize(
    "body",
    [
        MONTH,
        b'\xef\xbb\xbf{"month": "2026-10"}',
        {**FOREIGN, "data": MONTH},
        {**FOREIGN, "data": {"params": MONTH}},
        {**FOREIGN, "type": 7, "data": MONTH},
        {"specversion": "1.0", "data": MONTH},
        {**OWN, "data": {"params": MONTH}},
        {**OWN, "type": "kronik.run.triggered.v2", "data": {"params": MONTH}},
    ],
    ids=str,
)
def test_params_can_be_sent_in_many_ways(body: bytes | dict[str, Any]) -> None:
    assert decode(body).data == Triggered(params=MONTH)


@pytest.mark.parametrize(
    "body", [FOREIGN, {**FOREIGN, "data": None}, {**FOREIGN, "data": {}}, OWN, {**OWN, "data": {}}], ids=str
)
def test_a_cloud_event_without_data_asks_for_a_run_without_params(body: dict[str, Any]) -> None:
    assert decode(body).data == Triggered()


def test_params_that_are_not_alone_in_the_data_are_a_param_like_others() -> None:
    data = {"params": {"month": 1}, "other": 2}
    assert decode({**FOREIGN, "data": data}).data == Triggered(params=data)
    assert decode({**FOREIGN, "data": {"params": "high"}}).data == Triggered(params={"params": "high"})
    assert decode({"params": MONTH}).data == Triggered(params={"params": MONTH})


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"month=2026-10", "not valid JSON"),
        (b'{"month": "2026-10"', "not valid JSON"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": 1e999}', "not valid JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not valid JSON"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b'{"a": "\xed\xa0\x80"}', "not valid JSON"),
        (b"\xff\xfe{\x00}\x00", "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b"null", "got null"),
        (b"true", "got a boolean"),
        (b"12", "got a number"),
        (b'"month"', "got a string"),
        (b"[{}]", "got an array"),
        ({**FOREIGN, "specversion": "0.3"}, "specversion: must be the string '1.0', got '0.3'"),
        ({**FOREIGN, "specversion": 1.0}, "got a number"),
        ({**FOREIGN, "specversion": None}, "got null"),
        ({**FOREIGN, "specversion": {"a": [1]}}, "got an object"),
        ({**FOREIGN, "data_base64": "e30="}, "data_base64"),
        ({**FOREIGN, "data": [1]}, "data: must be a JSON object (the params), got an array"),
        ({**FOREIGN, "data": "text"}, "got a string"),
        ({**OWN, "data": {"params": None}}, "data.params: must be a JSON object, got null"),
        (b'{"a": "x\\u0000y"}', "NUL"),
        (b'{"a\\u0000": 1}', "NUL"),
        (b'{"a": {"b": ["\\\\\\u0000"]}}', "NUL"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_can_not_become_params_says_why(body: bytes | dict[str, Any], problem: str) -> None:
    assert problem in problem_of(body)


def test_an_escaped_backslash_before_u0000_is_not_a_nul() -> None:
    assert decode(b'{"a": "\\\\u0000"}').data == Triggered(params={"a": "\\u0000"})


def test_a_body_may_have_64_kib_and_no_more() -> None:
    fits = b'{"a":"' + b"x" * (codec.PARAMS_LIMIT - 8) + b'"}'
    assert isinstance(decode(fits).data, Triggered)
    assert "at most 65536" in problem_of(fits + b" ")


def test_what_version_0_1_ran_with_more_than_64_kib_keeps_its_params_and_its_end() -> None:
    """Up to 256 KiB were taken then: a rebuild does not change what happened, and what did not happen is refused."""
    params = {"a": "x" * 200_000}
    recorded = decode(msgspec.json.encode(params))
    queued = begin(recorded, TriggerSubject("A", "crm"))
    started = Recorded(13, "jobs.run.A.12.started", T0, "s", Started(attempt=1, incarnation="r-1", timeout_ms=1))
    run = evolve(queued, started)
    run = evolve(run, Recorded(14, "jobs.run.A.12.completed", T0, "c", Completed(attempt=1, result=None)))
    assert (run.status, run.params, run.problem) == ("SUCCESS", params, None)
    policy = RetryPolicy(attempts=1, wait_ms=0, max_wait_ms=0)
    decided = decide_delivery(queued, incarnation="r-1", policy=policy, timeout_ms=1, now=T0)
    assert isinstance(decided, Failed)
    assert "at most 65536" in decided.error


@pytest.mark.parametrize("depth", [63, 64, 1_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_params_may_be_64_levels_deep_and_no_more(depth: int, opening: bytes, closing: bytes) -> None:
    body = b'{"a":' + opening * depth + b"1" + closing * depth + b"}"
    if depth <= 63:
        assert isinstance(decode(body).data, Triggered)
    elif len(body) <= codec.PARAMS_LIMIT:
        assert "nested too deeply" in problem_of(body)
    else:
        assert "at most" in problem_of(body)


def test_tens_of_thousands_of_opening_brackets_are_told_apart_without_decoding() -> None:
    assert "nested too deeply" in problem_of(b"[" * 60_000)
    assert "nested too deeply" in problem_of(b'{"specversion":' + b"[" * 60_000)


def test_brackets_in_text_are_not_levels() -> None:
    params = {"a": "[" * 1_000, "b": '\\"{' * 1_000, "rows": [[n] for n in range(100)]}
    assert decode(params).data == Triggered(params=params)


@pytest.mark.timeout(20)
def test_a_body_of_quotes_and_backslashes_is_read_in_no_time() -> None:
    """The scan for levels must be linear: with backtracking this takes minutes."""
    assert "not valid JSON" in problem_of(b"[" + b"[]," * 100 + b'"' + b'\\"' * 32_000)


@given(st.binary(max_size=60) | some.json.map(msgspec.json.encode), st.sampled_from(["ops", "admin", "cron"]))
def test_any_body_becomes_a_run_that_can_be_stored(body: bytes, origin: str) -> None:
    run = run_of(body, origin)
    stored = msgspec.json.encode(run)
    assert b"\\u0000" not in stored
    assert msgspec.json.decode(stored, type=Run) == run
    assert run.triggered_by in ("SERVICE:ops", "ADMIN:unknown", "CRON")


@given(some.objects)
def test_plain_params_arrive_as_they_were_sent(params: dict[str, Any]) -> None:
    params.pop("specversion", None)
    assert decode(msgspec.json.encode(params)).data == Triggered(params=params)


@given(some.json, some.json, some.json, some.json, st.sampled_from(["ops", "admin", "cron"]))
def test_envelopes_of_any_shape_become_a_run(id: Any, type: Any, version: Any, data: Any, origin: str) -> None:
    envelope = {"specversion": version, "id": id, "type": type, "data": data}
    for body in (envelope, {**envelope, "specversion": "1.0"}, {**OWN, "data": data}):
        recorded = decode(msgspec.json.encode(body), origin)
        assert isinstance(recorded.data, Triggered | BadTrigger)
        assert 0 < len(recorded.id) <= 256


FORGED = ["triggeredBy", "triggeredby", "triggered_by", "TriggeredBy", "TRIGGERED_BY", "triggered-by"]


_ATTRIBUTES = st.sampled_from(["x", "x" * 300, "", "triggered_By", "1.0", None, 3]) | some.text
_SHORT = st.fixed_dictionaries(
    {},
    optional={
        "params": some.objects | st.just({"a": {"triggeredBy": "x"}}) | st.just({"triggered-by": "x"}) | st.just([]),
        "userId": st.sampled_from(["1", None, 1]),
        "scheduledFor": st.sampled_from(["2026-11-23T02:00:00+01:00", "0001-01-01T00:00:00+01:00", "soon", None]),
        "rerunOf": st.sampled_from([3, 0, 3.0, "3", 2**70, None]),
        "other": some.json,
    },
)


@given(
    _SHORT | some.json,
    st.dictionaries(st.sampled_from(["id", "source", "correlationid", "traceparent", "time", "type"]), _ATTRIBUTES),
    st.sampled_from([{}, {}, {}, {"data_base64": ""}, {"tRiggered-by": 1}]),
    st.sampled_from(["admin", "cron", "ops"]),
)
def test_the_short_way_to_a_trigger_like_our_own_leads_where_the_long_one_does(
    data: Any, attributes: dict[str, Any], more: dict[str, Any], origin: str
) -> None:
    """What is not ASCII takes the long way."""
    document = {**OWN, **attributes, **more, "data": data}
    longer = json.dumps({**document, "æ": 1}, ensure_ascii=False).encode()
    assert decode(document, origin, "m") == decode(longer, origin, "m")


@pytest.mark.parametrize("field", FORGED)
@pytest.mark.parametrize(
    "place",
    [
        lambda forged: forged,
        lambda forged: {**FOREIGN, **forged},
        lambda forged: {**FOREIGN, "data": forged},
        lambda forged: {**FOREIGN, "data": {"params": forged}},
        lambda forged: {**OWN, **forged, "data": {}},
        lambda forged: {**OWN, "data": forged},
        lambda forged: {**OWN, "data": {"params": forged}},
    ],
)
@pytest.mark.parametrize("origin", ["ops", "admin", "cron"])
def test_who_triggered_can_not_be_claimed_in_the_payload(origin: str, place: Any, field: str) -> None:
    body = place({field: "ADMIN:1"})
    assert field in problem_of(body, origin)
    assert run_of(body, origin).triggered_by in ("SERVICE:ops", "ADMIN:unknown", "CRON")


@pytest.mark.parametrize("claim", [{"userId": "1"}, {"scheduledFor": "2026-11-23T02:00:00Z"}, {"rerunOf": 3}], ids=str)
def test_another_service_can_not_claim_what_is_kroniks_to_say(claim: dict[str, Any]) -> None:
    body = {**OWN, "data": {"params": {}, **claim}}
    assert f"data.{next(iter(claim))}" in problem_of(body)
    run = run_of(body)
    assert (run.triggered_by, run.scheduled_for, run.rerun_of) == ("SERVICE:ops", None, None)


@pytest.mark.parametrize("origin", ["ops", "cron"])
def test_a_user_id_counts_on_the_apis_subject_alone(origin: str) -> None:
    forged: list[dict[str, Any]] = [
        {"userId": "1"},
        {**FOREIGN, "data": {"userId": "1"}},
        {**OWN, "data": {"userId": "1"}},
    ]
    for body in forged:
        assert "ADMIN" not in run_of(body, origin).triggered_by


def test_a_foreign_cloud_event_on_the_apis_subject_loses_no_params_and_names_nobody() -> None:
    run = run_of({**FOREIGN, "data": {**MONTH, "userId": "1"}}, "admin")
    assert (run.triggered_by, run.params) == ("ADMIN:unknown", {**MONTH, "userId": "1"})


def test_what_the_api_writes_is_read() -> None:
    trigger = Triggered(params=MONTH, user_id="7", rerun_of=3)
    body = codec.encode(trigger, id="r-1", source="/kronik/api/host-1", time=T0)
    run = run_of(body, "admin")
    assert decode(body, "admin", msg_id="r-1").data == trigger
    assert (run.triggered_by, run.params, run.rerun_of) == ("ADMIN:7", MONTH, 3)


def test_what_the_scheduler_writes_is_read() -> None:
    trigger = Triggered(scheduled_for=at(-60))
    run = run_of(codec.encode(trigger, id="s-1", source="/kronik/scheduler/host-1", time=T0), "cron")
    assert (run.triggered_by, run.params, run.scheduled_for) == ("CRON", {}, at(-60))


def test_a_slot_written_with_an_offset_is_read_in_utc() -> None:
    run = run_of({**OWN, "data": {"scheduledFor": "2026-11-23T03:00:00+01:00"}}, "cron")
    assert str(run.scheduled_for) == "2026-11-23 02:00:00+00:00"


@pytest.mark.parametrize(
    "data",
    [
        {"params": []},
        {"userId": 7},
        {"scheduledFor": "2026-11-23T02:00:00"},
        {"scheduledFor": "0001-01-01T00:00:00+14:00"},
        {"rerunOf": True},
        {"rerunOf": 0},
        {"rerunOf": 2**63},
    ],
    ids=str,
)
def test_an_own_trigger_with_odd_fields_is_a_bad_one(data: dict[str, Any]) -> None:
    for origin in ("admin", "cron"):
        assert problem_of({**OWN, "data": data}, origin).startswith("data: ")


def test_a_bad_trigger_of_an_admin_still_names_the_admin() -> None:
    run = run_of({**OWN, "data": {"userId": "7", "rerunOf": "x"}}, "admin")
    assert (run.triggered_by, run.problem) == ("ADMIN:7", "data: Expected `int | null`, got `str` - at `$.rerunOf`")


def test_a_bad_trigger_of_another_service_names_nobody() -> None:
    data = decode({**OWN, "data": {"userId": "7"}}, "ops").data
    assert isinstance(data, BadTrigger)
    assert data.user_id is None


def test_a_long_user_id_is_cut() -> None:
    assert len(run_of({**OWN, "data": {"userId": "u" * 1_000}}, "admin").triggered_by) <= len("ADMIN:") + 64


@pytest.mark.parametrize(
    ("msg_id", "body", "id"),
    [
        ("m-1", {**FOREIGN}, "m-1"),
        ("m-1", b"", "m-1"),
        ("m-1", b"not json", "m-1"),
        (None, {**FOREIGN}, "a-1"),
        (None, {**FOREIGN, "data": 7}, "a-1"),
        (None, b"", "12@2026-11-23T02:00:00+00:00"),
        (None, {"id": "a-1"}, "12@2026-11-23T02:00:00+00:00"),
        (None, {**FOREIGN, "id": ""}, "12@2026-11-23T02:00:00+00:00"),
        (None, {**FOREIGN, "id": 7}, "12@2026-11-23T02:00:00+00:00"),
        (None, {**FOREIGN, "id": None}, "12@2026-11-23T02:00:00+00:00"),
        (None, {**FOREIGN, "id": ["a"]}, "12@2026-11-23T02:00:00+00:00"),
        (None, {**FOREIGN, "id": "x" * 257}, "12@2026-11-23T02:00:00+00:00"),
        ("m\0\udcff", b"", "m��"),
    ],
    ids=str,
)
def test_a_triggers_id_is_the_messages_else_the_envelopes_else_its_place(
    msg_id: str | None, body: bytes | dict[str, Any], id: str
) -> None:
    assert decode(body, msg_id=msg_id).id == id


def test_a_very_long_message_id_is_cut() -> None:
    assert len(decode(b"", msg_id="m" * 10_000).id) <= 256


@given(some.objects)
def test_params_that_are_checked_arrive(params: dict[str, Any]) -> None:
    codec.check_params(params)
    body = codec.encode(Triggered(params=params), id="x", source="/kronik/api/host-1", time=T0)
    assert decode(body, "admin").data == Triggered(params=params)


def _nested(levels: int) -> dict[str, Any]:
    return {"in": _nested(levels - 1)} if levels > 1 else {}


@pytest.mark.parametrize(
    "params",
    [
        {"a": "x\0y"},
        {"a": "\ud800"},
        {"a": object()},
        {"a": "x" * codec.PARAMS_LIMIT},
        {"triggered_by": "ADMIN:1"},
        _nested(codec.DEPTH_LIMIT - 1),
    ],
    ids=["NUL", "surrogate", "no JSON", "too long", "forged", "too deep"],
)
def test_params_that_no_trigger_can_carry_are_refused_when_checked(params: dict[str, Any]) -> None:
    with pytest.raises(InvalidTrigger):
        codec.check_params(params)


def test_params_may_be_as_deep_as_a_body_less_its_envelope() -> None:
    codec.check_params(_nested(codec.DEPTH_LIMIT - 2))
    codec.encode(Triggered(params=_nested(codec.DEPTH_LIMIT - 2)), id="x", source="/test", time=T0)
