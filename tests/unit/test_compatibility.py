"""Which changes of a JSON Schema its readers or the documents of old would trip over."""

from typing import Any

import pytest

from services.infra.compatibility import breaks, calls_break

BEFORE: dict[str, Any] = {
    "type": "object",
    "required": ["a"],
    "properties": {
        "a": {"type": "integer", "minimum": 0, "maximum": 9},
        "b": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "c": {"enum": ["x", "y"]},
        "d": {"type": "array", "items": {"type": "string"}},
    },
}


def _changed(name: str, **schema: Any) -> dict[str, Any]:
    return {**BEFORE, "properties": {**BEFORE["properties"], name: schema}}


@pytest.mark.parametrize(
    "after",
    [
        BEFORE,
        _changed("e", type="string"),
        _changed("a", type="integer", minimum=-1, maximum=10),
        _changed("b", anyOf=[{"type": "null"}, {"type": "integer"}, {"type": "string"}]),
        _changed("c", enum=["x", "y", "z"]),
        {**BEFORE, "description": "other words"},
    ],
)
def test_what_only_adds_breaks_nothing(after: dict[str, Any]) -> None:
    assert list(breaks(BEFORE, after)) == []


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({**BEFORE, "required": ["a", "b"]}, ".b is required now"),
        ({**BEFORE, "required": []}, ".a may be missing now"),
        ({**BEFORE, "properties": {"a": BEFORE["properties"]["a"]}}, ".b is gone"),
        (_changed("a", type="string"), ".a: type 'integer' is 'string' now"),
        (_changed("a", type="integer", minimum=1, maximum=9), ".a: minimum 0 is 1 now"),
        (_changed("a", type="integer", minimum=0, maximum=8), ".a: maximum 9 is 8 now"),
        (_changed("b", anyOf=[{"type": "string"}]), ".b: {'type': 'null'} is no longer among"),
        (_changed("c", enum=["x"]), ".c: 'y' is no longer allowed"),
        (_changed("d", type="array", items={"type": "integer"}), ".d[]: type 'string' is 'integer' now"),
        (_changed("d", type="array", items={"type": "string", "maxLength": 5}), ".d[]: maxLength None is 5 now"),
    ],
)
def test_what_readers_trip_over_is_said(after: dict[str, Any], words: str) -> None:
    assert any(found.startswith(words) for found in breaks(BEFORE, after))


def _api(operation: dict[str, Any], **schemas: Any) -> dict[str, Any]:
    return {"paths": {"/runs": {"post": operation}}, "components": {"schemas": schemas}}


def _answering(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"responses": {"200": {"content": {"application/json": {"schema": schema}}}}, **more}


CALL = _answering({"$ref": "Run"}, parameters=[{"in": "query", "name": "limit", "schema": {"type": "integer"}}])


@pytest.mark.parametrize(
    "after",
    [
        _api(CALL, Run=BEFORE, Other={}),
        _api({**CALL, "parameters": [*CALL["parameters"], {"in": "query", "name": "x", "schema": {}}]}, Run=BEFORE),
        {**_api(CALL, Run=BEFORE), "paths": {**_api(CALL)["paths"], "/jobs": {"get": CALL}}},
    ],
)
def test_calls_may_become_more(after: dict[str, Any]) -> None:
    assert list(calls_break(_api(CALL, Run=BEFORE), after)) == []


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({"paths": {}, "components": {"schemas": {"Run": BEFORE}}}, "POST /runs is gone"),
        (_api(CALL), "schema Run is gone"),
        (_api(CALL, Run=_changed("a", type="string")), "Run.a: type 'integer' is 'string' now"),
        (_api(_answering({"$ref": "Run"}), Run=BEFORE), "POST /runs limit is gone"),
        (_api({**CALL, "responses": {}}, Run=BEFORE), "POST /runs: 200 is gone"),
        (_api({**CALL, "requestBody": {"required": True}}, Run=BEFORE), "POST /runs: a body is required now"),
        (
            _api({**CALL, "parameters": [{**CALL["parameters"][0], "required": True}]}, Run=BEFORE),
            "POST /runs limit is required now",
        ),
    ],
)
def test_what_clients_trip_over_is_said(after: dict[str, Any], words: str) -> None:
    assert list(calls_break(_api(CALL, Run=BEFORE), after)) == [words]
