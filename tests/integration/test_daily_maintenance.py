"""DAILY_MAINTENANCE against a real Postgres. Now is Thursday 12 November 2026, 02:00 in Copenhagen."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import asyncpg
import msgspec
import pytest
from kronik import NoParams, PermanentError

from services.dining.daily_maintenance import DailyMaintenanceResult, daily_maintenance
from services.dining.database import Connection
from tests.run_context import Run
from tests.village import ADULT_PRICE, BABY_PRICE, CHILD_PRICE, Village, local

NOW = local("2026-11-12 02:00")
YESTERDAY = local("2026-11-11 18:00")
TOMORROW = local("2026-11-13 18:00")


@pytest.fixture
def village(db: Connection) -> Village:
    return Village(db)


async def maintain(now: Any = NOW) -> DailyMaintenanceResult:
    result: DailyMaintenanceResult = await daily_maintenance(Run(now=now), NoParams())
    return result


def counts(result: DailyMaintenanceResult) -> tuple[int, int, int]:
    return result.consume.consumed, result.close.closed, result.transact.created


def scaffolded(result: DailyMaintenanceResult) -> tuple[int, int, int, int]:
    assert result.scaffold is not None
    return (
        result.scaffold.created,
        result.scaffold.deleted,
        result.scaffold.unchanged,
        result.scaffold.households,
    )


# consume


@pytest.mark.parametrize("state", ["SCHEDULED", "ANNOUNCED"])
async def test_a_dinner_that_has_begun_is_consumed(village: Village, state: str) -> None:
    dinner = await village.dinner(await village.season(), NOW - timedelta(seconds=1), state)
    assert counts(await maintain()) == (1, 0, 0)
    assert await village.states("dinner_event", dinner) == ["CONSUMED"]


async def test_a_dinner_that_begins_now_is_not_past(village: Village) -> None:
    dinner = await village.dinner(await village.season(), NOW)
    assert counts(await maintain()) == (0, 0, 0)
    assert await village.states("dinner_event", dinner) == ["ANNOUNCED"]


async def test_a_cancelled_dinner_stays_cancelled_and_its_orders_open(village: Village) -> None:
    dinner = await village.dinner(await village.season(), YESTERDAY, "CANCELLED")
    order = await village.order(dinner, await village.inhabitant(await village.household()))
    assert counts(await maintain()) == (0, 0, 0)
    assert await village.states("dinner_event", dinner) == ["CANCELLED"]
    assert await village.states("dinner_order", order) == ["BOOKED"]


async def test_dinners_of_other_seasons_are_left_alone(village: Village) -> None:
    await village.season()
    old = await village.dinner(await village.season("2025/26", active=False), YESTERDAY)
    assert counts(await maintain()) == (0, 0, 0)
    assert await village.states("dinner_event", old) == ["ANNOUNCED"]


# close and transact


async def test_booked_and_released_orders_are_closed_and_owed_cancelled_ones_are_not(village: Village) -> None:
    home = await village.household()
    people = [await village.inhabitant(home) for _ in range(4)]
    dinner = await village.dinner(await village.season(), YESTERDAY)
    orders = [
        await village.order(dinner, person, state)
        for person, state in zip(people, ["BOOKED", "RELEASED", "CANCELLED"], strict=False)
    ]
    assert counts(await maintain()) == (1, 2, 2)
    assert await village.states("dinner_order", *orders) == ["CLOSED", "CLOSED", "CANCELLED"]
    owed = await village.db.fetch("SELECT order_id FROM dining.order_transaction ORDER BY order_id")
    assert [row["order_id"] for row in owed] == orders[:2]


async def test_orders_of_coming_dinners_stay_open(village: Village) -> None:
    order = await village.order(
        await village.dinner(await village.season(), TOMORROW), await village.inhabitant(await village.household())
    )
    assert counts(await maintain()) == (0, 0, 0)
    assert await village.states("dinner_order", order) == ["BOOKED"]


async def test_closed_at_is_the_time_of_the_run(village: Village) -> None:
    dinner = await village.dinner(await village.season(), YESTERDAY)
    await village.order(dinner, await village.inhabitant(await village.household()))
    await maintain()
    assert await village.db.fetchval("SELECT closed_at FROM dining.dinner_order") == NOW


async def test_orders_of_a_former_season_that_was_consumed_are_still_closed(village: Village) -> None:
    dinner = await village.dinner(await village.season(active=False), YESTERDAY, "CONSUMED")
    await village.order(dinner, await village.inhabitant(await village.household()))
    result = await maintain()
    assert counts(result) == (0, 1, 1)
    assert result.scaffold is None


async def test_a_transaction_has_the_price_at_booking_and_a_snapshot_of_order_and_person(village: Village) -> None:
    home = await village.household("Skrænten 7", heynabo_id=70)
    person = await village.inhabitant(home, heynabo_id=71, name="Åse")
    dinner = await village.dinner(await village.season(), YESTERDAY)
    order = await village.order(dinner, person, price=1234)
    await maintain()
    row = await village.db.fetchrow("SELECT * FROM dining.order_transaction")
    assert row is not None
    assert (row["amount"], row["household_heynabo_id"], row["invoice_id"], row["created_at"]) == (1234, 70, None, NOW)
    snapshot = json.loads(row["snapshot"])
    assert snapshot["order"]["id"] == order
    assert snapshot["order"]["priceAtBooking"] == 1234
    assert snapshot["dinner"]["id"] == dinner
    assert snapshot["person"] == {
        "inhabitantId": person,
        "heynaboId": 71,
        "firstName": "Åse",
        "lastName": "Holm",
        "birthDate": "1980-05-05",
        "household": {"id": home, "heynaboId": 70, "pbsId": 70, "name": "Skrænten 7", "address": "Skrænten 7"},
    }


async def test_a_closed_order_without_a_transaction_gets_one(village: Village) -> None:
    dinner = await village.dinner(await village.season(), YESTERDAY, "CONSUMED")
    await village.order(dinner, await village.inhabitant(await village.household()), "CLOSED")
    assert counts(await maintain()) == (0, 0, 1)
    assert counts(await maintain()) == (0, 0, 0)


# scaffold


async def test_a_preference_becomes_a_booked_order_by_the_system(village: Village) -> None:
    season = await village.season()
    person = await village.inhabitant(await village.household(), prefers={"FRIDAY": "TAKEAWAY"})
    friday = await village.dinner(season, TOMORROW)
    await village.dinner(season, local("2026-11-14 18:00"))  # a Saturday: no preference is no booking
    result = await maintain()
    assert scaffolded(result) == (1, 0, 0, 1)
    assert result.scaffold is not None
    assert result.scaffold.season_id == season
    row = await village.db.fetchrow("SELECT * FROM dining.dinner_order")
    assert row is not None
    assert (row["dinner_event_id"], row["inhabitant_id"], row["state"]) == (friday, person, "BOOKED")
    assert (row["dinner_mode"], row["booked_by_system"]) == ("TAKEAWAY", True)


@pytest.mark.parametrize(
    ("born", "ticket", "price"),
    [
        ("1980-01-01", "ADULT", ADULT_PRICE),
        (None, "ADULT", ADULT_PRICE),
        ("2013-11-13", "ADULT", ADULT_PRICE),  # 13 on the day of the dinner, 12 today
        ("2013-11-14", "CHILD", CHILD_PRICE),
        ("2024-11-13", "CHILD", CHILD_PRICE),  # 2 on that day
        ("2024-11-14", "BABY", BABY_PRICE),
        ("2026-11-20", "BABY", BABY_PRICE),
    ],
)
async def test_ticket_and_price_go_by_the_age_on_the_day_of_the_dinner(
    village: Village, born: str | None, ticket: str, price: int
) -> None:
    await village.dinner(await village.season(), TOMORROW)
    await village.inhabitant(await village.household(), born=born, prefers="DINEIN")
    await maintain()
    row = await village.db.fetchrow("SELECT ticket_type, price_at_booking FROM dining.dinner_order")
    assert row is not None
    assert tuple(row) == (ticket, price)


async def test_the_weekday_and_the_age_are_those_in_copenhagen(village: Village) -> None:
    """00:30 on Friday 13 is still Thursday in UTC; whoever is 13 on that Friday pays as an adult."""
    await village.dinner(await village.season(), local("2026-11-13 00:30"))
    await village.inhabitant(await village.household(), born="2013-11-13", prefers={"FRIDAY": "DINEIN"})
    await maintain()
    assert await village.rows("SELECT ticket_type FROM dining.dinner_order") == [("ADULT",)]


async def test_pre_bookings_reach_sixty_days_and_no_further(village: Village) -> None:
    season = await village.season()
    await village.inhabitant(await village.household(), prefers="DINEIN")
    last = await village.dinner(season, local("2027-01-11 23:00"))
    await village.dinner(season, local("2027-01-12 00:30"))
    await village.dinner(season, NOW - timedelta(minutes=1))
    assert scaffolded(await maintain()) == (1, 0, 0, 1)
    assert await village.rows("SELECT dinner_event_id FROM dining.dinner_order") == [(last,)]


async def test_cancelled_dinners_and_other_seasons_are_not_booked(village: Village) -> None:
    await village.inhabitant(await village.household(), prefers="DINEIN")
    await village.dinner(await village.season(), TOMORROW, "CANCELLED")
    await village.dinner(await village.season("old", active=False), TOMORROW)
    assert scaffolded(await maintain()) == (0, 0, 0, 0)


@pytest.mark.parametrize("state", ["BOOKED", "RELEASED", "CANCELLED"])
async def test_an_order_that_exists_is_left_alone(village: Village, state: str) -> None:
    dinner = await village.dinner(await village.season(), TOMORROW)
    await village.order(dinner, await village.inhabitant(await village.household(), prefers="TAKEAWAY"), state)
    assert scaffolded(await maintain()) == (0, 0, 1, 1)
    assert await village.rows("SELECT state, dinner_mode FROM dining.dinner_order") == [(state, "DINEIN")]


async def test_who_said_no_is_not_booked(village: Village) -> None:
    dinner = await village.dinner(await village.season(), TOMORROW)
    person = await village.inhabitant(await village.household(), prefers="DINEIN")
    await village.says_no(person, dinner)
    assert scaffolded(await maintain()) == (0, 0, 0, 1)


async def test_system_orders_whose_preference_became_none_are_deleted(village: Village) -> None:
    dinner = await village.dinner(await village.season(), TOMORROW)
    home = await village.household()
    none = await village.inhabitant(home, prefers="NONE")
    unsaid = await village.inhabitant(home, prefers={})
    said_no = await village.inhabitant(home, prefers="DINEIN")
    await village.says_no(said_no, dinner)
    for person in (none, unsaid, said_no):
        await village.order(dinner, person, by_system=True)
    assert scaffolded(await maintain()) == (0, 3, 0, 1)
    assert await village.count("dinner_order") == 0


async def test_what_a_person_booked_or_touched_is_never_deleted(village: Village) -> None:
    dinner = await village.dinner(await village.season(), TOMORROW)
    home = await village.household()
    by_hand = await village.order(dinner, await village.inhabitant(home, prefers="NONE"))
    released = await village.order(dinner, await village.inhabitant(home, prefers="NONE"), "RELEASED", by_system=True)
    assert scaffolded(await maintain()) == (0, 0, 0, 1)
    assert await village.states("dinner_order", by_hand, released) == ["BOOKED", "RELEASED"]


async def test_past_orders_of_the_system_are_not_taken_back(village: Village) -> None:
    dinner = await village.dinner(await village.season(), YESTERDAY)
    person = await village.inhabitant(await village.household(), prefers="NONE")
    await village.order(dinner, person, by_system=True)
    result = await maintain()
    assert counts(result) == (1, 1, 1)
    assert scaffolded(result) == (0, 0, 0, 0)


async def test_nobody_is_booked_before_moving_in_or_after_moving_out(village: Village) -> None:
    season = await village.season()
    dinners = [await village.dinner(season, local(f"2026-11-{day} 18:00")) for day in (13, 14, 15)]
    home = await village.household(moved_in="2026-11-14", move_out="2026-11-14")
    await village.inhabitant(home, prefers="DINEIN")
    assert scaffolded(await maintain()) == (1, 0, 0, 1)
    assert await village.rows("SELECT dinner_event_id FROM dining.dinner_order") == [(dinners[1],)]


async def test_a_season_without_a_fitting_price_is_a_warning(village: Village) -> None:
    season = await village.season(prices=False)
    await village.price(season, "CHILD", CHILD_PRICE, 12)
    await village.dinner(season, TOMORROW)
    home = await village.household()
    await village.inhabitant(home, prefers="DINEIN")
    await village.inhabitant(home, prefers="DINEIN", born="2020-01-01")
    run = Run(now=NOW)
    result = await daily_maintenance(run, NoParams())
    assert scaffolded(result) == (1, 0, 0, 1)
    assert run.warned_of() == [f"season {season}"]


# the whole


async def arrange_a_week(village: Village) -> None:
    """Three past dinners and three to come, five people of two households who eat every day."""
    season = await village.season()
    homes = [await village.household("A"), await village.household("B")]
    people = [await village.inhabitant(homes[i % 2], prefers="DINEIN") for i in range(5)]
    for day in (9, 10, 11):
        dinner = await village.dinner(season, local(f"2026-11-{day:02} 18:00"))
        for person in people:
            await village.order(dinner, person)
    for day in (13, 14, 15):
        await village.dinner(season, local(f"2026-11-{day:02} 18:00"))


async def test_three_missed_days_are_caught_up_and_a_second_run_changes_nothing(village: Village) -> None:
    await arrange_a_week(village)
    first, second = await maintain(), await maintain()
    assert (counts(first), scaffolded(first)) == ((3, 15, 15), (15, 0, 0, 2))
    assert (counts(second), scaffolded(second)) == ((0, 0, 0), (0, 0, 15, 2))


@pytest.mark.parametrize("step", ["consume", "close", "transact", "scaffold"])
async def test_after_a_crash_between_two_steps_the_next_run_goes_on(village: Village, step: str) -> None:
    await arrange_a_week(village)
    with pytest.raises(SystemExit):
        await daily_maintenance(Run(now=NOW, crash_at=step), NoParams())
    await maintain()
    assert await village.db.fetchval("SELECT sum(amount) FROM dining.order_transaction") == 15 * ADULT_PRICE
    assert await village.count("dinner_order") == 30


async def test_a_crash_leaves_what_was_done_before_it(village: Village) -> None:
    await arrange_a_week(village)
    with pytest.raises(SystemExit):
        await daily_maintenance(Run(now=NOW, crash_at="transact"), NoParams())
    assert counts(await maintain()) == (0, 0, 15)


async def test_two_runs_at_once_do_everything_once(village: Village) -> None:
    await arrange_a_week(village)
    results = await asyncio.gather(*(maintain() for _ in range(4)))
    assert [sum(each) for each in zip(*map(counts, results), strict=True)] == [3, 15, 15]
    assert sum(scaffolded(result)[0] for result in results) == 15
    assert await village.count("order_transaction") == 15
    assert await village.count("dinner_order") == 30


async def test_people_who_order_during_a_run_do_not_break_it(village: Village, dining_url: str) -> None:
    """An order that commits while the scaffolder waits for it wins; the scaffolder makes no second one."""
    dinner = await village.dinner(await village.season(), TOMORROW)
    person = await village.inhabitant(await village.household(), prefers="DINEIN")
    other = await asyncpg.connect(dining_url)
    transaction = other.transaction()
    await transaction.start()
    await Village(other).order(dinner, person)
    run = asyncio.create_task(maintain())
    while not await village.db.fetchval("SELECT exists(SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')"):
        assert not run.done()
    await transaction.commit()
    await other.close()
    assert scaffolded(await run)[0] == 0
    assert await village.count("dinner_order") == 1


async def test_an_empty_database_is_fine(db: Connection) -> None:
    result = await maintain()
    assert msgspec.json.decode(msgspec.json.encode(result)) == {
        "consume": {"consumed": 0},
        "close": {"closed": 0},
        "transact": {"created": 0},
        "scaffold": None,
    }


async def test_the_summary_has_the_agreed_shape(village: Village) -> None:
    await village.season()
    summary = msgspec.json.decode(msgspec.json.encode(await maintain()))
    assert summary["scaffold"].keys() >= {"seasonId", "created", "deleted", "unchanged", "households"}


async def test_thousands_of_orders_are_a_handful_of_statements(village: Village) -> None:
    """900 people, 20 dinners: done in seconds, where a statement per row would take a minute."""
    season = await village.season()
    home = await village.household()
    await village.db.execute(
        """INSERT INTO dining.inhabitant (heynabo_id, household_id, first_name, last_name, dinner_preferences)
           SELECT n, $1, 'N', 'N', '{"FRIDAY": "DINEIN"}' FROM generate_series(1000, 1899) n""",
        home,
    )
    for week in range(-10, 10):
        await village.dinner(season, YESTERDAY + timedelta(days=2 + 7 * week))
    await village.db.execute(
        """INSERT INTO dining.dinner_order (dinner_event_id, inhabitant_id, dinner_mode, ticket_type, price_at_booking)
           SELECT d.id, i.id, 'DINEIN', 'ADULT', 1
           FROM dining.dinner_event d, dining.inhabitant i WHERE d.starts_at < $1""",
        NOW,
    )
    async with asyncio.timeout(20):
        result = await maintain()
    assert counts(result) == (10, 9000, 9000)
    assert scaffolded(result)[0] == 9 * 900


async def test_without_a_database_the_error_names_both_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KRONIK_DINING_DATABASE_URL", raising=False)
    monkeypatch.delenv("KRONIK_DATABASE_URL", raising=False)
    with pytest.raises(PermanentError, match=r"KRONIK_DINING_DATABASE_URL.*KRONIK_DATABASE_URL"):
        await maintain()
