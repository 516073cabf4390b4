"""What the panel's tests stand on: a nats-server, a database and the API on them, emptied for each test."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from kronik import subjects

from services.log import jetstream
from services.log.append import EventLog
from tests import processes, servers

_EMPTIED: Final = (
    *("history.run", "history.param", "history.job", "history.schedule", "history.slot", "history.parked"),
    *("history.idempotency", "command.answer", "command.bulk", "command.bulk_run", "command.bulk_stop", "replay.work"),
)
"""Of the tables, all but the checkpoint and who may come in."""


@dataclass(frozen=True)
class Clock:
    """A service's clock, which adds the seconds that the file holds."""

    file: Path

    def jump(self, days: int) -> None:
        self.file.write_text(str(days * 24 * 3600))

    def reset(self) -> None:
        self.file.unlink(missing_ok=True)


@dataclass(frozen=True)
class House:
    """address: where its API answers."""

    nats: servers.NatsServer
    database_url: str
    api: processes.Process
    clock: Clock
    address: str

    async def empty(self, log: EventLog) -> None:
        """As if nothing had ever happened, but for the numbers of the events: they go on."""
        self.clock.reset()
        await self.caught_up(log)
        for stream in (subjects.STREAM, subjects.LOG_STREAM):
            await log.connection.jetstream().purge_stream(stream)
        connection = await asyncpg.connect(self.database_url)
        await connection.execute(f"TRUNCATE {', '.join(_EMPTIED)}")
        await connection.close()

    async def caught_up(self, log: EventLog, within_s: float = 20) -> None:
        """Returns when everything that stands in the stream is in the history."""
        last = (await jetstream.stream_info(log.connection)).state.last_seq
        connection = await asyncpg.connect(self.database_url)
        try:
            async with asyncio.timeout(within_s):
                while (await connection.fetchval("SELECT max(sequence) FROM history.checkpoint") or 0) < last:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        finally:
            await connection.close()


@contextlib.contextmanager
def house(nats: servers.NatsServer, database_url: str, directory: Path, **settings: str) -> Iterator[House]:
    """Of which the streams have been made."""
    clock = Clock(directory / "clock")
    places = {"nats_url": nats.url, "database_url": database_url, "port": "0", "clock_file": str(clock.file)}
    with processes.service("api", **places, **settings) as api:
        lines = [json.loads(line) for line in api.log.read_text().splitlines() if "api_ready" in line]
        yield House(nats, database_url, api, clock, lines[0]["url"] + settings.get("base_path", ""))
