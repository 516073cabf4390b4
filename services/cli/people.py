"""Accounts by their names, where the API has told them: events and errors say `ADMIN:<id>`."""

import re
from collections.abc import Mapping
from typing import Any

_ADMIN = re.compile(r"\bADMIN:(\d+)\b")


def of_run(run: Mapping[str, Any]) -> dict[str, str]:
    """Those who had to do with it, by their ids."""
    who = ("triggeredBy", "cancelRequestedBy", "cancelledBy")
    return {str(run[one]).removeprefix("ADMIN:"): run[f"{one}Name"] for one in who if run.get(f"{one}Name")}


def named(text: str, names: Mapping[str, str]) -> str:
    return _ADMIN.sub(lambda found: names.get(found[1], found[0]), text)
