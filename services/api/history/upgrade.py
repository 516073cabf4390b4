"""From the tables that are there to those that this version of the read model declares.

Empty ones are replaced at once. Others get what they lack (columns with what stands for "not known", tables,
indexes) in a moment, so that they serve and are projected into, and are rebuilt: `prepare` says so.
"""

from services.api.history import columns, schema
from services.api.history.schema import statement
from services.api.history.tables import Connection
from services.infra import logs

log = logs.get()


async def prepare(connection: Connection) -> bool:
    """Make the live tables serve. True: they were made by another version, and a rebuild is due.

    connection: its search path is `history`. Where there are no tables at all nothing is done: a person looks first.
    """
    if not await connection.fetchval(statement("has_live_tables")):
        return False
    if await model(connection) == schema.VERSION:
        return False
    async with connection.transaction():
        await connection.execute(statement("lock_writing"))
        found = await model(connection)
        if found == schema.VERSION:
            return False
        if await connection.fetchval(statement("is_empty")):
            await create_anew(connection)
            return False
        await adapt(connection)
    log.info("history_of_another_version", found=found, wanted=schema.VERSION)
    return True


async def model(connection: Connection) -> str | None:
    """The version that made the live tables; None: one that did not say."""
    if not await connection.fetchval(statement("has_model")):
        return None
    found: str | None = await connection.fetchval("SELECT model FROM history.checkpoint")
    return found


async def create_anew(connection: Connection) -> None:
    """Empty tables in the place of empty ones."""
    await connection.execute("DROP SCHEMA history CASCADE; CREATE SCHEMA history")
    await create(connection)
    await connection.execute("\n".join([schema.KEYS_DDL, schema.INDEXES_DDL, schema.TALLY_DDL]))
    await connection.execute(statement("first_checkpoint"), schema.VERSION)


async def create(connection: Connection) -> None:
    """The bare tables, in the schema of the search path."""
    await connection.execute(schema.TABLES_DDL)


async def adapt(connection: Connection) -> None:
    """Give the live tables what they lack."""
    await connection.execute(statement("adapt"))
    for column in columns.COLUMNS:
        default = f"{'' if column.null else ' NOT NULL'}{f' DEFAULT {column.missing}' if column.missing else ''}"
        await connection.execute(f"ALTER TABLE run ADD COLUMN IF NOT EXISTS {column.name} {column.type}{default}")
    await connection.execute(schema.INDEXES_DDL)
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM tally)"):
        await connection.execute(statement("fill_tally"))
    await connection.execute(schema.TALLY_DDL)
