"""What a job takes, read from the JSON Schema of its definition, for who fills it in by hand. Pure."""

from typing import Any

import msgspec
from msgspec import Struct


class Param(Struct, frozen=True):
    """One field of a job's params. kind: what it may be: `string`, `integer | null`, `"a" | "b"`."""

    name: str
    kind: str
    required: bool
    description: str


def params(schema: dict[str, Any]) -> tuple[Param, ...]:
    """Empty for a job that takes none, or whose schema says nothing of fields."""
    schema = _resolved(schema, schema)
    properties, required = schema.get("properties"), schema.get("required", [])
    if not isinstance(properties, dict):
        return ()
    return tuple(
        Param(name, _kind(one, schema), name in required, str(one.get("description", "")))
        for name, one in properties.items()
        if isinstance(one, dict)
    )


def example(taken: tuple[Param, ...]) -> str:
    """`{"month": …}`: the fields that must be there, else the first."""
    shown = [one.name for one in taken if one.required] or [one.name for one in taken[:1]]
    return "{" + ", ".join(f'"{name}": …' for name in shown) + "}"


def _resolved(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The definition that a `$ref` of msgspec's kind, `#/$defs/Name`, names; else the part itself."""
    name = str(part.get("$ref", "")).removeprefix("#/$defs/")
    found = schema.get("$defs", {}).get(name) if name else None
    return {"$defs": schema.get("$defs", {}), **found} if isinstance(found, dict) else part


def _kind(part: dict[str, Any], schema: dict[str, Any]) -> str:
    part = _resolved(part, schema)
    if isinstance(part.get("enum"), list):
        return " | ".join(msgspec.json.encode(value).decode() for value in part["enum"])
    if isinstance(part.get("anyOf"), list):
        return " | ".join(_kind(one, schema) for one in part["anyOf"] if isinstance(one, dict))
    kind = part.get("type", "")
    return " | ".join(map(str, kind)) if isinstance(kind, list) else str(kind)
