"""What a request says and no call takes is refused by name, and not quietly passed over.

The rules are those that OpenAPI tells, so whatever route is added, they hold for it: query parameters that the call
does not have, ones given twice where one is meant, integers and truths that are not written as such; and in a body
fields that it does not have, and one that is there twice, of which every reader may take another one.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from litestar import Request
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct

from services.api.history import run_filter
from services.api.problems import ALLOWED, INVALID, NOT_JSON, FieldError, Problem, invalid

_WRITTEN: Final = {
    "integer": (re.compile(r"-?(0|[1-9][0-9]*)"), "is not an integer"),
    "boolean": (re.compile("true|false"), "is neither true nor false"),
}
_MOST_DIGITS: Final = 20
_JSON: Final = "application/json"


class Parameter(Struct, frozen=True):
    """type: of its value; several: it may be given more than once."""

    type: str
    several: bool


class Rules(Struct, frozen=True):
    """Of one operation. fields: of its body."""

    query: Mapping[str, Parameter]
    path: Mapping[str, Parameter]
    fields: frozenset[str] = frozenset()

    def filters(self, name: str) -> bool:
        """Whether it is a part of a filter, which is read by its own rules; `param.NAME` is one of many names."""
        return self.query.keys() >= run_filter.PARTS.keys() and run_filter.is_part(name)

    def knows(self, name: str) -> bool:
        return name in self.query or self.filters(name)


def rules_of(document: Mapping[str, Any]) -> dict[tuple[str, str], Rules]:
    """By method and path, from an OpenAPI document."""
    return {
        (method.upper(), path): Rules(
            query=_parameters(operation, "query"),
            path=_parameters(operation, "path"),
            fields=frozenset(_fields(operation, document["components"]["schemas"])),
        )
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def _parameters(operation: Mapping[str, Any], place: str) -> dict[str, Parameter]:
    return {one["name"]: _parameter(one["schema"]) for one in operation.get("parameters", ()) if one["in"] == place}


def _fields(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        for either in (content["schema"], *content["schema"].get("oneOf", ())):
            yield from schemas.get(either.get("$ref", "").rpartition("/")[2], {}).get("properties", ())


def _parameter(schema: Mapping[str, Any]) -> Parameter:
    for either in (schema, *schema.get("oneOf", ())):
        types = either.get("type", "null")
        for type in (one for one in ([types] if isinstance(types, str) else types) if one != "null"):
            one = either["items"] if type == "array" else either
            return Parameter(one.get("type", "string"), type == "array")
    return Parameter("string", False)


def strict(app: ASGIApp) -> ASGIApp:
    """To stand behind the gate: who is nobody is told nothing."""

    async def check(scope: Scope, receive: Receive, send: Send) -> None:
        request: Request[Any, Any, Any] = Request(scope, receive, send)
        rules: dict[tuple[str, str], Rules] = request.app.state.rules
        if request.method == "OPTIONS":
            await _tell_methods({method for method, path in rules if path == scope["path_template"]}, send)
            return
        if (found := rules.get((request.method, scope["path_template"]))) is not None:
            _check_query(found, list(request.query_params.multi_items()))
            for name, value in request.scope["path_params"].items():
                _check_written(name, str(value), found.path.get(name, Parameter("string", False)))
        if request.method == "POST" and (body := await request.body()):
            _check_kind(request.headers.get("Content-Type", _JSON))
            _check_fields(body, found.fields if found is not None else frozenset())
        await app(scope, receive, send)

    return check


async def _tell_methods(methods: set[str], send: Send) -> None:
    """Litestar tells those of one handler alone."""
    headers = [(b"allow", ",".join({*methods, "OPTIONS"}).encode())]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _check_query(rules: Rules, given: list[tuple[str, str]]) -> None:
    """Raises Problem."""
    unknown = sorted({name for name, _ in given if not rules.knows(name)})
    if unknown:
        raise _unknown(unknown, sorted(rules.query), "query parameter")
    for name, count in Counter(name for name, _ in given).items():
        if count > 1 and name in rules.query and not rules.query[name].several:
            raise invalid(name, f"was given {count} times")
    for name, value in given:
        if name in rules.query:
            _check_written(name, value, rules.query[name])
        if value == "null" and not rules.filters(name):  # Litestar takes it for nothing given
            raise invalid(name, "'null' is not one of its values")


def _unknown(names: list[str], known: list[str], kind: str) -> Problem:
    listed = ", ".join(known) or "none"
    errors = [FieldError(name[:80], f"is no {kind} of this call", list(known)) for name in names[:20]]
    named = ", ".join(one.field for one in errors)
    return Problem(INVALID, f"no {kind} of this call: {named}; it takes: {listed}", errors)


def _check_written(name: str, value: str, parameter: Parameter) -> None:
    """Raises Problem."""
    form, problem = _WRITTEN.get(parameter.type, (None, ""))
    if form is not None and not (form.fullmatch(value) and len(value) <= _MOST_DIGITS):
        raise invalid(name, f"{value[:80]!r} {problem}", allowed=ALLOWED.get(name, f"{parameter.type}"))


def _check_kind(given: str) -> None:
    """Raises Problem for a body that says it is something else than JSON; one that says nothing is taken for it."""
    kind, _, more = given.lower().partition(";")
    charset = more.partition("charset=")[2].strip(' "')
    if kind.strip() != _JSON or charset not in ("", "utf-8"):
        raise Problem(NOT_JSON, f"{given[:80]!r} is not taken: send {_JSON}, in UTF-8.")


def _check_fields(body: bytes, known: frozenset[str] = frozenset()) -> None:
    """Raises Problem for a name that stands twice in one object, and for one of the outermost that is not known; what
    is no JSON at all is the handler's to refuse."""
    try:
        given = json.loads(body, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return
    if isinstance(given, frozenset) and known and (unknown := sorted(given - known)):
        raise _unknown(unknown, sorted(known), "field")


def _object(pairs: list[tuple[str, Any]]) -> frozenset[str]:
    names = Counter(name for name, _ in pairs)
    name, count = max(names.items(), key=lambda one: one[1], default=("", 0))
    if count > 1:
        raise invalid(name[:80], f"is in the body {count} times")
    return frozenset(names)
