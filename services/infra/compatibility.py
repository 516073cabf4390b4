"""Whether a JSON Schema still means what it meant: what was valid must stay valid, what was promised must still come.

For events both hold for ever: old ones are read from the stream, and other services read the new ones.
"""

from collections.abc import Iterator
from typing import Any, Final

_BOUNDS: Final = {
    "maximum": 1,
    "exclusiveMaximum": 1,
    "maxLength": 1,
    "maxItems": 1,
    "minimum": -1,
    "exclusiveMinimum": -1,
    "minLength": -1,
    "minItems": -1,
}
"""Which way a bound may move: 1 up, -1 down."""


def breaks(before: Any, after: Any, at: str = "") -> Iterator[str]:
    """Each thing that readers or writers of `before` would trip over in `after`, in words."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return
    yield from _fields(before, after, at)
    yield from _values(before, after, at)
    for key in sorted({*before, *after} & {"properties", "$defs"}):
        old, new = before.get(key, {}), after.get(key, {})
        for name in sorted({*old} & {*new}):
            yield from breaks(old[name], new[name], f"{at}.{name}")
    for key in ("items", "additionalProperties"):
        yield from breaks(before.get(key), after.get(key), f"{at}[]")
    yield from _unions(before, after, at)


def _fields(before: dict[str, Any], after: dict[str, Any], at: str) -> Iterator[str]:
    old, new = before.get("properties", {}), after.get("properties", {})
    for name in sorted(old):
        if name not in new:
            yield f"{at}.{name} is gone"
    for name in sorted({*after.get("required", ())} - {*before.get("required", ())}):
        yield f"{at}.{name} is required now"
    for name in sorted({*before.get("required", ())} - {*after.get("required", ())}):
        yield f"{at}.{name} may be missing now"


def _values(before: dict[str, Any], after: dict[str, Any], at: str) -> Iterator[str]:
    for key in ("type", "format", "const", "$ref", "pattern"):
        if before.get(key) != after.get(key):
            yield f"{at or '.'}: {key} {before.get(key)!r} is {after.get(key)!r} now"
    for value in before.get("enum", ()):
        if value not in after.get("enum", (value,)):
            yield f"{at or '.'}: {value!r} is no longer allowed"
    if "enum" in after and "enum" not in before:
        yield f"{at or '.'}: only {after['enum']!r} is allowed now"
    for bound, way in _BOUNDS.items():
        if bound in after and (bound not in before or (after[bound] - before[bound]) * way < 0):
            yield f"{at or '.'}: {bound} {before.get(bound)!r} is {after[bound]!r} now"


def _unions(before: dict[str, Any], after: dict[str, Any], at: str) -> Iterator[str]:
    """Each alternative of before needs one of after that breaks nothing of it."""
    news = [*after.get("anyOf", ()), *after.get("oneOf", ())]
    for old in (*before.get("anyOf", ()), *before.get("oneOf", ())):
        if not any(not list(breaks(old, new, at)) for new in news):
            yield f"{at or '.'}: {old!r} is no longer among what is allowed"


def calls_break(before: Any, after: Any) -> Iterator[str]:
    """Each thing that clients of an OpenAPI document would trip over in a later one, in words."""
    for path, methods in sorted(before["paths"].items()):
        for method, old in sorted(methods.items()):
            name = f"{method.upper()} {path}"
            new = after["paths"].get(path, {}).get(method)
            yield from _operation(old, new, name) if new else [f"{name} is gone"]
    schemas = after["components"]["schemas"]
    for name, schema in sorted(before["components"]["schemas"].items()):
        yield from breaks(schema, schemas[name], name) if name in schemas else [f"schema {name} is gone"]


def _operation(old: dict[str, Any], new: dict[str, Any], name: str) -> Iterator[str]:
    kept = {(one["in"], one["name"]): one for one in new.get("parameters", ())}
    known = {(one["in"], one["name"]): one for one in old.get("parameters", ())}
    for key, parameter in known.items():
        at = f"{name} {key[1]}"
        yield from breaks(parameter["schema"], kept[key]["schema"], at) if key in kept else [f"{at} is gone"]
    for key, parameter in kept.items():
        if parameter.get("required") and not known.get(key, {}).get("required"):
            yield f"{name} {key[1]} is required now"
    yield from _contents(old.get("requestBody", {}), new.get("requestBody", {}), f"{name} body")
    if new.get("requestBody", {}).get("required") and not old.get("requestBody", {}).get("required"):
        yield f"{name}: a body is required now"
    for status in sorted(one for one in old["responses"] if one.startswith("2")):
        if status not in new["responses"]:
            yield f"{name}: {status} is gone"
        else:
            yield from _contents(old["responses"][status], new["responses"][status], f"{name} {status}")


def _contents(old: dict[str, Any], new: dict[str, Any], at: str) -> Iterator[str]:
    for type, media in old.get("content", {}).items():
        if type not in new.get("content", {}):
            yield f"{at}: {type} is gone"
        else:
            yield from breaks(media["schema"], new["content"][type]["schema"], at)
