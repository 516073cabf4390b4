"""Fills an empty dining database with a made-up community, so that there is something for the jobs to do.

The people are those that the sandbox serves for the same seed, all but the last few, whom an import then finds.
What happened to them is made by the jobs' own steps, at the times at which they would have run.
"""

import json
from datetime import datetime, time, timedelta
from random import Random
from typing import Any

from msgspec import Struct

from services.dining import daily_maintenance, database, statements
from services.dining.heynabo import records
from services.dining.heynabo_import import Import
from services.dining.sandbox.community import community

NEWCOMERS = 2
"""Households that are left for an import to find."""

DAYS = 60
BOOKED_AHEAD = 10
NOT_CONSUMED = 2
COOKING_DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY")
MODES = ("DINEIN", "DINEIN", "DINEIN", "DINEINLATE", "TAKEAWAY", "NONE", "NONE", "NONE")
MENUS = (
    "Frikadeller med kartoffelsalat",
    "Linsesuppe og brød",
    "Lasagne",
    "Stegt sej med persillesovs",
    "Karrygryde med kikærter",
    "Hakkebøf med bløde løg",
    "Grønsagstærte",
    "Boller i karry",
)


class DemoCounts(Struct, frozen=True):
    """What there is now. filled: False means that there was a community already, and nothing was done."""

    filled: bool
    households: int
    inhabitants: int
    dinners: int
    orders: int
    transactions: int
    cancellations: int

    def __str__(self) -> str:
        made = "a made-up community" if self.filled else "there was a community already, nothing was made up"
        return f"{made}: {self.households} households, {self.inhabitants} inhabitants, {self.orders} orders"


async def fill(connection: database.Connection, *, now: datetime, seed: int = 7) -> DemoCounts:
    """A community with 60 days behind it and 60 ahead, in one transaction; nothing, if any household exists.

    now: with a zone. The same `now` and `seed` make the same community. The last two past dinners are left for the
    next DAILY_MAINTENANCE, everything that was eaten is left for MONTHLY_BILLING, NEWCOMERS for HEYNABO_IMPORT.
    """
    async with database.step(connection):
        filled = (await _counts(connection, filled=False)).households == 0
        if filled:
            await _fill(connection, now.astimezone(records.COPENHAGEN), Random(f"demo/{seed}"), seed)
        return await _counts(connection, filled=filled)


async def _fill(connection: database.Connection, now: datetime, draw: Random, seed: int) -> None:
    residents = await _move_in(connection, now, seed)
    await _execute(connection, "preferences", [_preferences(draw, person) for person in residents])
    dinners = _dinners(draw, now)
    await _open_season(connection, now, dinners)
    await _execute(connection, "cancellations", _cancellations(draw, residents, dinners))
    await daily_maintenance.scaffold(connection, now - timedelta(days=DAYS, hours=12))
    await daily_maintenance.scaffold(connection, now - timedelta(days=DAYS - BOOKED_AHEAD))
    await connection.execute(_query("touched"))
    until = _consumed_until(dinners, now)
    await daily_maintenance.consume(connection, until)
    await daily_maintenance.close(connection, until)
    await daily_maintenance.transact(connection, until)


async def _move_in(connection: database.Connection, now: datetime, seed: int) -> list[records.User]:
    """Imports the community, as it was a year ago, by the import's own code."""
    people = community(seed)
    locations = records.locations(people.locations[:-NEWCOMERS])
    homes = {location.heynabo_id for location in locations.records}
    users = records.users([user for user in people.users if user["locationId"] in homes], now.date())
    arrival = Import(connection, now - timedelta(days=365))
    await arrival.stage(locations, users)
    await arrival.write()
    return users.records


async def _open_season(connection: database.Connection, now: datetime, dinners: list[dict[str, Any]]) -> None:
    first, last = (now - timedelta(days=DAYS)).date(), (now + timedelta(days=DAYS)).date()
    season = await connection.fetchval(_query("season"), f"{first:%Y-%m} / {last:%Y-%m}", first, last)
    await connection.execute(_query("dinners"), season, json.dumps(dinners))


def _preferences(draw: Random, person: records.User) -> dict[str, Any]:
    return {
        "heynabo_id": person.heynabo_id,
        "preferences": {day: draw.choice(MODES) for day in COOKING_DAYS},
    }


def _dinners(draw: Random, now: datetime) -> list[dict[str, Any]]:
    """Monday to Thursday at 17:45 on the wall, some of them cancelled."""
    days = (now.date() + timedelta(days=offset) for offset in range(-DAYS, DAYS + 1))
    starts = [datetime.combine(day, time(17, 45), now.tzinfo) for day in days if day.weekday() < len(COOKING_DAYS)]
    return [
        {
            "starts_at": start.isoformat(),
            "state": "CANCELLED" if draw.random() < 0.05 else _planned(start, now),
            "menu_title": draw.choice(MENUS),
        }
        for start in starts
    ]


def _planned(start: datetime, now: datetime) -> str:
    return "ANNOUNCED" if start < now + timedelta(days=7) else "SCHEDULED"


def _cancellations(draw: Random, residents: list[records.User], dinners: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"heynabo_id": draw.choice(residents).heynabo_id, "starts_at": draw.choice(dinners)["starts_at"]}
        for _ in range(len(residents))
    ]


def _consumed_until(dinners: list[dict[str, Any]], now: datetime) -> datetime:
    """The start of the first of the last past dinners, which nobody has looked after yet."""
    starts = [datetime.fromisoformat(dinner["starts_at"]) for dinner in dinners if dinner["state"] != "CANCELLED"]
    return [start for start in starts if start < now][-NOT_CONSUMED]


async def _counts(connection: database.Connection, *, filled: bool) -> DemoCounts:
    row = await connection.fetchrow(_query("counts"))
    assert row is not None
    return DemoCounts(filled=filled, **dict(row))


async def _execute(connection: database.Connection, name: str, rows: list[dict[str, Any]]) -> None:
    await connection.execute(_query(name), json.dumps(rows))


def _query(name: str) -> str:
    return statements.load(f"demo/{name}")
