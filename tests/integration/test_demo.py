"""The made-up community, and that all three jobs find something to do in it."""

from datetime import timedelta

import pytest
from kronik import NoParams

from services.dining.daily_maintenance import daily_maintenance
from services.dining.database import Connection
from services.dining.demo import NEWCOMERS, fill
from services.dining.monthly_billing import monthly_billing
from services.dining.sandbox.community import HOUSEHOLDS, community
from tests.heynabo import Heynabo, configure, serving, sync
from tests.run_context import Run
from tests.village import Village, local

NOW = local("2026-11-18 10:00")
EVERYTHING = "household inhabitant app_user season dinner_event dinner_order order_transaction dinner_cancellation"


@pytest.fixture
def village(db: Connection) -> Village:
    return Village(db)


async def test_it_is_a_village_with_a_past_and_a_future(village: Village) -> None:
    counts = await fill(village.db, now=NOW)
    assert counts.filled
    assert counts.households == HOUSEHOLDS - NEWCOMERS
    assert 250 <= counts.inhabitants <= 330
    assert 60 <= counts.dinners <= 72
    assert counts.orders > 4000
    assert counts.transactions > 3000
    assert counts.cancellations > 100
    states = "SELECT DISTINCT state FROM dining.dinner_event ORDER BY 1"
    assert await village.rows(states) == [("ANNOUNCED",), ("CANCELLED",), ("CONSUMED",), ("SCHEDULED",)]
    orders = "SELECT DISTINCT state FROM dining.dinner_order ORDER BY 1"
    assert await village.rows(orders) == [("BOOKED",), ("CANCELLED",), ("CLOSED",), ("RELEASED",)]
    tickets = "SELECT DISTINCT ticket_type FROM dining.dinner_order ORDER BY 1"
    assert await village.rows(tickets) == [("ADULT",), ("BABY",), ("CHILD",)]


async def test_the_same_seed_makes_the_same_village(village: Village) -> None:
    async def everything() -> list[list[tuple[object, ...]]]:
        return [await village.rows(f"SELECT * FROM dining.{table}") for table in EVERYTHING.split()]

    await fill(village.db, now=NOW, seed=3)
    first = await everything()
    tables = ", ".join(f"dining.{table}" for table in [*EVERYTHING.split(), "ticket_price", "invoice"])
    await village.db.execute(f"TRUNCATE {tables} RESTART IDENTITY")
    await fill(village.db, now=NOW, seed=3)
    assert [sorted(map(repr, rows)) for rows in await everything()] == [sorted(map(repr, rows)) for rows in first]


async def test_where_somebody_lives_nothing_is_made_up(village: Village) -> None:
    await village.household()
    counts = await fill(village.db, now=NOW)
    assert (counts.filled, counts.households, counts.dinners) == (False, 1, 0)
    assert "already" in str(counts)


@pytest.mark.parametrize("now", ["2026-11-16 00:30", "2026-11-22 23:30", "2026-03-29 02:30", "2026-10-25 02:30"])
async def test_maintenance_finds_the_last_two_dinners_and_places_to_book(village: Village, now: str) -> None:
    await fill(village.db, now=local(now))
    result = await daily_maintenance(Run(now=local(now)), NoParams())
    assert result.consume.consumed == 2
    assert result.close.closed == result.transact.created > 100
    assert result.scaffold is not None
    assert result.scaffold.created > 1000
    assert result.scaffold.deleted == 0


async def test_billing_finds_the_months_that_are_over(village: Village) -> None:
    await fill(village.db, now=NOW)
    run = Run(now=NOW)
    result = await monthly_billing(run, NoParams())
    periods = await village.rows("SELECT to_char(first_day, 'YYYY-MM') FROM dining.billing_period ORDER BY 1")
    assert periods == [("2026-09",), ("2026-10",)]
    assert result.invoices_generated > 200
    assert run.warnings == []
    later = await monthly_billing(Run(now=NOW + timedelta(days=14)), NoParams())
    assert later.invoices_generated > 100  # November


async def test_an_import_finds_the_newcomers_and_everyone_else_unchanged(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = await fill(village.db, now=NOW)
    heynabo, people = Heynabo(), community(7)
    heynabo.tell(people.locations, people.users)
    with serving(heynabo.sandbox.respond) as url:
        configure(monkeypatch, url)
        run = Run(now=NOW)
        result = await sync(run)
    assert run.warnings == []
    assert (result.households_created, result.households_deleted) == (NEWCOMERS, 0)
    assert (result.households_unchanged, result.inhabitants_unchanged) == (counts.households, counts.inhabitants)
    assert 0 < result.inhabitants_created == len(people.users) - counts.inhabitants
    assert result.users_created > 0
    assert (result.inhabitants_deleted, result.users_deleted, result.users_updated) == (0, 0, 0)
