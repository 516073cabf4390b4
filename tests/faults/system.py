"""A whole Kronik to break: a server, a database, and any number of each service, each of which can be killed."""

import asyncio
import atexit
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
from nats.aio.client import Client

from services.api.access import store
from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.log.provision import provision
from tests import servers
from tests.faults.raw_stream import RawStream, connect
from tests.faults.workshop import forgotten_sockets, logs
from tests.processes import Process
from tests.servers import NatsServer, PostgresServer

_READY = {"api": "projecting", "scheduler": "scheduler_ready", "runner": "runner_ready"}


@dataclass
class System:
    """processes: those that should be alive, by instance. log: to write with, as a service does, by our own clock."""

    nats: NatsServer
    connection: Client
    log: EventLog
    stream: RawStream
    random: random.Random
    directory: Path
    postgres: PostgresServer | None = None
    database_url: str = ""
    token: str = ""
    processes: dict[str, Process] = field(default_factory=dict)
    _count: int = 0

    def start(self, service: str, **settings: str) -> str:
        """Another process of this service, not waited for; its instance."""
        self._count += 1
        name = f"{service[0]}{self._count}"
        needed = {"nats_url": self.nats.url, "instance": name, "database_url": self.database_url}
        if service == "api":
            needed |= {"port": "0", "api_port_file": str(self.directory / f"{name}.port")}
        variables = {f"KRONIK_{key.upper()}": value for key, value in {**needed, **settings}.items()}
        self.processes[name] = Process(service, variables, self.directory / f"{name}.log")
        return name

    async def started(self, service: str, count: int = 1, *, ready: str = "", **settings: str) -> list[str]:
        """So many more of this service, ready. ready: what its log says then."""
        names = [self.start(service, **settings) for _ in range(count)]
        for name in names:
            await self.said(name, ready or _READY[service])
        return names

    async def said(self, name: str, text: str, within_s: float = 30, count: int = 1) -> None:
        """Wait until this process's log has the text so many times."""
        give_up = time.monotonic() + within_s
        while self.log_of(name).count(text) < count:
            process = self.processes.get(name)
            assert process is None or process.running, f"{name} ended:\n{self.log_of(name)[-3000:]}"
            assert time.monotonic() < give_up, f"{name} did not say {text!r}:\n{self.log_of(name)[-3000:]}"
            await asyncio.sleep(0.02)

    def log_of(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()

    def kill(self, name: str) -> None:
        self.processes.pop(name).kill()

    async def ended(self, name: str, within_s: float = 30) -> int:
        """The exit status of a process that is about to end."""
        give_up = time.monotonic() + within_s
        while self.processes[name].running:
            assert time.monotonic() < give_up, f"{name} goes on:\n{self.log_of(name)[-3000:]}"
            await asyncio.sleep(0.01)
        return self.processes.pop(name).ended()

    def url(self, api: str) -> str:
        return f"http://127.0.0.1:{(self.directory / f'{api}.port').read_text()}"

    @asynccontextmanager
    async def http(self, api: str) -> AsyncIterator[httpx.AsyncClient]:
        """Calls of this API by an admin."""
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=self.url(api), headers=headers, timeout=60, verify=False) as client:
            yield client

    async def ready(self, api: str, within_s: float = 30) -> dict[str, Any]:
        """What readiness says once it is ready."""
        return await self.readiness(api, 200, within_s)

    async def readiness(self, api: str, status: int, within_s: float = 30) -> dict[str, Any]:
        """What readiness says once it answers with this status."""
        give_up = time.monotonic() + within_s
        async with self.http(api) as http:
            while True:
                answer = await http.get("/health/ready")
                if answer.status_code == status:
                    return dict(answer.json())
                assert time.monotonic() < give_up, f"{answer.status_code}: {answer.text}\n{self.log_of(api)[-3000:]}"
                await asyncio.sleep(0.1)

    async def projected(self, api: str, sequence: int, within_s: float = 30) -> None:
        """Return when the history holds the event at this sequence."""
        give_up = time.monotonic() + within_s
        async with self.http(api) as http:
            while (said := (await http.get("/health/ready")).json())["position"] is None or said["position"] < sequence:
                assert time.monotonic() < give_up, f"not at {sequence}: {said}\n{self.log_of(api)[-3000:]}"
                await asyncio.sleep(0.05)

    async def last_sequence(self) -> int:
        return (await self.connection.jetstream(timeout=5).stream_info("JOBS")).state.last_seq

    def clean_up(self) -> None:
        for process in self.processes.values():
            if process.running:
                process.thaw()
                process.kill()


@asynccontextmanager
async def system(seed: int, *, postgres: bool = False) -> AsyncIterator[System]:
    """Servers of this block's own, the streams made, nobody at work. Logs are kept when something fails."""
    with forgotten_sockets(), logs() as directory, servers.nats() as nats, _postgres(postgres) as database:
        async with connect(nats.url) as connection, _event_log(nats.url) as log:
            await provision(log.connection, replicas=1)
            made = System(nats, connection, log, RawStream(connection), random.Random(seed), directory, database)
            if database is not None:
                made.database_url = database.create_database()
                made.token = await _token(made.database_url)
            try:
                yield made
            finally:
                made.clean_up()


@cache
def _shared_postgres() -> PostgresServer:
    """One for all systems of this process, each with a database of its own; started again where it was left dead."""
    lasting = contextlib.ExitStack()
    atexit.register(lasting.close)
    return lasting.enter_context(servers.postgres())


@contextmanager
def _postgres(wanted: bool) -> Iterator[PostgresServer | None]:
    if not wanted:
        yield None
        return
    server = _shared_postgres()
    server.start()
    yield server


@asynccontextmanager
async def _event_log(url: str) -> AsyncIterator[EventLog]:
    connection = await nats_connection.connect(url, "test")
    try:
        yield EventLog(connection, SystemClock(), "/kronik/test")
    finally:
        await nats_connection.close(connection)


async def _token(database_url: str) -> str:
    connection = await asyncpg.connect(database_url)
    try:
        return await store.create_token(connection, await store.ensure_admin(connection), "test")
    finally:
        await connection.close()


def kill_all_of(server: PostgresServer) -> None:
    """kill -9 of the whole of Postgres, as when its machine or its container dies."""
    assert server.process is not None
    everybody = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
    for process in everybody:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(everybody, timeout=10)
    server.process.wait(10)


def freeze_all_of(server: PostgresServer) -> list[psutil.Process]:
    """SIGSTOP the whole of Postgres; thaw() what is returned."""
    assert server.process is not None
    everybody = [psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children(recursive=True)]
    for process in everybody:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    return everybody


def thaw(everybody: list[psutil.Process]) -> None:
    for process in everybody:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()


def lines(text: str, event: str) -> list[dict[str, Any]]:
    """The lines of a log whose event this is."""
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{") and f'"{event}"' in line]
    return [line for line in found if line.get("event") == event]
