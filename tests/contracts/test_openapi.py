"""The OpenAPI document says of every call what it means, with examples that are what they claim to be."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from services.api.app import create_app
from services.infra.settings import ApiSettings

HOME = {"nats_url": "nats://localhost", "database_url": "postgres://localhost"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return dict(create_app(ApiSettings(**HOME)).state.openapi)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def complaints(schema: dict[str, Any], value: Any, document: dict[str, Any]) -> list[str]:
    whole = {"components": document["components"], **schema}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def test_it_is_openapi_3_1_and_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (value for key, value in node.items() if key == "$ref")
            node = list(node.values())
        for one in node if isinstance(node, list) else ():
            yield from references(one)

    found = set(references(document))
    assert len(found) > 20
    for reference in found:
        place: Any = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_every_call_and_parameter_is_described_with_an_example_that_fits(document: dict[str, Any]) -> None:
    count = 0
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        for parameter in operation.get("parameters", ()):
            count += 1
            assert parameter["description"], f"{name} {parameter['name']}"
            assert complaints(parameter["schema"], parameter["example"], document) == [], f"{name} {parameter['name']}"
            assert "null" not in str(parameter["schema"]), parameter
    assert count > 50


def test_every_answer_is_described_with_an_example_that_fits(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        bodies = [operation["requestBody"], *operation["responses"].values()] if "requestBody" in operation else []
        for body in bodies or operation["responses"].values():
            for type, media in body.get("content", {}).items():
                if not media["schema"]:
                    continue
                problems = [document["components"]["examples"][type]["value"] for type in media.get("examples", ())]
                shown = problems or [media.get("example")]
                for value in shown:
                    assert complaints(media["schema"], value, document) == [], f"{name} {type}"


def test_every_problem_is_told_with_its_status(document: dict[str, Any]) -> None:
    told = document["components"]["schemas"]["ProblemDetails"]["properties"]["type"]["description"]
    for type in ("invalid-params", "unknown-run", "too-many-tries", "stream-unavailable", "too-slow"):
        assert f"urn:kronik:problem:{type}" in told
    for name, operation in operations(document):
        if " /api/" in name:
            assert {"401", "429", "default"} <= operation["responses"].keys(), name


def test_every_field_is_described(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        assert complaints(schema, schema["examples"][0], document) == [], name
        for field, one in schema.get("properties", {}).items():
            assert "$ref" in one or one["description"], f"{name}.{field}"
    runs = document["components"]["schemas"]["NamedRun"]["properties"]
    assert runs["startedAt"]["description"].startswith("When the first attempt started")
