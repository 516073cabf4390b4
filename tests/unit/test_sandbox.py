"""The sandbox's people and faults, without its server."""

import json

import pytest

from services.dining.heynabo import records
from services.dining.sandbox.community import community
from services.dining.sandbox.faults import Fault, Switch, distort, malformed

LOCATION_FIELDS = {"id", "type", "address", "street", "streetNumber", "city", "zipCode", "typeId", "hidden"}
USER_FIELDS = {"id", "type", "email", "firstName", "lastName", "phone", "emergencyContact", "dateOfBirth", "role"}
USER_FIELDS |= {"roles", "avatar", "locationId", "isFirstLogin", "lastLogin", "inviteSent", "created"}


def test_the_same_seed_is_the_same_community() -> None:
    assert community(7) == community(7)
    assert community(7) != community(8)


def test_a_larger_community_begins_with_the_smaller() -> None:
    small, large = community(7, 10), community(7, 20)
    assert large.locations[:10] == small.locations
    assert large.users[: len(small.users)] == small.users


@pytest.mark.parametrize("seed", range(5))
def test_all_of_it_is_read_without_a_flaw(seed: int) -> None:
    made_up = community(seed)
    locations = records.locations(made_up.locations)
    users = records.users(made_up.users, records.EARLIEST_BIRTH.replace(year=2026))
    assert locations.flaws == users.flaws == []
    assert (len(locations.records), len(users.records)) == (len(made_up.locations), len(made_up.users))


def test_it_has_the_documented_fields_and_irregularities() -> None:
    made_up = community(7)
    for location in made_up.locations:
        assert location.keys() >= LOCATION_FIELDS
    for user in made_up.users:
        assert user.keys() >= USER_FIELDS
    assert {type(location["streetNumber"]) for location in made_up.locations} == {int, str, type(None)}
    assert {location["hidden"] for location in made_up.locations} == {True, False}
    assert {user["role"] for user in made_up.users} == {"admin", "full", "limited"}
    assert "har ikke mail" in {user["email"] for user in made_up.users}
    assert None in {user["dateOfBirth"] for user in made_up.users}
    assert any("pronouns" in user for user in made_up.users)


def test_a_fault_with_times_goes_off_by_itself() -> None:
    switch = Switch(Fault("500", 2))
    assert [switch.take() for _ in range(4)] == ["500", "500", "none", "none"]


def test_a_fault_without_times_stays() -> None:
    switch = Switch(Fault("empty"))
    assert [switch.take() for _ in range(3)] == ["empty"] * 3


def test_shrunk_is_half_of_the_households_and_only_their_users() -> None:
    half = distort(community(7), "shrunk")
    homes = {location["id"] for location in half.locations}
    assert len(half.locations) == len(community(7).locations) // 2
    assert {user["locationId"] for user in half.users} <= homes


def test_malformed_names_what_it_breaks_and_breaks_nothing_else() -> None:
    made_up = community(7)
    broken, names = malformed(made_up)
    flaws = [
        *records.locations(broken.locations).flaws,
        *records.users(broken.users, records.EARLIEST_BIRTH.replace(year=2026)).flaws,
    ]
    # Unknown homes are seen when the homes are known, in the database.
    at_nowhere = {f"user {user['id']}" for user in broken.users if user["locationId"] == 999_999_999}
    assert {flaw.item for flaw in flaws} | at_nowhere == set(names)
    assert made_up == community(7)


def test_broken_text_can_be_sent() -> None:
    broken, _ = malformed(community(7))
    assert json.loads(json.dumps(broken.users)) == broken.users
