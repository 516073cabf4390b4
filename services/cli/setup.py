"""`kronik provision`, `kronik migrate`: what must be there before services start, each as a step of its own."""

import asyncio

from kronik import subjects
from msgspec import Struct

from services.cli import terminal
from services.infra import logs, settings
from services.log import connection as nats_connection
from services.log.provision import provision
from services.stack import migrations, reach

_WAIT_S = 60.0


class MigrateSettings(Struct, frozen=True, kw_only=True):
    database_url: settings.DatabaseUrl


def provision_command(*, json: terminal.AsJson = False) -> int:
    """Make the streams on KRONIK_NATS_URL, or bring them to this version's configuration. Safe to repeat.

    KRONIK_REPLICAS says how many copies of every event are kept (default 1; 3 in a cluster). Waits up to a minute
    for NATS.
    """
    config = settings.read(settings.ProvisionSettings)
    logs.configure("provision", log_format=config.log_format, level=config.log_level)
    asyncio.run(_provision(config))
    if json:
        terminal.print_json({"streams": [subjects.STREAM, subjects.LOG_STREAM], "replicas": config.replicas})
    return 0


async def _provision(config: settings.ProvisionSettings) -> None:
    connection = await reach.connect(config.nats_url, "provision", _WAIT_S)
    try:
        await provision(connection, config.replicas)
    finally:
        await nats_connection.close(connection)


def migrate_command(*, json: terminal.AsJson = False) -> int:
    """Bring the database at KRONIK_DATABASE_URL to this version's tables. Safe to repeat; waits for Postgres."""
    config = settings.read(MigrateSettings)
    applied = asyncio.run(migrations.migrate(config.database_url, wait_s=int(_WAIT_S)))
    if json:
        terminal.print_json({"applied": applied})
        return 0
    for name in applied:
        terminal.say(f"applied {name}")
    terminal.say("the database is up to date")
    return 0
