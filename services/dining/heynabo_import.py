"""Makes households, inhabitants and their accounts what Heynabo says, in one transaction.

Heynabo owns names, addresses and who lives where. What is gone there is deleted here: accounts first, then
inhabitants, then households. Two things are never taken for gone: a record that is there but can't be used, and a
community of which too much is missing at once, because that is a broken answer far more often than a village that
moved out. What people owe outlives them; see the migration.
"""

import os
from datetime import datetime
from typing import Any

import msgspec
from kronik import Cron, NoParams, PermanentError, Retry, RunContext, Show, job, minutes
from msgspec import Struct

from services.dining import database, statements
from services.dining.heynabo import api, records


class HeynaboImportResult(Struct, frozen=True, rename="camel", kw_only=True):
    """Rows written, as the database counted them. users: accounts."""

    households_created: int
    households_deleted: int
    households_unchanged: int
    inhabitants_created: int
    inhabitants_deleted: int
    users_created: int
    households_updated: int
    inhabitants_updated: int
    inhabitants_unchanged: int
    users_updated: int
    users_deleted: int


def _schedule() -> Cron | None:
    """By hand only, unless KRONIK_HEYNABO_CRON has a cron expression."""
    expression = os.environ.get("KRONIK_HEYNABO_CRON", "").strip()
    return Cron(expression, tz="Europe/Copenhagen") if expression else None


@job(
    "HEYNABO_IMPORT",
    title={"da": "Heynabo Import", "en": "Heynabo Import"},
    schedule=_schedule(),
    timeout=minutes(10),
    retry=Retry(attempts=3),
    descriptions={
        "da": "Henter husstande, beboere og konti fra Heynabo. Poster, der ikke kan bruges, bliver til advarsler."
    },
    show=[
        Show("householdsCreated", {"da": "Households", "en": "Households"}, format="plus"),
        Show(
            "inhabitantsCreated",
            {"da": "Inhabitants", "en": "Inhabitants"},
            format="plus",
            short={"da": "inhab", "en": "inhab"},
        ),
        Show("usersCreated", {"da": "Users", "en": "Users"}, format="plus"),
    ],
)
async def heynabo_import(run: RunContext, params: NoParams) -> HeynaboImportResult:
    """Syncs households, inhabitants and accounts from Heynabo. Unusable records are warnings."""
    access = api.access()
    run.progress(0, 3, "fetch")
    answer = await api.fetch(access)
    run.progress(1, 3, "read")
    locations = records.locations(answer.locations)
    users = records.users(answer.users, run.now.astimezone(records.COPENHAGEN).date())
    run.progress(2, 3, "write")
    async with database.connect() as connection, database.step(connection):
        written = Import(connection, run.now)
        await written.stage(locations, users)
        await written.refuse_losses(locations, users)
        result = await written.write()
    for flaw in [*locations.flaws, *users.flaws, *written.flaws]:
        run.warn(flaw.text, item=flaw.item)
    run.progress(3, 3)
    return result


class Import:
    """One import's transaction: its staged answer, and what went wrong with single records."""

    def __init__(self, connection: database.Connection, now: datetime) -> None:
        self.connection = connection
        self.now = now
        self.flaws: list[records.Flaw] = []

    async def stage(self, locations: records.Decoded[records.Location], users: records.Decoded[records.User]) -> None:
        """The answer becomes temporary tables, so that all that follows is SQL about sets."""
        await self._execute("stage_locations", msgspec.json.encode(locations.records).decode())
        await self._execute("stage_users", msgspec.json.encode(users.records).decode())
        await self._execute("stage_present_locations", list(locations.present), locations.complete)
        await self._execute("stage_present_users", list(users.present), users.complete)

    async def refuse_losses(
        self, locations: records.Decoded[records.Location], users: records.Decoded[records.User]
    ) -> None:
        """Raises PermanentError for an answer that is empty or would delete too many households."""
        census = await self._row("census")
        households, leaving = census["households"], census["leaving"]
        if not locations.records or not users.records:
            raise PermanentError(
                f"Refused, nothing was changed: Heynabo answered with {len(locations.records)} usable locations and"
                f" {len(users.records)} usable users, and there are {households} households here"
            )
        if leaving * 3 > households:
            raise PermanentError(
                f"Refused, nothing was changed: the answer would delete {leaving} of {households} households, which"
                " is more than a third. If they really left, delete some by hand first"
            )

    async def write(self) -> HeynaboImportResult:
        """Deletions go first where they make room (an email, a person), and last where somebody may move out yet."""
        users_deleted = await self._count("accounts_delete")
        await self._execute("bookings_delete", self.now)
        await self._execute("debts_of_people")
        inhabitants_deleted = await self._count("inhabitants_delete")
        households = await self._row("households_update")
        households_created = await self._create_households()
        await self._leave_homeless()
        inhabitants = await self._row("inhabitants_update")
        inhabitants_created = await self._count("inhabitants_create")
        await self._execute("accounts_link")
        users_updated = await self._count("accounts_update")
        users_created = await self._count("accounts_create")
        await self._execute("accounts_link")
        await self._note_refused_accounts()
        await self._execute("debts_of_households")
        return HeynaboImportResult(
            households_created=households_created,
            households_deleted=await self._count("households_delete"),
            households_updated=households["updated"],
            households_unchanged=households["unchanged"],
            inhabitants_created=inhabitants_created,
            inhabitants_deleted=inhabitants_deleted,
            inhabitants_updated=inhabitants["updated"],
            inhabitants_unchanged=inhabitants["unchanged"],
            users_created=users_created,
            users_updated=users_updated,
            users_deleted=users_deleted,
        )

    async def _create_households(self) -> int:
        created = await self._rows("households_create", self.now)
        for row in created:
            if row["pbs_id"] is None:
                text = "was made without a PBS number: another household was given its number"
                self.flaws.append(records.Flaw(f"location {row['heynabo_id']}", text))
        return len(created)

    async def _leave_homeless(self) -> None:
        for row in await self._rows("homeless"):
            text = f"lives at location {row['location_id']}, which is not a usable one; the user was left as it is"
            self.flaws.append(records.Flaw(f"user {row['heynabo_id']}", text))

    async def _note_refused_accounts(self) -> None:
        for row in await self._rows("accounts_refused"):
            text = "has an email that another account keeps; this user's account was left as it is"
            self.flaws.append(records.Flaw(f"user {row['heynabo_id']}", text))

    async def _execute(self, name: str, *arguments: Any) -> None:
        await self.connection.execute(_query(name), *arguments)

    async def _count(self, name: str) -> int:
        count: int = await self.connection.fetchval(_query(name))
        return count

    async def _row(self, name: str) -> Any:
        return await self.connection.fetchrow(_query(name))

    async def _rows(self, name: str, *arguments: Any) -> list[Any]:
        return await self.connection.fetch(_query(name), *arguments)


def _query(name: str) -> str:
    return statements.load(f"heynabo_import/{name}")
