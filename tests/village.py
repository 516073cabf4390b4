"""Arranges a small dining community in the database, a row at a time, and reads it back."""

import itertools
import json
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from services.dining.database import Connection

COPENHAGEN = ZoneInfo("Europe/Copenhagen")
EVERY_DAY = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
ADULT_PRICE, CHILD_PRICE, BABY_PRICE = 4250, 2125, 0


def local(text: str, fold: int = 0) -> datetime:
    """An instant by the clock on the wall in Copenhagen: `local("2026-10-31 23:30")`."""
    return datetime.fromisoformat(text).replace(tzinfo=COPENHAGEN, fold=fold)


@dataclass
class Village:
    """Every method inserts one row with unremarkable defaults and returns its id."""

    db: Connection
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(100))

    async def season(self, name: str = "2026/27", *, active: bool = True, prices: bool = True) -> int:
        season: int = await self.db.fetchval(
            """INSERT INTO dining.season (short_name, first_day, last_day, cooking_days, is_active)
               VALUES ($1, '2026-08-01', '2027-06-30', $2, $3) RETURNING id""",
            name,
            list(EVERY_DAY),
            active,
        )
        if prices:
            await self.price(season, "ADULT", ADULT_PRICE, None)
            await self.price(season, "CHILD", CHILD_PRICE, 12)
            await self.price(season, "BABY", BABY_PRICE, 1)
        return season

    async def price(self, season: int, ticket_type: str, price: int, upper_age: int | None) -> None:
        await self.db.execute(
            "INSERT INTO dining.ticket_price VALUES ($1, $2, $3, $4)", season, ticket_type, price, upper_age
        )

    async def household(
        self,
        name: str = "Skrænten 1",
        *,
        heynabo_id: int | None = None,
        pbs_id: int | None = -1,
        moved_in: str = "2020-01-01",
        move_out: str | None = None,
    ) -> int:
        """pbs_id -1: the same as heynabo_id."""
        number = heynabo_id or next(self.numbers)
        household: int = await self.db.fetchval(
            """INSERT INTO dining.household (heynabo_id, pbs_id, name, address, moved_in_date, move_out_date)
               VALUES ($1, $2, $3, $3, $4, $5) RETURNING id""",
            number,
            number if pbs_id == -1 else pbs_id,
            name,
            date.fromisoformat(moved_in),
            date.fromisoformat(move_out) if move_out else None,
        )
        return household

    async def inhabitant(
        self,
        household: int,
        *,
        heynabo_id: int | None = None,
        born: str | None = "1980-05-05",
        prefers: dict[str, str] | str | None = None,
        name: str = "Ida",
    ) -> int:
        """prefers: per weekday, or one mode for every day."""
        preferences = dict.fromkeys(EVERY_DAY, prefers) if isinstance(prefers, str) else prefers or {}
        inhabitant: int = await self.db.fetchval(
            """INSERT INTO dining.inhabitant
                   (heynabo_id, household_id, first_name, last_name, birth_date, dinner_preferences)
               VALUES ($1, $2, $3, 'Holm', $4, $5) RETURNING id""",
            heynabo_id or next(self.numbers),
            household,
            name,
            date.fromisoformat(born) if born else None,
            json.dumps(preferences),
        )
        return inhabitant

    async def account(self, inhabitant: int, email: str, roles: tuple[str, ...] = ()) -> int:
        user: int = await self.db.fetchval(
            "INSERT INTO dining.app_user (email, system_roles) VALUES ($1, $2) RETURNING id", email, list(roles)
        )
        await self.db.execute("UPDATE dining.inhabitant SET user_id = $1 WHERE id = $2", user, inhabitant)
        return user

    async def dinner(self, season: int, at: datetime, state: str = "ANNOUNCED") -> int:
        dinner: int = await self.db.fetchval(
            "INSERT INTO dining.dinner_event (season_id, starts_at, state) VALUES ($1, $2, $3) RETURNING id",
            season,
            at,
            state,
        )
        return dinner

    async def order(
        self, dinner: int, inhabitant: int, state: str = "BOOKED", *, price: int = ADULT_PRICE, by_system: bool = False
    ) -> int:
        order: int = await self.db.fetchval(
            """INSERT INTO dining.dinner_order (dinner_event_id, inhabitant_id, state, dinner_mode, ticket_type,
                                                price_at_booking, booked_by_system, closed_at)
               VALUES ($1, $2, $3, 'DINEIN', 'ADULT', $4, $5, CASE WHEN $3 = 'CLOSED' THEN now() END) RETURNING id""",
            dinner,
            inhabitant,
            state,
            price,
            by_system,
        )
        return order

    async def says_no(self, inhabitant: int, dinner: int) -> None:
        await self.db.execute("INSERT INTO dining.dinner_cancellation VALUES ($1, $2)", inhabitant, dinner)

    async def states(self, table: str, *ids: int) -> list[str]:
        """The states of these rows of dinner_event or dinner_order, in the order of the ids."""
        rows = await self.db.fetch(f"SELECT id, state FROM dining.{table} WHERE id = ANY($1)", ids)
        by_id = {row["id"]: row["state"] for row in rows}
        return [by_id[each] for each in ids]

    async def rows(self, query: str, *arguments: object) -> list[tuple[object, ...]]:
        return [tuple(row.values()) for row in await self.db.fetch(query, *arguments)]

    async def count(self, table: str) -> int:
        number: int = await self.db.fetchval(f"SELECT count(*) FROM dining.{table}")
        return number
