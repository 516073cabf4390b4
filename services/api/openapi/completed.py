"""The OpenAPI document, completed: Litestar tells the shapes, this what they mean, with examples and every problem.

Nothing here is about one route: what is said follows from names, statuses and the docstrings of the structs, so that a
route that is added is described like the others.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from services.api import problems, security
from services.api.openapi.examples import example_of, fits
from services.api.openapi.words import FIELDS, INSTANT, INSTANTS, PARAMETERS, STATUSES
from services.api.problems import MEDIA_TYPE, Kind

Document = dict[str, Any]

KINDS: Final = tuple(one for one in vars(problems).values() if isinstance(one, Kind))

_HEADERS: Final = {
    "X-Request-Id": "The request's, as it was sent or made",
    "Kronik-Position": "The sequence of the last event that the history had",
    "ETag": "To send back as If-None-Match",
    "Link": "RFC 8288: `next` has older runs, `prev` newer ones",
    "Location": "The new run",
}


def completed(document: Document) -> Document:
    """A document like it that says more."""
    document = _plain(document)
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        _describe(schema, _struct_of(name, schema))
    _tell_problem_types(schemas["ProblemDetails"])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _complete(operation, document, gated=path.startswith("/api"))
    for schema in schemas.values():
        schema["examples"] = [example_of(schema, document)]
    document["components"]["examples"] = {kind.type: _example(kind) for kind in KINDS}
    document["components"]["headers"] = {
        name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()
    }
    return document


def _plain(node: Any) -> Any:
    """Litestar writes the bounds of integers as 1.0, and `anything or null`, which no null is one of exactly."""
    match node:
        case {"oneOf": [{} as either, {"type": "null"}], **others} if not either:
            return _plain(others)
        case dict():
            return {key: _plain(value) for key, value in node.items()}
        case list():
            return [_plain(one) for one in node]
        case float() if node.is_integer():
            return int(node)
    return node


def _complete(operation: Document, document: Document, *, gated: bool) -> None:
    operation.setdefault("description", operation.get("summary", ""))
    for parameter in operation.get("parameters", ()):
        _complete_parameter(parameter)
    for status in ("400", "429", "default") if gated else ():
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
        if MEDIA_TYPE not in operation["responses"].get(status, {}).get("content", {}):
            operation["responses"][status] = {"description": STATUSES[status], "content": content}
    for status, response in operation["responses"].items():
        _complete_response(status, response, document, gated=gated)
    body = operation.get("requestBody", {})
    for media in body.get("content", {}).values():
        media["example"] = example_of(media["schema"], document)
        body["required"] = {"type": "null"} not in media["schema"].get("oneOf", ())


def _complete_parameter(parameter: Document) -> None:
    """A query has no null: what may be left out is just not required."""
    parameter["schema"] = schema = _without_null(parameter["schema"])
    schema.pop("description", None)
    said = PARAMETERS.get(parameter["name"], {})
    if schema.get("type") == "array":
        schema["items"].update(said.get("items", {}))
    else:
        schema.update(said.get("schema", {}))
    if parameter["name"] in INSTANTS and schema.get("format") != "date":
        schema.update(INSTANT)
    parameter.setdefault(
        "description", said.get("description", FIELDS.get(parameter["name"]) or _spelled(parameter["name"]))
    )
    usual = [one for one in said.get("examples", ()) if fits(one, schema)]
    value = usual[0] if usual else example_of(schema, {}, parameter["name"])
    parameter["example"] = [value] if schema.get("type") == "array" and not isinstance(value, list) else value
    for empty in ("allowEmptyValue", "allowReserved", "deprecated"):
        parameter.pop(empty, None)


def _without_null(schema: Document) -> Document:
    either = [one for one in schema.get("oneOf", ()) if one.get("type") != "null"]
    left = {name: value for name, value in schema.items() if name != "oneOf"}
    left |= either[0] if len(either) == 1 else {}
    if isinstance(left.get("type"), list):
        left["type"] = next(one for one in left["type"] if one != "null")
    if "enum" in left:
        left["enum"] = [value for value in left["enum"] if value is not None]
    return left


def _complete_response(status: str, response: Document, document: Document, *, gated: bool) -> None:
    for name in security.HEADERS:
        response.get("headers", {}).pop(name, None)
    named = ["X-Request-Id", *(["Kronik-Position"] if gated else [])]
    response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in named}
    for media_type, media in response.get("content", {}).items():
        if media_type == MEDIA_TYPE:
            media["examples"] = _problems(status)
        elif media["schema"]:
            media["example"] = example_of(media["schema"], document)


def _problems(status: str) -> dict[str, Document]:
    """An example of each kind of problem that has this status."""
    others = (405, 408, 413, 414, 415, 431, 500)
    kinds = (one for one in KINDS if str(one.status) == status or (status == "default" and one.status in others))
    return {kind.type: {"$ref": f"#/components/examples/{kind.type}"} for kind in kinds}


def _example(kind: Kind) -> Document:
    problem = {"type": f"urn:kronik:problem:{kind.type}", "title": kind.title, "status": kind.status}
    return {"summary": kind.title, "value": {**problem, "detail": "What was wrong, and what to do."}}


def _tell_problem_types(schema: Document) -> None:
    listed = "\n".join(f"- `urn:kronik:problem:{kind.type}` ({kind.status}): {kind.title}" for kind in KINDS)
    schema["properties"]["type"]["description"] = f"What kind of problem it is:\n{listed}"
    schema["properties"]["type"]["examples"] = [f"urn:kronik:problem:{kind.type}" for kind in KINDS]


def _describe(schema: Document, struct: type[Struct] | None) -> None:
    docstring = inspect.getdoc(struct) or "" if struct else ""
    schema.setdefault("description", docstring)
    told = dict(_told_of_fields(docstring, struct)) if struct else {}
    for name, least in _minima(struct) if struct else ():
        schema["properties"][name].setdefault("minimum", least)
    for name, field in schema.get("properties", {}).items():
        words = field.get("description") or told.get(name) or FIELDS.get(name) or _spelled(name)
        if "$ref" not in field:
            field["description"] = words


def _told_of_fields(docstring: str, struct: type[Struct]) -> Iterator[tuple[str, str]]:
    """`name, other: what they are.` in a struct's docstring is about its fields, to the next of them."""
    encoded = {field.name: field.encode_name for field in structs.fields(struct)}
    names = "|".join(map(re.escape, encoded))
    parts = re.split(rf"(?:^|(?<=\s))((?:{names})(?:, (?:{names}))*): ", docstring)
    for subject, words in zip(parts[1::2], parts[2::2], strict=True):
        for name in subject.split(", "):
            yield encoded[name], " ".join(words.split())


def _minima(struct: type[Struct]) -> Iterator[tuple[str, int]]:
    """Of the struct's numbers; Litestar leaves out a bound of 0."""
    (_, components) = msgspec.json.schema_components([struct])
    for name, field in components[struct.__name__].get("properties", {}).items():
        for either in (field, *field.get("anyOf", ())):
            if "minimum" in either:
                yield name, either["minimum"]


def _spelled(name: str) -> str:
    """`nextSlots`: next slots."""
    words = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f" {found[1].lower()}", name)
    return words[:1].upper() + words[1:]


def _struct_of(name: str, schema: Mapping[str, Any]) -> type[Struct] | None:
    """Several structs may have a name; the one with these fields is meant."""
    fields = {*schema.get("properties", ())}
    named = (one for one in _structs(Struct) if one.__name__ == name)
    return next((one for one in named if {field.encode_name for field in structs.fields(one)} == fields), None)


def _structs(parent: type[Struct]) -> Iterator[type[Struct]]:
    for child in parent.__subclasses__():
        yield child
        yield from _structs(child)
