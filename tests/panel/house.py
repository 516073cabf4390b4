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
from kronik.events import SlotSkipped

from services.log.append import Appended, EventLog
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
        last = await _append_nothing(log)
        connection = await asyncpg.connect(self.database_url)
        try:
            async with asyncio.timeout(20):
                while await connection.fetchval("SELECT sequence FROM history.checkpoint") != last:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            for stream in (subjects.STREAM, subjects.LOG_STREAM):
                await log.connection.jetstream().purge_stream(stream)
            await connection.execute(f"TRUNCATE {', '.join(_EMPTIED)}")
        finally:
            await connection.close()


async def _append_nothing(log: EventLog) -> int:
    """The last event, of which the projector's checkpoint shall say that it was read."""
    event = SlotSkipped(scheduled_for=log.clock.now(), outcome="paused", reason="")
    appended = await log.append(subjects.slot("NOBODY", "paused"), event, id=f"empty-{log.clock.now().isoformat()}")
    assert isinstance(appended, Appended)
    return appended.sequence


@contextlib.contextmanager
def house(nats: servers.NatsServer, database_url: str, directory: Path, **settings: str) -> Iterator[House]:
    """Of which the streams have been made."""
    clock = Clock(directory / "clock")
    places = {"nats_url": nats.url, "database_url": database_url, "port": "0", "clock_file": str(clock.file)}
    with processes.service("api", **places, **settings) as api:
        lines = [json.loads(line) for line in api.log.read_text().splitlines() if "api_ready" in line]
        yield House(nats, database_url, api, clock, lines[0]["url"] + settings.get("base_path", ""))
