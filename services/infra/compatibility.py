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
    news = after.get("anyOf", ())
    for old in before.get("anyOf", ()):
        if not any(not list(breaks(old, new, at)) for new in news):
            yield f"{at or '.'}: {old!r} is no longer among what is allowed"
