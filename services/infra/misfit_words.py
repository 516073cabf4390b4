"""What msgspec says of a value that does not fit, in words for whoever sent it. Pure.

Source: the error messages of msgspec 0.22; one that is not known here stays as it is.
"""

import re
from collections.abc import Callable
from typing import Final

_KINDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "null": "null",
    "array": "an array",
    "object": "an object",
    "datetime": "an instant",
    "date": "a day",
}
_SIZES: Final = {"str": "characters", "array": "items", "object": "fields"}
_BOUNDS: Final = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}


def _not_empty(kind: str, sign: str, size: str) -> str:
    if (sign, size) == (">=", "1"):
        return "must not be empty"
    return f"must have {_BOUNDS[sign]} {size} {_SIZES.get(kind, 'parts')}"


def _kinds(text: str) -> str:
    return " or ".join(_KINDS.get(one, one) for one in text.split(" | "))


_WORDS: Final[tuple[tuple[str, Callable[..., str]], ...]] = (
    (r"Expected `(\w+)` of length (>=|<=|>|<) (\d+)", _not_empty),
    (r"Expected `\w+` (>=|<=|>|<) (\S+)", lambda sign, bound: f"must be {_BOUNDS[sign]} {bound}"),
    (r"Expected `\w+` matching regex .*", lambda: "does not have the form that is allowed"),
    (r"Expected `\w+` with a timezone component", lambda: "has no offset from UTC"),
    (r"Expected `(.+?)`, got `(.+?)`", lambda wanted, given: f"must be {_kinds(wanted)}, not {_kinds(given)}"),
    (r"Invalid enum value (.*)", lambda value: f"{value} is not one of those that are allowed"),
    (r"Invalid RFC3339 encoded (datetime|date)", lambda kind: "is no instant" if kind == "datetime" else "is no day"),
    (r"(?:Integer value|Number) out of range", lambda: "is too large a number"),
)
_PLACE: Final = re.compile(r"(.*?)(?: - at `\$\.?(.*)`)?", re.DOTALL)


def in_words(message: str) -> str:
    """`Expected `int` >= 1 - at `$.params.month`` is: params.month must be at least 1."""
    said, place = _PLACE.fullmatch(message).groups()  # type: ignore[union-attr]
    for pattern, words in _WORDS:
        if found := re.fullmatch(pattern, said, re.DOTALL):
            return " ".join(filter(None, (place, words(*found.groups()))))
    return message
