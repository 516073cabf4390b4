"""The read model renews itself: tables of another version are made to serve, and rebuilt at once."""

import asyncio

import asyncpg

from services.api.history import tables, upgrade
from services.api.history.work import WorkRunning, Workshop
from services.infra import logs

log = logs.get()

_AGAIN_S = 5.0
_BY = "Kronik"


async def renew(dsn: str, workshop: Workshop) -> None:
    """Until it is the version of this process. Of several processes one rebuilds."""
    while True:
        try:
            if await _is_ours(dsn, workshop):
                return
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            log.warning("renewal_waits", error=repr(error)[:300])
        await asyncio.sleep(_AGAIN_S)


async def _is_ours(dsn: str, workshop: Workshop) -> bool:
    connection = await tables.connect(dsn)
    try:
        if not await upgrade.prepare(connection):
            return True
        await workshop.begin(connection, "rebuild", _BY)
        log.info("history_is_rebuilt", reason="it was made by another version")
        return False
    except WorkRunning:
        return False
    finally:
        connection.terminate()
