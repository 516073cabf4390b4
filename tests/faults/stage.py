"""Where faults are played: a server (or three), runners that can be killed, the raw stream, and random load."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.log.accounts import ADMINISTRATOR, RUNNER
from services.log.provision import ProvisionFailed, provision
from tests import servers, shipped
from tests.faults.load import Load
from tests.faults.raw_stream import RawStream, Verdict, connect, judge, until
from tests.faults.workshop import forgotten_sockets, logs
from tests.processes import Process
from tests.servers import NatsServer

ACK_WAIT_S = 1.5
JOBS = "tests.sample_jobs,tests.faults.jobs"
_RUNNER = {
    "jobs": f"{JOBS},tests.release_one",
    "ack_wait_s": str(ACK_WAIT_S),
    "grace_s": "1",
    "slots": "24",  # a job that waits holds one of them, and there are twelve
    "log_level": "info",
}


@dataclass
class Stage:
    """runners: those that should be alive, by instance; former: those that were killed, or ended."""

    servers: list[NatsServer]
    url: str
    connection: Client
    stream: RawStream
    random: random.Random
    directory: Path
    runners: dict[str, Process] = field(default_factory=dict)
    former: dict[str, Process] = field(default_factory=dict)

    def hire(self, **settings: str) -> str:
        """Start another runner without waiting for it; its instance."""
        name = f"r{len(self.runners) + len(self.former) + 1}"
        environ = {"nats_url": self.url, "instance": name, **_RUNNER, **settings}
        variables = {f"KRONIK_{key.upper()}": value for key, value in environ.items()}
        self.runners[name] = Process("runner", variables, self.directory / f"{name}.log")
        return name

    async def crew(self, size: int) -> list[str]:
        """So many more runners, ready."""
        names = [self.hire() for _ in range(size)]
        for name in names:
            await self.said(name, "runner_ready")
        return names

    async def ready(self, count: int, within_s: float = 60) -> None:
        """Wait until so many runners pull."""
        give_up = time.monotonic() + within_s
        while sum(bool(self.lines(name, "runner_ready")) for name in self.runners) < count:
            assert time.monotonic() < give_up, f"{count} runners are not ready within {within_s:g} s"
            await asyncio.sleep(0.05)

    async def said(self, name: str, text: str, within_s: float = 30) -> dict[str, Any]:
        """The first line of this runner's log with this text, once it is there."""
        process = self.runners.get(name) or self.former[name]
        give_up = time.monotonic() + within_s
        while True:
            for line in self.lines(name, text):
                return line
            assert process.running, f"{name} ended with {process.ended()}:\n{self.last_words(name)}"
            assert time.monotonic() < give_up, f"{name} did not say {text}:\n{self.last_words(name)}"
            await asyncio.sleep(0.05)

    def lines(self, name: str, text: str) -> list[dict[str, Any]]:
        """The lines of a runner's log whose event this is."""
        log = (self.directory / f"{name}.log").read_text()
        found = [json.loads(line) for line in log.splitlines() if f'"{text}"' in line and line.startswith("{")]
        return [line for line in found if line.get("event") == text]

    def said_of(self, name: str, text: str) -> set[int]:
        """The runs of which this runner's log says this."""
        return {line["run_id"] for line in self.lines(name, text)}

    def last_words(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()[-2000:]

    def kill(self, name: str) -> float:
        """kill -9; when, in seconds since 1970."""
        at = time.time()
        self._let_go(name).kill()
        return at

    def terminate(self, name: str) -> Process:
        process = self._let_go(name)
        process.terminate()
        return process

    def _let_go(self, name: str) -> Process:
        process = self.former[name] = self.runners.pop(name)
        return process

    async def ended(self, name: str, within_s: float = 30) -> int:
        """The exit status of a runner that is about to end."""
        process = self.runners.get(name) or self.former[name]
        give_up = time.monotonic() + within_s
        while process.running:
            assert time.monotonic() < give_up, f"{name} goes on:\n{self.last_words(name)}"
            await asyncio.sleep(0.05)
        if name in self.runners:
            self._let_go(name)
        return process.ended()

    def replace_ended(self) -> list[int]:
        """Do as a supervisor does; the exit statuses of those that had ended."""
        gone = [name for name, process in self.runners.items() if not process.running]
        statuses = [self._let_go(name).ended() for name in gone]
        for _ in gone:
            self.hire()
        return statuses

    async def settle(self, load: Load, within_s: float = 60) -> Verdict:
        """Wait until every run has its end, then read it all anew and judge. Fails where a promise was broken."""
        with contextlib.suppress(AssertionError):
            await until(
                self.stream, lambda stream: all(map(stream.ended, stream.runs)), within_s, "the end of every run"
            )
        return check(await self.stream.anew(), load.acknowledged)

    def clean_up(self) -> None:
        for process in [*self.runners.values(), *self.former.values()]:
            if process.running:
                process.thaw()
                process.kill()


def check(stream: RawStream, acknowledged: Iterable[int]) -> Verdict:
    """The verdict, if it is a good one."""
    verdict = judge(stream, acknowledged)
    assert not verdict.broken, f"{len(verdict.broken)} promises broken:\n" + "\n".join(verdict.broken[:20])
    assert (verdict.lost, verdict.doubled) == (0, 0), verdict
    return verdict


@asynccontextmanager
async def stage(seed: int, *, nodes: int = 1, on: NatsServer | None = None) -> AsyncIterator[Stage]:
    """A stage with the streams made and nobody on it. Its logs are kept when something fails on it.

    nodes: 1, where everybody may do everything, or the 3 of compose.yaml, with its configuration and its users.

    on: a server that runs already, instead of so many new nodes.
    """
    with forgotten_sockets(), logs() as directory, _servers(nodes) if on is None else nullcontext([on]) as running:
        async with connect(_url(running, ADMINISTRATOR)) as connection:
            await _provision(connection, nodes)
            runners = _url(running, RUNNER)
            made = Stage(running, runners, connection, RawStream(connection), random.Random(seed), directory)
            try:
                yield made
            finally:
                made.clean_up()


def _url(running: list[NatsServer], user: str) -> str:
    """On a cluster, which is the shipped one, each comes as its own user."""
    return ",".join(server.user(user) if server.passwords else server.url for server in running)


@asynccontextmanager
async def under_load(stage: Stage, seed: int, per_s: float, *, gentle: bool = False) -> AsyncIterator[Load]:
    """Random load for as long as the block takes."""
    load = Load(stage.connection, seed, gentle)
    task = asyncio.create_task(load.go_on(per_s))
    try:
        yield load
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextmanager
def _servers(nodes: int) -> Iterator[list[NatsServer]]:
    if nodes == 1:
        with servers.nats() as server:
            yield [server]
    else:
        with shipped.cluster() as cluster:
            yield cluster.servers


async def _provision(connection: Client, replicas: int) -> None:
    """A cluster needs some seconds to choose its leader."""
    give_up = time.monotonic() + 30
    while True:
        try:
            return await provision(connection, replicas)
        except (NatsError, TimeoutError, ProvisionFailed):
            assert time.monotonic() < give_up, "the streams can't be made"
            await asyncio.sleep(0.2)
