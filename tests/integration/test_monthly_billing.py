"""MONTHLY_BILLING against a real Postgres. Amounts are øre, times Copenhagen's."""

import asyncio
from datetime import date, datetime

import msgspec
import pytest
from kronik import NoParams

from services.dining.daily_maintenance import close, transact
from services.dining.database import Connection
from services.dining.monthly_billing import BillingImbalance, MonthlyBillingResult, monthly_billing
from tests.run_context import Run
from tests.village import Village, local

NOVEMBER_1 = local("2026-11-01 04:00")
DECEMBER_1 = local("2026-12-01 04:00")
JANUARY_1 = local("2027-01-01 04:00")


class Debts(Village):
    """A village whose people have eaten."""

    season_id: int | None = None

    async def ate(self, inhabitant: int, at: datetime, price: int) -> None:
        """A transaction for this dinner, made by the real steps."""
        if self.season_id is None:
            self.season_id = await self.season()
        known = await self.db.fetchval("SELECT id FROM dining.dinner_event WHERE starts_at = $1", at)
        dinner = known or await self.dinner(self.season_id, at, "CONSUMED")
        await self.order(dinner, inhabitant, price=price)
        await close(self.db, at)
        await transact(self.db, at)

    async def resident(self, name: str, *, pbs_id: int | None = -1, heynabo_id: int | None = None) -> int:
        """One person in a household of this name."""
        return await self.inhabitant(await self.household(name, pbs_id=pbs_id, heynabo_id=heynabo_id))

    async def invoices(self) -> list[tuple[object, ...]]:
        return await self.rows(
            """SELECT to_char(p.first_day, 'YYYY-MM'), i.name, i.amount
               FROM dining.invoice i JOIN dining.billing_period p ON p.id = i.billing_period_id ORDER BY 1, 2"""
        )

    async def waiting(self) -> int:
        number: int = await self.db.fetchval(
            "SELECT coalesce(sum(amount), 0) FROM dining.order_transaction WHERE invoice_id IS NULL"
        )
        return number


@pytest.fixture
def village(db: Connection) -> Debts:
    return Debts(db)


async def bill(now: datetime, run: Run | None = None) -> tuple[int, int]:
    result: MonthlyBillingResult = await monthly_billing(run or Run(now=now), NoParams())
    return result.invoices_generated, result.total_amount


async def test_one_invoice_per_household_with_the_sum_of_its_transactions(village: Debts) -> None:
    home = await village.household("A")
    for price in (4250, 2125):
        await village.ate(await village.inhabitant(home), local("2026-10-05 18:00"), price)
    await village.ate(await village.resident("B"), local("2026-10-06 18:00"), 3)
    assert await bill(NOVEMBER_1) == (2, 6378)
    assert await village.invoices() == [("2026-10", "A", 6375), ("2026-10", "B", 3)]
    assert await village.waiting() == 0


async def test_the_transactions_are_linked_to_their_household_s_invoice(village: Debts) -> None:
    for name in ("A", "B"):
        await village.ate(await village.resident(name), local("2026-10-05 18:00"), 100)
    await bill(NOVEMBER_1)
    linked = await village.rows(
        """SELECT t.household_heynabo_id = i.household_heynabo_id, h.name = i.name
           FROM dining.order_transaction t JOIN dining.invoice i ON i.id = t.invoice_id
           JOIN dining.household h ON h.id = i.household_id"""
    )
    assert linked == [(True, True), (True, True)]


async def test_the_period_s_totals_and_dates_are_written(village: Debts) -> None:
    for name, price in (("A", 100), ("B", 250)):
        await village.ate(await village.resident(name), local("2026-10-05 18:00"), price)
    await bill(local("2026-11-03 04:00"))
    assert await village.rows(
        """SELECT first_day, last_day, total_amount, household_count, cutoff_date, payment_date
           FROM dining.billing_period"""
    ) == [(date(2026, 10, 1), date(2026, 10, 31), 350, 2, date(2026, 11, 3), date(2026, 12, 1))]


async def test_pbs_number_and_address_are_frozen(village: Debts) -> None:
    await village.ate(await village.resident("A", pbs_id=777), local("2026-10-05 18:00"), 1)
    await bill(NOVEMBER_1)
    await village.db.execute("UPDATE dining.household SET pbs_id = 1, address = 'elsewhere'")
    assert await village.rows("SELECT pbs_id, address FROM dining.invoice") == [(777, "A")]


async def test_a_second_run_changes_nothing(village: Debts) -> None:
    await village.ate(await village.resident("A"), local("2026-10-05 18:00"), 100)
    await bill(NOVEMBER_1)
    assert await bill(NOVEMBER_1) == (0, 0)
    assert await bill(DECEMBER_1) == (0, 0)
    assert await village.count("billing_period") == 1


async def test_the_month_that_is_not_over_waits(village: Debts) -> None:
    await village.ate(await village.resident("A"), local("2026-11-01 00:30"), 100)
    assert await bill(local("2026-11-30 23:59")) == (0, 0)
    assert await village.count("billing_period") == 0
    assert await bill(DECEMBER_1) == (1, 100)


async def test_a_dinner_belongs_to_its_month_in_copenhagen(village: Debts) -> None:
    """23:30 on the 31st is October there; half past midnight is November, though October still in UTC."""
    person = await village.resident("A")
    await village.ate(person, local("2026-10-31 23:30"), 1)
    await village.ate(person, local("2026-11-01 00:30"), 10)
    await village.ate(person, local("2026-08-31 23:30"), 100)  # summer time
    await village.ate(person, local("2026-09-01 01:30"), 1000)
    await bill(DECEMBER_1)
    assert await village.invoices() == [
        ("2026-08", "A", 100),
        ("2026-09", "A", 1000),
        ("2026-10", "A", 1),
        ("2026-11", "A", 10),
    ]


async def test_a_month_is_over_when_it_is_over_in_copenhagen(village: Debts) -> None:
    await village.ate(await village.resident("A"), local("2026-10-05 18:00"), 100)
    assert await bill(local("2026-10-31 23:59")) == (0, 0)
    assert await bill(local("2026-11-01 00:30")) == (1, 100)
    assert await village.db.fetchval("SELECT payment_date FROM dining.billing_period") == date(2026, 12, 1)


async def test_missed_months_are_caught_up_each_with_its_own_invoice(village: Debts) -> None:
    person = await village.resident("A")
    for month in (8, 9, 10):
        await village.ate(person, local(f"2026-{month:02}-05 18:00"), month)
    assert await bill(local("2026-11-20 10:00")) == (3, 27)
    assert await village.invoices() == [("2026-08", "A", 8), ("2026-09", "A", 9), ("2026-10", "A", 10)]
    assert await village.rows("SELECT DISTINCT payment_date FROM dining.billing_period") == [(date(2026, 12, 1),)]


# late transactions


async def test_a_late_transaction_goes_on_the_next_period_s_invoice(village: Debts) -> None:
    person = await village.resident("A")
    await village.ate(person, local("2026-10-05 18:00"), 100)
    await bill(NOVEMBER_1)
    await village.ate(person, local("2026-10-20 18:00"), 7)
    await village.ate(person, local("2026-11-05 18:00"), 1000)
    assert await bill(local("2026-11-15 12:00")) == (0, 0)  # November is not over: it waits
    assert await village.waiting() == 1007
    assert await bill(DECEMBER_1) == (1, 1007)
    assert await village.invoices() == [("2026-10", "A", 100), ("2026-11", "A", 1007)]


async def test_a_late_transaction_makes_the_next_period_s_invoice_where_there_was_none(village: Debts) -> None:
    """November had no dinners for anyone: its period is made for what came late of October."""
    person = await village.resident("A")
    await village.ate(person, local("2026-10-05 18:00"), 100)
    await bill(NOVEMBER_1)
    await village.ate(person, local("2026-10-20 18:00"), 7)
    assert await bill(DECEMBER_1) == (1, 7)
    assert await village.invoices() == [("2026-10", "A", 100), ("2026-11", "A", 7)]


async def test_when_the_next_periods_were_billed_too_it_goes_on_the_first_that_was_not(village: Debts) -> None:
    person = await village.resident("A")
    await village.ate(person, local("2026-10-05 18:00"), 100)
    await village.ate(person, local("2026-11-05 18:00"), 200)
    await bill(DECEMBER_1)
    await village.ate(person, local("2026-10-20 18:00"), 7)
    assert await bill(local("2026-12-02 12:00")) == (0, 0)
    await village.ate(person, local("2026-12-05 18:00"), 300)
    assert await bill(JANUARY_1) == (1, 307)
    assert await village.invoices() == [("2026-10", "A", 100), ("2026-11", "A", 200), ("2026-12", "A", 307)]


async def test_a_billed_period_is_never_touched_again(village: Debts) -> None:
    person = await village.resident("A")
    await village.ate(person, local("2026-10-05 18:00"), 100)
    await bill(NOVEMBER_1)
    before = await village.rows("SELECT * FROM dining.billing_period")
    await village.ate(await village.resident("B"), local("2026-10-20 18:00"), 7)  # its first ever, and late
    await bill(NOVEMBER_1)
    await bill(DECEMBER_1)
    assert await village.rows("SELECT * FROM dining.billing_period WHERE first_day = '2026-10-01'") == before
    assert await village.invoices() == [("2026-10", "A", 100), ("2026-11", "B", 7)]


# households without a PBS number


async def test_a_household_without_a_pbs_number_is_a_warning_and_the_others_are_billed(village: Debts) -> None:
    await village.ate(await village.resident("A"), local("2026-10-05 18:00"), 100)
    poor = await village.resident("Skrænten 9", pbs_id=None)
    await village.ate(poor, local("2026-10-05 18:00"), 123456)
    run = Run(now=NOVEMBER_1)
    assert await bill(NOVEMBER_1, run) == (1, 100)
    assert run.warned_of() == ["household Skrænten 9"]
    assert "not billed: 1 transaction(s), 1234,56 kr" in run.warnings[0][1]
    assert await village.waiting() == 123456


async def test_when_it_gets_a_number_its_debt_is_billed_like_a_late_transaction(village: Debts) -> None:
    await village.ate(await village.resident("A"), local("2026-10-05 18:00"), 100)
    await village.ate(await village.resident("B", pbs_id=None), local("2026-10-05 18:00"), 50)
    await bill(NOVEMBER_1)
    await village.db.execute("UPDATE dining.household SET pbs_id = 4711 WHERE name = 'B'")
    run = Run(now=local("2026-11-02 12:00"))
    assert await bill(run.now, run) == (0, 0)
    assert run.warnings == []
    assert await bill(DECEMBER_1) == (1, 50)
    assert await village.invoices() == [("2026-10", "A", 100), ("2026-11", "B", 50)]


async def test_a_month_in_which_nobody_could_be_billed_stays_open(village: Debts) -> None:
    await village.ate(await village.resident("B", pbs_id=None), local("2026-10-05 18:00"), 50)
    assert await bill(NOVEMBER_1) == (0, 0)
    assert await village.count("billing_period") == 0
    await village.db.execute("UPDATE dining.household SET pbs_id = 4711")
    assert await bill(DECEMBER_1) == (1, 50)
    assert await village.invoices() == [("2026-10", "B", 50)]


# households that left


async def leave(village: Debts) -> None:
    """Everybody is gone, as an import leaves it behind."""
    await village.db.execute(
        """UPDATE dining.dinner_order o SET person = s.person
           FROM dining.person_snapshot s WHERE s.inhabitant_id = o.inhabitant_id"""
    )
    await village.db.execute("DELETE FROM dining.inhabitant")
    await village.db.execute("DELETE FROM dining.household")


async def test_a_household_that_left_still_gets_its_last_invoice(village: Debts) -> None:
    await village.ate(await village.resident("A", pbs_id=99), local("2026-10-05 18:00"), 100)
    await leave(village)
    assert await bill(NOVEMBER_1) == (1, 100)
    assert await village.rows("SELECT household_id, pbs_id, name FROM dining.invoice") == [(None, 99, "A")]


async def test_a_household_that_left_is_billed_by_what_was_known_last(village: Debts) -> None:
    person = await village.resident("A", pbs_id=None)
    await village.ate(person, local("2026-10-05 18:00"), 100)
    await village.db.execute("UPDATE dining.household SET pbs_id = 55, name = 'B'")
    await village.ate(person, local("2026-10-06 18:00"), 10)
    await leave(village)
    assert await bill(NOVEMBER_1) == (1, 110)
    assert await village.rows("SELECT pbs_id, name FROM dining.invoice") == [(55, "B")]


async def test_a_household_that_left_without_a_number_is_named_too(village: Debts) -> None:
    await village.ate(await village.resident("A", pbs_id=None), local("2026-10-05 18:00"), 100)
    await leave(village)
    run = Run(now=NOVEMBER_1)
    assert await bill(NOVEMBER_1, run) == (0, 0)
    assert run.warned_of() == ["household A"]


async def test_a_household_that_came_back_pays_with_its_present_number(village: Debts) -> None:
    await village.ate(await village.resident("A", pbs_id=None, heynabo_id=5), local("2026-10-05 18:00"), 100)
    await leave(village)
    await village.household("A", heynabo_id=5, pbs_id=55)
    assert await bill(NOVEMBER_1) == (1, 100)
    assert await village.rows("SELECT pbs_id FROM dining.invoice WHERE household_id IS NOT NULL") == [(55,)]


# exactness


async def test_two_households_of_one_name_are_two_payers(village: Debts) -> None:
    for _ in range(2):
        await village.ate(await village.resident("A"), local("2026-10-05 18:00"), 100)
    assert await bill(NOVEMBER_1) == (2, 200)


async def test_sums_beyond_32_bits_are_exact(village: Debts) -> None:
    home = await village.household("A")
    for _ in range(3):
        await village.ate(await village.inhabitant(home), local("2026-10-05 18:00"), 2_000_000_001)
    assert await bill(NOVEMBER_1) == (1, 6_000_000_003)


async def test_a_free_dinner_is_an_invoice_of_nothing(village: Debts) -> None:
    await village.ate(await village.resident("A"), local("2026-10-05 18:00"), 0)
    assert await bill(NOVEMBER_1) == (1, 0)
    assert await bill(NOVEMBER_1) == (0, 0)


async def test_runs_at_once_bill_everything_once(village: Debts) -> None:
    for name in "ABC":
        await village.ate(await village.resident(name), local("2026-10-05 18:00"), 100)
    results = await asyncio.gather(*(bill(NOVEMBER_1) for _ in range(4)))
    assert sorted(results) == [(0, 0), (0, 0), (0, 0), (3, 300)]
    assert len(await village.invoices()) == 3


async def test_if_the_sums_disagree_nothing_is_billed(village: Debts) -> None:
    """Somebody changed an old invoice by hand: the job refuses to go on over it, and says where."""
    person = await village.resident("A")
    await village.ate(person, local("2026-10-05 18:00"), 100)
    await bill(NOVEMBER_1)
    await village.db.execute("UPDATE dining.invoice SET amount = 99")
    await village.ate(person, local("2026-11-05 18:00"), 200)
    with pytest.raises(BillingImbalance, match="2026-10: total 100, invoices 99, transactions 100"):
        await bill(DECEMBER_1)
    assert await village.waiting() == 200


async def test_the_summary_has_the_agreed_shape(village: Debts) -> None:
    await village.ate(await village.resident("A"), local("2026-10-05 18:00"), 100)
    result = await monthly_billing(Run(now=NOVEMBER_1), NoParams())
    summary = msgspec.json.decode(msgspec.json.encode(result))
    assert summary == {"invoicesGenerated": 1, "totalAmount": 100, "householdsSkipped": 0}
