"""Whatever a call is asked that it does not take, the answer says what was wrong and what is allowed, in our words."""

import json
import re
from collections.abc import Iterator
from typing import Any

from services.api.openapi.served import document_of
from tests.integration.api.conftest import Api, Stream

TEXTS = ("", "x" * 201, "nope", "-1", "\0", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00")
VALUES: tuple[Any, ...] = (None, "", "x" * 300, -1, 1.5, 10**20, True, ["x"], {"a": "\0"}, "a\0b")
BODIES: tuple[Any, ...] = (None, [], "x", {"nope": 1})
LIBRARIES = re.compile(r"Expected `|enum|RFC3339|regex|Object |`\$|<class|Traceback|msgspec|[Vv]alidation")
Question = tuple[str, str, dict[str, Any]]


def _schema(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any] | None:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        for either in (content["schema"], *content["schema"].get("oneOf", ())):
            if "$ref" in either:
                schema: dict[str, Any] = document["components"]["schemas"][either["$ref"].rpartition("/")[2]]
                return schema
    return None


def _questions(document: dict[str, Any]) -> Iterator[Question]:
    for path, operations in document["paths"].items():
        place = path.replace("{job_type}", "DAILY_MAINTENANCE").replace("{id}", "1").replace("{kind}", "verify")
        for method, operation in operations.items():
            if method == "delete" or path == "/api/admin/events":
                continue
            names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
            dry = {"dryRun": "true"} if "dryRun" in names else {}
            yield from ((method, place, {"params": {**dry, name: text}}) for name in names for text in TEXTS)
            schema = _schema(document, operation)
            if schema is not None and "{kind}" not in path:  # an empty body begins a verification
                fields = schema["properties"]
                known = {"jobType": "DAILY_MAINTENANCE"} if "jobType" in fields else {}
                for body in (*BODIES, *({**known, name: value} for name in fields for value in VALUES)):
                    yield method, place, {"json": body, "params": dry}


async def test_a_refusal_names_the_field_and_what_is_allowed(api: Api, stream: Stream) -> None:
    await stream.define("DAILY_MAINTENANCE")
    await api.projected(await stream.run("DAILY_MAINTENANCE"))
    refused, unclear = 0, set[str]()
    for method, path, request in _questions(document_of(api.app)):
        answer = await api.http.request(method, path, headers=api.admin, **request)
        if answer.status_code < 400 or (answer.status_code in (404, 409) and "errors" not in answer.json()):
            continue
        refused += 1
        problem = answer.json()
        named = problem.get("errors") and all("allowed" in one for one in problem["errors"])
        if not named or LIBRARIES.search(json.dumps(problem)):
            unclear.add(f"{method} {path} {str(request)[:80]}: {problem['detail'][:150]}")
    assert refused > 500
    assert not unclear
