"""Runs as the API answers them: with the names of the accounts that they mention, not only their numbers."""

from collections.abc import Iterable

import asyncpg
from msgspec import structs

from services.api.access import store
from services.api.history.queries import JobRun, Pool

_ACCOUNT = "ADMIN:"


class NamedRun(JobRun, frozen=True, kw_only=True, rename="camel"):
    """triggered_by_name and the like: the name of the account that `ADMIN:<userId>` is; null for everybody else."""

    triggered_by_name: str | None = None
    cancel_requested_by_name: str | None = None
    cancelled_by_name: str | None = None


async def named(pool: Pool, runs: Iterable[JobRun]) -> list[NamedRun]:
    """The same runs, in their order."""
    runs = list(runs)
    found = await by_names(
        pool, (by for run in runs for by in (run.triggered_by, run.cancel_requested_by, run.cancelled_by))
    )
    return [
        NamedRun(
            **structs.asdict(run),
            triggered_by_name=found.get(run.triggered_by),
            cancel_requested_by_name=found.get(run.cancel_requested_by or ""),
            cancelled_by_name=found.get(run.cancelled_by or ""),
        )
        for run in runs
    ]


async def by_names(pool: Pool, who: Iterable[str | None]) -> dict[str, str]:
    """`{"ADMIN:1": "anna"}`: of those who are accounts. None while Postgres is away: what was done is answered."""
    ids = {by.removeprefix(_ACCOUNT) for by in who if by and by.startswith(_ACCOUNT)}
    try:
        return {f"{_ACCOUNT}{id}": name for id, name in (await store.names(pool, ids)).items()}
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return {}
