"""Every night: what was eaten becomes money, and what will be eaten is booked.

Four steps, each one transaction of one set-based statement that finds everything pending, however old. So a
second run changes nothing, a run after missed days catches up, and a crash between two steps loses nothing.
"""

from datetime import datetime

from kronik import Cron, NoParams, Retry, RunContext, Show, job, minutes
from msgspec import Struct

from services.dining import database, statements

CONSUME = statements.load("daily_maintenance/consume")
CLOSE = statements.load("daily_maintenance/close")
TRANSACT = statements.load("daily_maintenance/transact")
SCAFFOLD = statements.load("daily_maintenance/scaffold")


class Consumed(Struct, frozen=True, rename="camel"):
    consumed: int


class Closed(Struct, frozen=True, rename="camel"):
    closed: int


class Transacted(Struct, frozen=True, rename="camel"):
    created: int


class Scaffolded(Struct, frozen=True, rename="camel"):
    """created, deleted: orders. unchanged: wishes that had their order already.

    households: those whose wishes were looked at. unpriced: wishes that no ticket price of the season fits.
    """

    season_id: int
    created: int
    deleted: int
    unchanged: int
    households: int
    unpriced: int = 0


class DailyMaintenanceResult(Struct, frozen=True, rename="camel"):
    """scaffold: null when no season is active."""

    consume: Consumed
    close: Closed
    transact: Transacted
    scaffold: Scaffolded | None


@job(
    "DAILY_MAINTENANCE",
    title={"da": "Daglig Vedligeholdelse", "en": "Daily maintenance"},
    schedule=Cron("0 2 * * *", tz="Europe/Copenhagen"),
    timeout=minutes(10),
    retry=Retry(attempts=3),
    descriptions={
        "da": "Afholder de middage, der har været, lukker deres bestillinger, opretter transaktioner og forudbestiller"
        " efter ønske 60 dage frem."
    },
    show=[
        Show("consume.consumed", {"da": "Dinners consumed", "en": "Dinners consumed"}),
        Show("close.closed", {"da": "Orders closed", "en": "Orders closed"}),
        Show(
            "transact.created",
            {"da": "Transactions", "en": "Transactions"},
            short={"da": "trans", "en": "trans"},
        ),
    ],
)
async def daily_maintenance(run: RunContext, params: NoParams) -> DailyMaintenanceResult:
    """Consumes past dinners, closes their orders, creates transactions, and books what people prefer for 60 days."""
    async with database.connect() as connection:
        run.progress(0, 4, "consume")
        consumed = await consume(connection, run.now)
        run.progress(1, 4, "close")
        closed = await close(connection, run.now)
        run.progress(2, 4, "transact")
        transacted = await transact(connection, run.now)
        run.progress(3, 4, "scaffold")
        scaffolded = await scaffold(connection, run.now)
        run.progress(4, 4)
    if scaffolded and scaffolded.unpriced:
        run.warn(
            f"has no ticket price for {scaffolded.unpriced} wished dinners (is ADULT missing?); they were not booked",
            item=f"season {scaffolded.season_id}",
        )
    return DailyMaintenanceResult(consumed, closed, transacted, scaffolded)


async def consume(connection: database.Connection, now: datetime) -> Consumed:
    """Dinners of the active season that began before `now` have been eaten."""
    async with database.step(connection):
        return Consumed(await connection.fetchval(CONSUME, now))


async def close(connection: database.Connection, now: datetime) -> Closed:
    """Orders for dinners that have been eaten can't be changed any more."""
    async with database.step(connection):
        return Closed(await connection.fetchval(CLOSE, now))


async def transact(connection: database.Connection, now: datetime) -> Transacted:
    """Every closed order is owed, once."""
    async with database.step(connection):
        return Transacted(await connection.fetchval(TRANSACT, now))


async def scaffold(connection: database.Connection, now: datetime) -> Scaffolded | None:
    """Books what people prefer, takes back what they no longer do. None when no season is active."""
    async with database.step(connection):
        row = await connection.fetchrow(SCAFFOLD, now)
    if row is None:
        return None
    return Scaffolded(
        season_id=row["season_id"],
        created=row["created"],
        deleted=row["deleted"],
        unchanged=row["unchanged"],
        households=row["households"],
        unpriced=row["unpriced"],
    )
