"""Examples for a JSON Schema: values that fit it, by the names of its fields where they have a usual one."""

from collections.abc import Mapping
from typing import Any, Final

from services.api.openapi.words import VALUES

Schema = Mapping[str, Any]

_NEVER = object()
_KINDS: Final[Mapping[str, type]] = {"string": str, "integer": int, "object": dict, "array": list, "boolean": bool}


def example_of(schema: Schema, document: Schema, name: str = "") -> Any:
    """A value that is valid. document: where references lead; name: the field's."""
    if reference := schema.get("$ref"):
        return example_of(document["components"]["schemas"][reference.rpartition("/")[2]], document, name)
    either = schema.get("oneOf") or schema.get("anyOf")
    if either:
        return _of_either(schema, either, document, name)
    known = VALUES.get(name, _NEVER)
    if known is not _NEVER and fits(known, schema):
        return known
    return _of_type(schema, document, name)


def _of_either(schema: Schema, either: list[Schema], document: Schema, name: str) -> Any:
    if VALUES.get(name, _NEVER) is None and any(one.get("type") == "null" for one in either):
        return None
    first = next((one for one in either if one.get("type") != "null"), either[0])
    around = {key: value for key, value in schema.items() if key not in ("oneOf", "anyOf", "description")}
    return example_of({**around, **first}, document, name)


def fits(value: Any, schema: Schema) -> bool:
    """Whether it is of the schema's type and among what that lists."""
    if "enum" in schema:
        return value in schema["enum"]
    return isinstance(value, _KINDS.get(schema.get("type", ""), object))


def _of_type(schema: Schema, document: Schema, name: str) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object" | None if "properties" in schema:
            return {key: example_of(inner, document, key) for key, inner in schema["properties"].items()}
        case "object":
            return {}
        case "array":
            return [example_of(schema.get("items", {}), document, name)]
        case "string":
            return _text(schema)
        case "integer" | "number":
            return max(schema.get("minimum", 1), 1) if schema.get("maximum", 1) >= 1 else schema["maximum"]
        case "boolean":
            return bool(schema.get("default", True))
        case _:
            return None if schema.get("type") == "null" else {}


def _text(schema: Schema) -> str:
    match schema.get("format"):
        case "date-time":
            return "2026-11-27T13:30:00Z"
        case "date":
            return "2026-11-27"
        case _:
            return str(schema.get("default", "text"))
