"""Old versions of events, turned into today's, on plain dicts.

An entry maps an old type to (the next type, a function from the old data to the next).
Samples of every version ever written stay in tests/contracts.
"""

from collections.abc import Callable
from typing import Any, Final

Upcaster = tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]

UPCASTERS: Final[dict[str, Upcaster]] = {}


def upcast(
    event_type: str, data: dict[str, Any], upcasters: dict[str, Upcaster] = UPCASTERS
) -> tuple[str, dict[str, Any]]:
    """The newest (type, data) that this old one can become; itself where there is nothing to do."""
    while event_type in upcasters:
        event_type, change = upcasters[event_type]
        data = change(data)
    return event_type, data
