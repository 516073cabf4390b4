"""What can go wrong with the sandbox on purpose."""

from copy import deepcopy
from typing import Annotated, Literal

from msgspec import Meta, Struct

from services.dining.sandbox.community import Community, Record

Mode = Literal["none", "500", "slow", "malformed", "empty", "unauthorized", "shrunk"]

DESCRIPTIONS: dict[Mode, str] = {
    "none": "answers as it should",
    "500": "answers 500",
    "slow": "answers late",
    "malformed": "some records are broken, the others are fine",
    "empty": "answers with no locations and no users",
    "unauthorized": "answers 401, whatever the token",
    "shrunk": "only the first half of the households are left",
}


class Fault(Struct, frozen=True):
    """times: for how many of the next API requests (login, locations, users); without it, until changed."""

    mode: Mode
    times: Annotated[int, Meta(ge=1)] | None = None


class Switch:
    """The fault that is on. It counts itself down and goes off."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def take(self) -> Mode:
        """The mode for one request."""
        mode, times = self.fault.mode, self.fault.times
        if times is not None:
            self.fault = Fault(mode, times - 1) if times > 1 else Fault("none")
        return mode


def distort(community: Community, mode: Mode) -> Community:
    """The community as it is told in this mode."""
    match mode:
        case "empty":
            return Community([], [])
        case "shrunk":
            return _half(community)
        case "malformed":
            return malformed(community)[0]
        case _:
            return community


def _half(community: Community) -> Community:
    kept = community.locations[: len(community.locations) // 2]
    homes = {location["id"] for location in kept}
    return Community(kept, [user for user in community.users if user["locationId"] in homes])


def malformed(community: Community) -> tuple[Community, list[str]]:
    """The community with broken records, and their names: "location 102", "user 1001".

    Breaks as many as it has records for, each in its own way; a community of 10 households has enough.
    """
    broken = deepcopy(community)
    names = []
    for kind, records, breakages in (("location", broken.locations, LOCATIONS), ("user", broken.users, USERS)):
        # From the end: a broken location should not make all users of a small community homeless.
        for record, breakage in zip(reversed(records), breakages, strict=False):
            record.update(breakage)
            names.append(f"{kind} {record['id']}")
    if len(broken.users) > len(USERS):
        broken.users.append(broken.users[0] | {"firstName": "Dobbelt"})
        names.append(f"user {broken.users[0]['id']}")
    return broken, names


LOCATIONS: list[Record] = [
    {"address": None, "street": None},
    {"address": {"text": "Skrænten 1"}, "street": ["Skrænten"]},
]
USERS: list[Record] = [
    {"firstName": None, "lastName": None, "alias": None},
    {"firstName": "Nul\x00la"},
    {"lastName": "\ud800Halv"},
    {"dateOfBirth": "31/02/1990"},
    {"dateOfBirth": "9999-12-31"},
    {"dateOfBirth": {"year": 1990}},
    {"locationId": None},
    {"locationId": 999_999_999},
    {"locationId": "i gården"},
    {"firstName": ["Liste"], "lastName": {}},
    {"role": 7},
]
