"""HEYNABO_IMPORT against a real Postgres and a real HTTP server."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import msgspec
import pytest
from kronik import NoParams, PermanentError, job_of

from services.dining import heynabo_import as heynabo_import_module
from services.dining.daily_maintenance import daily_maintenance
from services.dining.database import Connection
from services.dining.heynabo_import import HeynaboImportResult, heynabo_import
from services.dining.monthly_billing import monthly_billing
from services.dining.sandbox.community import community
from tests.heynabo import NOW, Heynabo, configure, location, serving, sync, tally, user
from tests.run_context import Run
from tests.village import Village, local

SMALL = 12  # households


@pytest.fixture
def village(db: Connection) -> Village:
    return Village(db)


@pytest.fixture
async def heynabo(db: Connection, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Heynabo]:
    """A Heynabo with nobody in it, that the job is configured for."""
    server = Heynabo()
    with serving(server.sandbox.respond) as server.url:
        configure(monkeypatch, server.url)
        yield server


async def warned() -> list[str | None]:
    """The items that an import warns of."""
    run = Run(now=NOW)
    await sync(run)
    return run.warned_of()


def homes(count: int, first: int = 1) -> list[dict[str, Any]]:
    return [location(each, f"Skrænten {each}") for each in range(first, first + count)]


# locations become households, users inhabitants


async def test_the_first_import_makes_everything_and_the_second_nothing(heynabo: Heynabo) -> None:
    made_up = community(7, SMALL)
    heynabo.tell(made_up.locations, made_up.users)
    accounts = sum(bool(each["email"]) and "@" in each["email"] and each["role"] != "limited" for each in made_up.users)
    first = await sync()
    assert tally(first) == {
        "householdsCreated": SMALL,
        "inhabitantsCreated": len(made_up.users),
        "usersCreated": accounts,
    }
    second = await sync()
    assert tally(second) == {}
    assert (second.households_unchanged, second.inhabitants_unchanged) == (SMALL, len(made_up.users))


async def test_the_sandbox_s_irregularities_are_no_warnings(heynabo: Heynabo, db: Connection) -> None:
    made_up = community(7)
    heynabo.tell(made_up.locations, made_up.users)
    assert await warned() == []


async def test_a_new_household_has_heynabo_s_id_as_pbs_number_and_moves_in_today(
    heynabo: Heynabo, village: Village
) -> None:
    heynabo.tell(
        [location(17, "Engkanten 3, 1. tv", street="Engkanten", streetNumber=3, zipCode=4999, city="Bakkerup")],
        [user(5, 17)],
    )
    await sync(Run(now=local("2026-11-13 00:30")))
    assert await village.rows(
        "SELECT heynabo_id, pbs_id, name, address, moved_in_date, move_out_date FROM dining.household"
    ) == [(17, 17, "Engkanten 3", "Engkanten 3, 1. tv, 4999 Bakkerup", date(2026, 11, 13), None)]


async def test_hidden_locations_are_households_too(heynabo: Heynabo) -> None:
    heynabo.tell([location(1, hidden=True), location(2, hidden=False)], [user(5, 1)])
    assert (await sync()).households_created == 2


async def test_pbs_number_and_moving_in_are_ours_names_and_addresses_heynabo_s(
    heynabo: Heynabo, village: Village
) -> None:
    await village.household("old", heynabo_id=17, pbs_id=4711, moved_in="2019-04-01", move_out="2027-01-01")
    heynabo.tell([location(17, "new")], [user(5, 17)])
    assert tally(await sync())["householdsUpdated"] == 1
    assert await village.rows("SELECT pbs_id, name, address, moved_in_date, move_out_date FROM dining.household") == [
        (4711, "new", "new", date(2019, 4, 1), date(2027, 1, 1))
    ]


async def test_a_pbs_number_that_was_taken_away_stays_away(heynabo: Heynabo, village: Village) -> None:
    await village.household("Skrænten 1", heynabo_id=17, pbs_id=None)
    heynabo.tell([location(17)], [user(5, 17)])
    await sync()
    assert await village.rows("SELECT pbs_id FROM dining.household") == [(None,)]


async def test_a_number_that_another_household_was_given_is_not_taken_twice(heynabo: Heynabo, village: Village) -> None:
    await village.household("Skrænten 1", heynabo_id=1, pbs_id=2)
    heynabo.tell(homes(2), [user(5, 1)])
    assert await warned() == ["location 2"]
    assert await village.rows("SELECT heynabo_id, pbs_id FROM dining.household ORDER BY 1") == [(1, 2), (2, None)]


async def test_an_inhabitant_has_heynabo_s_name_birthday_picture_and_home(heynabo: Heynabo, village: Village) -> None:
    heynabo.tell(
        [location(1)],
        [
            user(
                5,
                1,
                firstName=" Åse ",
                lastName="Bech\nHolm",
                avatar="https://x.dk/5.jpg",
                dateOfBirth="1985-04-12",
            )
        ],
    )
    await sync()
    assert await village.rows(
        "SELECT first_name, last_name, picture_url, birth_date, dinner_preferences FROM dining.inhabitant"
    ) == [("Åse", "Bech Holm", "https://x.dk/5.jpg", date(1985, 4, 12), "{}")]


async def test_who_moves_gets_a_new_home_and_keeps_preferences(heynabo: Heynabo, village: Village) -> None:
    old = await village.household("Skrænten 1", heynabo_id=1)
    await village.inhabitant(old, heynabo_id=5, prefers={"MONDAY": "DINEIN"})
    heynabo.tell(homes(2), [user(5, 2)])
    assert tally(await sync())["inhabitantsUpdated"] == 1
    assert await village.rows(
        """SELECT h.heynabo_id, i.dinner_preferences FROM dining.inhabitant i
           JOIN dining.household h ON h.id = i.household_id"""
    ) == [(2, '{"MONDAY": "DINEIN"}')]


async def test_a_known_birthday_is_not_lost_to_a_missing_one(heynabo: Heynabo, village: Village) -> None:
    await village.inhabitant(await village.household(heynabo_id=1), heynabo_id=5, born="2015-05-05")
    heynabo.tell(homes(1), [user(5, 1, dateOfBirth=None)])
    await sync()
    assert await village.rows("SELECT birth_date FROM dining.inhabitant") == [(date(2015, 5, 5),)]


# accounts


async def accounts(village: Village) -> list[tuple[object, ...]]:
    return await village.rows(
        """SELECT i.heynabo_id, a.email, a.system_roles FROM dining.inhabitant i
           JOIN dining.app_user a ON a.id = i.user_id ORDER BY 1"""
    )


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"email": " Ida.HOLM@Example.org ", "role": "full"}, [(5, "ida.holm@example.org", [])]),
        ({"email": "a@b.dk", "role": "admin"}, [(5, "a@b.dk", ["ADMIN"])]),
        ({"email": "a@b.dk", "role": "limited"}, []),
        ({"email": None}, []),
        ({"email": "har ikke mail"}, []),
        ({"email": "a@b"}, []),
        ({"email": "a@b.dk, c@d.dk"}, []),
        ({"email": "x" * 250 + "@b.dk"}, []),
    ],
)
async def test_who_gets_an_account(
    heynabo: Heynabo, village: Village, record: dict[str, object], expected: list[tuple[object, ...]]
) -> None:
    heynabo.tell(homes(1), [user(5, 1, **record)])
    assert await warned() == []
    assert await accounts(village) == expected
    assert await village.count("app_user") == len(expected)
    assert await village.count("inhabitant") == 1


async def test_admin_comes_and_goes_with_heynabo_a_role_given_here_stays(heynabo: Heynabo, village: Village) -> None:
    person = await village.inhabitant(await village.household(heynabo_id=1), heynabo_id=5)
    await village.account(person, "user5@example.org", ("ALLERGYMANAGER",))
    heynabo.tell(homes(1), [user(5, 1, role="admin")])
    assert (await sync()).users_updated == 1
    assert await accounts(village) == [(5, "user5@example.org", ["ALLERGYMANAGER", "ADMIN"])]
    heynabo.tell(homes(1), [user(5, 1)])
    await sync()
    assert await accounts(village) == [(5, "user5@example.org", ["ALLERGYMANAGER"])]


async def test_a_new_email_keeps_the_account(heynabo: Heynabo, village: Village) -> None:
    person = await village.inhabitant(await village.household(heynabo_id=1), heynabo_id=5)
    await village.account(person, "old@example.org", ("ALLERGYMANAGER",))
    heynabo.tell(homes(1), [user(5, 1, email="new@example.org")])
    result = await sync()
    assert (result.users_created, result.users_updated, result.users_deleted) == (0, 1, 0)
    assert await accounts(village) == [(5, "new@example.org", ["ALLERGYMANAGER"])]


async def test_two_people_may_swap_their_emails(heynabo: Heynabo, village: Village) -> None:
    heynabo.tell(homes(1), [user(5, 1, email="a@x.dk"), user(6, 1, email="b@x.dk")])
    await sync()
    heynabo.tell(homes(1), [user(5, 1, email="b@x.dk"), user(6, 1, email="a@x.dk")])
    assert await warned() == []
    assert await accounts(village) == [(5, "b@x.dk", []), (6, "a@x.dk", [])]


async def test_an_email_can_be_given_up_for_another_s_new_account(heynabo: Heynabo, village: Village) -> None:
    heynabo.tell(homes(1), [user(5, 1, email="a@x.dk")])
    await sync()
    heynabo.tell(homes(1), [user(5, 1, email="b@x.dk"), user(6, 1, email="a@x.dk")])
    assert await warned() == []
    assert await accounts(village) == [(5, "b@x.dk", []), (6, "a@x.dk", [])]


async def test_an_email_that_another_keeps_blocks_a_chain_of_changes(heynabo: Heynabo, village: Village) -> None:
    """7's record can't be read, so its account stays; 6 wants its email, 5 wants 6's. Nobody else suffers."""
    heynabo.tell(homes(1), [user(each, 1, email=f"{each}@x.dk") for each in (5, 6, 7, 8)])
    await sync()
    broken = user(7, 1, firstName=None, lastName=None)
    heynabo.tell(
        homes(1), [user(5, 1, email="6@x.dk"), user(6, 1, email="7@x.dk"), broken, user(8, 1, email="new@x.dk")]
    )
    assert await warned() == ["user 7", "user 5", "user 6"]
    assert await accounts(village) == [(5, "5@x.dk", []), (6, "6@x.dk", []), (7, "7@x.dk", []), (8, "new@x.dk", [])]


async def test_of_two_users_with_one_email_the_first_has_the_account(heynabo: Heynabo, village: Village) -> None:
    heynabo.tell(homes(1), [user(9, 1, email="a@x.dk"), user(5, 1, email="A@X.dk")])
    assert await warned() == ["user 9"]
    assert await accounts(village) == [(5, "a@x.dk", [])]
    assert await village.count("inhabitant") == 2


async def test_an_account_without_a_person_is_taken_over_by_its_email(heynabo: Heynabo, village: Village) -> None:
    await village.db.execute(
        "INSERT INTO dining.app_user (email, system_roles) VALUES ('user5@example.org', '{ALLERGYMANAGER}')"
    )
    heynabo.tell(homes(1), [user(5, 1)])
    assert (await sync()).users_created == 0
    assert await accounts(village) == [(5, "user5@example.org", ["ALLERGYMANAGER"])]


@pytest.mark.parametrize("change", [{"role": "limited"}, {"email": None}, {"email": "ingen"}])
async def test_who_is_to_have_no_account_any_more_loses_it(
    heynabo: Heynabo, village: Village, change: dict[str, object]
) -> None:
    heynabo.tell(homes(1), [user(5, 1)])
    await sync()
    heynabo.tell(homes(1), [user(5, 1, **change)])
    assert tally(await sync()) == {"usersDeleted": 1}
    assert await village.count("inhabitant") == 1


async def test_an_email_that_can_t_be_read_leaves_the_account_alone(heynabo: Heynabo, village: Village) -> None:
    heynabo.tell(homes(1), [user(5, 1)])
    await sync()
    heynabo.tell(homes(1), [user(5, 1, email={"address": "a@x.dk"})])
    assert await warned() == ["user 5"]
    assert await accounts(village) == [(5, "user5@example.org", [])]


# what is gone is deleted


async def test_what_is_gone_is_deleted(heynabo: Heynabo, village: Village) -> None:
    heynabo.tell(homes(4), [user(each, each) for each in (1, 2, 3, 4)])
    await sync()
    heynabo.tell(homes(3), [user(each, each) for each in (1, 2)])
    assert tally(await sync()) == {"householdsDeleted": 1, "inhabitantsDeleted": 2, "usersDeleted": 2}
    assert await village.rows("SELECT heynabo_id FROM dining.household ORDER BY 1") == [(1,), (2,), (3,)]
    assert await village.rows("SELECT heynabo_id FROM dining.inhabitant ORDER BY 1") == [(1,), (2,)]
    assert await village.count("app_user") == 2


async def test_who_moves_out_of_a_household_that_is_gone_moves(heynabo: Heynabo, village: Village) -> None:
    heynabo.tell(homes(4), [user(5, 4)])
    await sync()
    heynabo.tell(homes(3), [user(5, 1)])
    assert tally(await sync()) == {"householdsDeleted": 1, "inhabitantsUpdated": 1}


async def test_a_third_of_the_households_may_go_more_is_refused(heynabo: Heynabo, village: Village) -> None:
    heynabo.tell(homes(6), [user(5, 1)])
    await sync()
    heynabo.tell(homes(3), [user(5, 1, firstName="Ny")])
    with pytest.raises(PermanentError, match="3 of 6 households"):
        await sync()
    assert await village.count("household") == 6
    assert await village.rows("SELECT first_name FROM dining.inhabitant") == [("Ida",)]
    heynabo.tell(homes(4), [user(5, 1)])
    assert (await sync()).households_deleted == 2


@pytest.mark.parametrize(("locations", "users"), [([], []), (homes(6), []), ([], [user(5, 1)]), ([None], ["?"])])
async def test_an_answer_without_usable_locations_or_users_is_refused(
    heynabo: Heynabo, village: Village, locations: list[Any], users: list[Any]
) -> None:
    heynabo.tell(homes(6), [user(5, 1)])
    await sync()
    heynabo.tell(locations, users)
    with pytest.raises(PermanentError, match=r"usable locations and \d usable users, and there are 6 households here"):
        await sync()
    assert (await village.count("household"), await village.count("inhabitant")) == (6, 1)


# people leave, money stays


async def arrange_debts(heynabo: Heynabo, village: Village) -> tuple[int, list[int]]:
    """Six households; person 6 of household 6 ate twice (one dinner not consumed yet), and booked two to come."""
    heynabo.tell(homes(6), [user(each, each) for each in range(1, 7)])
    await sync(Run(now=local("2026-10-01 12:00")))
    person = await village.db.fetchval("SELECT id FROM dining.inhabitant WHERE heynabo_id = 6")
    season = await village.season()
    orders = []
    for day, state in (("10-05", "CONSUMED"), ("11-11", "ANNOUNCED"), ("11-13", "ANNOUNCED"), ("11-14", "CANCELLED")):
        dinner = await village.dinner(season, local(f"2026-{day} 18:00"), state)
        orders.append(await village.order(dinner, person, "CLOSED" if state == "CONSUMED" else "BOOKED", price=1000))
    other = await village.dinner(season, local("2026-11-16 18:00"))
    await village.says_no(person, other)
    return person, orders


async def test_who_leaves_takes_coming_bookings_along_but_not_the_debts(heynabo: Heynabo, village: Village) -> None:
    _, orders = await arrange_debts(heynabo, village)
    heynabo.tell(homes(6), [user(each, each) for each in range(1, 6)])
    assert tally(await sync()) == {"inhabitantsDeleted": 1, "usersDeleted": 1}
    kept = await village.rows("SELECT id, inhabitant_id, person ->> 'heynaboId' FROM dining.dinner_order ORDER BY 1")
    assert kept == [(orders[0], None, "6"), (orders[1], None, "6")]
    assert await village.count("dinner_cancellation") == 0


async def test_a_household_that_leaves_is_still_charged_and_billed(heynabo: Heynabo, village: Village) -> None:
    """Its last dinners become transactions, its PBS number is the last it had, and nothing goes to anybody else."""
    await arrange_debts(heynabo, village)
    await daily_maintenance(Run(now=local("2026-11-01 02:00")), NoParams())  # the first dinner is a transaction
    await village.db.execute("UPDATE dining.household SET pbs_id = 4711 WHERE heynabo_id = 6")
    heynabo.tell(homes(5), [user(each, each) for each in range(1, 6)])
    assert tally(await sync()) == {"householdsDeleted": 1, "inhabitantsDeleted": 1, "usersDeleted": 1}
    await daily_maintenance(Run(now=local("2026-12-01 02:00")), NoParams())  # and now the second
    run = Run(now=local("2026-12-01 04:00"))
    await monthly_billing(run, NoParams())
    assert run.warnings == []
    assert await village.rows("SELECT household_id, household_heynabo_id, pbs_id, amount FROM dining.invoice") == [
        (None, 6, 4711, 1000),
        (None, 6, 4711, 1000),
    ]


async def test_a_household_that_leaves_is_billed_by_the_number_it_has_then(heynabo: Heynabo, village: Village) -> None:
    await arrange_debts(heynabo, village)
    await daily_maintenance(Run(now=local("2026-11-01 02:00")), NoParams())  # a transaction with the old number
    await village.db.execute("UPDATE dining.dinner_order SET state = 'CANCELLED' WHERE state = 'BOOKED'")
    await village.db.execute("UPDATE dining.household SET pbs_id = 4711 WHERE heynabo_id = 6")
    heynabo.tell(homes(5), [user(each, each) for each in range(1, 6)])
    await sync(Run(now=local("2026-11-01 03:00")))
    await monthly_billing(Run(now=local("2026-11-01 04:00")), NoParams())
    assert await village.rows("SELECT pbs_id, amount FROM dining.invoice") == [(4711, 1000)]


async def test_a_household_with_invoices_can_leave_and_they_stay(heynabo: Heynabo, village: Village) -> None:
    await arrange_debts(heynabo, village)
    await daily_maintenance(Run(now=local("2026-11-01 02:00")), NoParams())
    await monthly_billing(Run(now=local("2026-11-01 04:00")), NoParams())
    heynabo.tell(homes(5), [user(each, each) for each in range(1, 6)])
    assert (await sync()).households_deleted == 1
    assert await village.rows("SELECT household_id, amount, address FROM dining.invoice") == [
        (None, 1000, "Skrænten 6")
    ]


async def test_a_careless_delete_can_t_orphan_a_debt(heynabo: Heynabo, village: Village) -> None:
    person, _ = await arrange_debts(heynabo, village)
    with pytest.raises(Exception, match="violates check constraint"):
        await village.db.execute("DELETE FROM dining.inhabitant WHERE id = $1", person)


# one bad record is a warning


BAD_USERS: dict[str, dict[str, Any]] = {
    "no name": {"firstName": None, "lastName": ""},
    "a name of another kind": {"firstName": ["Ida"], "lastName": {"x": 1}},
    "no location": {"locationId": None},
    "an unknown location": {"locationId": 999},
    "a location of another kind": {"locationId": {"id": 1}},
    "a location that is true": {"locationId": True},
    "a location beyond integers": {"locationId": 2**40},
}


@pytest.mark.parametrize("bad", BAD_USERS.values(), ids=BAD_USERS)
async def test_an_unusable_user_is_named_and_what_we_have_stays(
    heynabo: Heynabo, village: Village, bad: dict[str, Any]
) -> None:
    heynabo.tell(homes(1), [user(5, 1, email="5@x.dk"), user(6, 1)])
    await sync()
    before = await village.rows("SELECT * FROM dining.inhabitant ORDER BY id")
    heynabo.tell(homes(1), [user(5, 1, email="5@x.dk") | bad, user(6, 1), user(7, 1) | bad])
    run = Run(now=NOW)
    assert tally(await sync(run)) == {}
    assert sorted(map(str, run.warned_of())) == ["user 5", "user 7"]
    assert await village.rows("SELECT * FROM dining.inhabitant ORDER BY id") == before


FLAWED_USERS: dict[str, dict[str, Any]] = {
    "an impossible date": {"dateOfBirth": "31/02/1990"},
    "a date to come": {"dateOfBirth": "2026-11-13"},
    "a date of antiquity": {"dateOfBirth": "0001-01-01T00:00:00+14:00"},
    "a date of another kind": {"dateOfBirth": {"year": 1990}},
    "a NUL": {"firstName": "I\x00da"},
    "half a surrogate pair": {"lastName": "Holm\udc00"},
    "an endless name": {"lastName": "Holm" * 10_000},
    "an unknown role": {"role": "king"},
    "no role": {"role": None},
    "a picture of another kind": {"avatar": [1]},
}


@pytest.mark.parametrize("flaw", FLAWED_USERS.values(), ids=FLAWED_USERS)
async def test_a_flawed_user_is_named_and_imported_all_the_same(
    heynabo: Heynabo, village: Village, flaw: dict[str, Any]
) -> None:
    heynabo.tell(homes(1), [user(5, 1) | flaw, user(6, 1)])
    assert await warned() == ["user 5"]
    assert await village.count("inhabitant") == 2
    assert tally(await sync()) == {}


HARMLESS_USERS: dict[str, dict[str, Any]] = {
    "numbers for text": {"firstName": 7, "phone": 12345678, "lastName": 1.5},
    "an id as text": {"id": "5", "locationId": " 1 "},
    "an id as float": {"id": 5.0, "locationId": 1.0},
    "fields of their own": {"pronouns": "de", "deep": {"a": [1, {"b": None}]}},
    "an instant for a birthday": {"dateOfBirth": "1990-05-05T22:00:00.000Z"},
    "only one name": {"lastName": None},
}


@pytest.mark.parametrize("fields", HARMLESS_USERS.values(), ids=HARMLESS_USERS)
async def test_what_can_be_understood_is_no_warning(heynabo: Heynabo, village: Village, fields: dict[str, Any]) -> None:
    heynabo.tell(homes(1), [user(5, 1) | fields])
    assert await warned() == []
    assert await village.rows("SELECT heynabo_id FROM dining.inhabitant") == [(5,)]


async def test_a_birthday_told_as_an_instant_is_the_day_in_copenhagen(heynabo: Heynabo, village: Village) -> None:
    heynabo.tell(homes(1), [user(5, 1, dateOfBirth="1990-05-05T22:00:00.000Z")])
    await sync()
    assert await village.rows("SELECT birth_date FROM dining.inhabitant") == [(date(1990, 5, 6),)]


@pytest.mark.parametrize("bad", [{"address": None}, {"address": {"a": 1}}, {"address": " \x00 "}])
async def test_an_unusable_location_and_its_people_stay(
    heynabo: Heynabo, village: Village, bad: dict[str, Any]
) -> None:
    """The people are not lost with it: they are at home in the household that we know."""
    heynabo.tell(homes(2), [user(5, 1), user(6, 2)])
    await sync()
    heynabo.tell(
        [location(1) | bad, location(2, "Skrænten 2"), location(3) | bad], [user(5, 1), user(6, 2), user(7, 3)]
    )
    run = Run(now=NOW)
    assert tally(await sync(run)) == {}
    assert run.warned_of() == ["location 1", "location 3", "user 7"]
    assert await village.count("household") == 2


async def test_of_records_with_one_id_the_first_is_used(heynabo: Heynabo, village: Village) -> None:
    heynabo.tell(
        [location(1, "first"), location(1, "second")], [user(5, 1, firstName="first"), user(5, 1, firstName="second")]
    )
    assert await warned() == ["location 1", "user 5"]
    assert await village.rows("SELECT name FROM dining.household") == [("first",)]
    assert await village.rows("SELECT first_name FROM dining.inhabitant") == [("first",)]


@pytest.mark.parametrize("nameless", [None, 7, "?", [], {}, {"id": None}, {"id": -1}, {"id": 2**31}, {"id": True}])
async def test_a_record_without_an_id_could_be_anyone_so_nobody_is_deleted(
    heynabo: Heynabo, village: Village, nameless: object
) -> None:
    heynabo.tell(homes(4), [user(each, each) for each in (1, 2, 3, 4)])
    await sync()
    heynabo.tell([*homes(3), nameless], [*(user(each, each) for each in (1, 2, 3)), nameless])
    run = Run(now=NOW)
    assert tally(await sync(run)) == {}
    assert run.warned_of() == ["location at place 4", "user at place 4"]
    assert (await village.count("household"), await village.count("inhabitant")) == (4, 4)


async def test_a_household_is_kept_for_someone_whose_record_is_broken(heynabo: Heynabo, village: Village) -> None:
    heynabo.tell(homes(4), [user(each, each) for each in (1, 2, 3, 4)])
    await sync()
    heynabo.tell(homes(3), [*(user(each, each) for each in (1, 2, 3)), user(4, 4)])  # 4 lives nowhere that exists
    run = Run(now=NOW)
    assert tally(await sync(run)) == {}
    assert run.warned_of() == ["user 4"]
    assert (await village.count("household"), await village.count("inhabitant")) == (4, 4)


# the whole


async def test_a_crash_in_the_middle_changes_nothing(heynabo: Heynabo, village: Village) -> None:
    """The last statement of the import fails: none of the ones before it have happened."""
    heynabo.tell(homes(4), [user(each, each) for each in (1, 2, 3, 4)])
    await sync()
    await village.db.execute(
        """CREATE FUNCTION public.boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'boom'; END $$;
           CREATE TRIGGER boom BEFORE DELETE ON dining.household FOR EACH ROW EXECUTE FUNCTION public.boom()"""
    )
    heynabo.tell(homes(3), [user(1, 1, firstName="Ny")])
    try:
        with pytest.raises(Exception, match="boom"):
            await sync()
    finally:
        await village.db.execute("DROP FUNCTION public.boom CASCADE")
    assert await village.count("inhabitant") == 4
    assert await village.rows("SELECT DISTINCT first_name FROM dining.inhabitant") == [("Ida",)]


async def test_imports_and_maintenance_at_once(heynabo: Heynabo, village: Village) -> None:
    made_up = community(7, SMALL)
    heynabo.tell(made_up.locations, made_up.users)
    season = await village.season()
    await village.dinner(season, local("2026-11-13 18:00"))
    runs = [sync(), sync(), *(daily_maintenance(Run(now=NOW), NoParams()) for _ in range(2)), sync()]
    results = [result for result in await asyncio.gather(*runs) if isinstance(result, HeynaboImportResult)]
    assert sum(result.households_created for result in results) == SMALL
    assert await village.count("inhabitant") == len(made_up.users)


async def test_the_summary_has_the_agreed_shape(heynabo: Heynabo, village: Village) -> None:
    heynabo.tell(homes(1), [user(5, 1)])
    summary = msgspec.json.decode(msgspec.json.encode(await sync()))
    agreed = (
        "householdsCreated householdsDeleted householdsUnchanged inhabitantsCreated inhabitantsDeleted usersCreated"
    )
    assert list(summary)[:6] == agreed.split()


def test_it_is_run_by_hand_unless_a_cron_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(heynabo_import)
    assert job is not None
    assert job.schedule is None
    monkeypatch.setenv("KRONIK_HEYNABO_CRON", "0 3 * * 1")
    schedule = heynabo_import_module._schedule()
    assert schedule is not None
    assert (schedule.expression, schedule.tz) == ("0 3 * * 1", "Europe/Copenhagen")
