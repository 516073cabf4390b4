"""Old versions of events, turned into today's, on plain dicts.

An entry maps an old type to (the next type, a function from the old data to the next).
Samples of every version ever written stay in tests/contracts.
"""

from collections.abc import Callable
from typing import Any, Final

Upcaster = tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]


def _schedule_changed_v2(data: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew a schedule only as a whole, and a pause only as a flag."""
    given = {field: value for field, value in (data["schedule"] or {}).items() if value is not None}
    if given and "deadlineMs" not in given:
        given["deadlineMs"] = 0
    pause = {"pause": {"by": data["by"]}} if data["paused"] is True else {}
    return {"by": data["by"], **given, "givenBy": dict.fromkeys(given, data["by"]), **pause}


UPCASTERS: Final[dict[str, Upcaster]] = {
    "kronik.schedule.changed.v1": ("kronik.schedule.changed.v2", _schedule_changed_v2),
}


def upcast(
    event_type: str, data: dict[str, Any], upcasters: dict[str, Upcaster] = UPCASTERS
) -> tuple[str, dict[str, Any]]:
    """The newest (type, data) that this old one can become; itself where there is nothing to do."""
    while event_type in upcasters:
        event_type, change = upcasters[event_type]
        data = change(data)
    return event_type, data
