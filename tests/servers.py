"""Real servers for tests: processes of their own on free ports, which do not outlive pytest, however it ends."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from services.api.history import tables, upgrade
from services.log import accounts as nats_users
from services.stack import nats_server, postgres_server
from services.stack.port import find_free
from services.stack.process import Command, popen_options
from services.stack.staging import Staging

SERVICES = {
    "crm": nats_users.Service("crm-secret"),
    "erp": nats_users.Service("erp-secret"),
    "billing": nats_users.Service("billing-secret", ("B",)),
}
"""Those that the servers with users know: two that ask for runs, and a runner of the job B."""
_MIGRATIONS = Path(__file__).parent.parent / "migrations"
_TEMPLATE = "kronik_template"


@dataclass
class Server:
    """One process that can be started, killed, frozen and started again on its port and its data."""

    command: Command
    port: int
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start and wait until it answers. A server that was frozen goes on."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            return
        if self.command.prepare is not None:
            self.command.prepare()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command.argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **popen_options(self.command)
            )
        give_up = time.monotonic() + 20
        while not self.answers():
            alive = self.process.poll() is None and time.monotonic() < give_up
            assert alive, f"{self.command.name} did not start:\n{self._last_words()}"
            time.sleep(0.01)

    def answers(self) -> bool:
        raise NotImplementedError

    def _last_words(self) -> str:
        return self.log.read_text()[-3000:]

    def stop(self) -> None:
        self._end(self.command.stop_signal)

    def kill(self) -> None:
        """The process is gone at once, as after kill -9; its port is refused until start()."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """It hangs: connections stay, nothing is answered, until start()."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def _end(self, by: signal.Signals) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(by)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


@dataclass
class NatsServer(Server):
    """url: without users everybody's; with the shipped users, the one of `user(name)`. staging: of its batches, as
    `kronik up` has it."""

    passwords: dict[str, str] = field(default_factory=dict)
    staging: Staging | None = None

    def start(self) -> None:
        super().start()
        if self.staging is not None:
            threading.Thread(target=self._keep_staging, args=(self.staging, self.process), daemon=True).start()

    @staticmethod
    def _keep_staging(staging: Staging, process: "subprocess.Popen[bytes]") -> None:
        while process.returncode is None:
            staging.look()
            time.sleep(0.02)

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(5) == b"INFO "
        except OSError:
            return False

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def listens(self) -> set[tuple[str, int]]:
        """Where it takes connections, of whatever kind."""
        assert self.process is not None
        sockets = psutil.Process(self.process.pid).net_connections("inet")
        return {(one.laddr.ip, one.laddr.port) for one in sockets if one.status == psutil.CONN_LISTEN}

    def user(self, name: str) -> str:
        """The address with the credentials of one of the shipped users, or of the services crm and erp."""
        return nats_users.url(name, self.passwords.get(name, f"{name}-secret"), self.port)


@contextlib.contextmanager
def nats(*, users: bool = False) -> Iterator[NatsServer]:
    """A running nats-server with JetStream and synced writes. users: with the shipped users and permissions."""
    names = nats_users.USERS if users else ()
    passwords = {name: f"{name}-secret" for name in names}
    with contextlib.ExitStack() as at_last, _directory("nats") as home:
        port = find_free()
        accounts = nats_users.accounts(passwords, SERVICES) if users else ""
        config = home / "nats.conf"
        store = home / "store"
        store.mkdir()
        staging = Staging(store)
        at_last.callback(staging.leave)
        config.write_text(nats_server.config(port=port, store=store, accounts=accounts))
        command = nats_server.command(config, staging)
        server = NatsServer(command, port, home / "nats.log", passwords=passwords, staging=staging)
        with _running(server):
            yield server


@dataclass
class PostgresServer(Server):
    """Databases are made from a template that has every migration, in tens of milliseconds."""

    made: int = 0

    def answers(self) -> bool:
        ready = [str(postgres_server.bin_directory() / "pg_isready"), "--quiet", f"--dbname={self.url('postgres')}"]
        return subprocess.run(ready, check=False, timeout=20).returncode == 0

    def url(self, database: str) -> str:
        return postgres_server.url(self.port, database)

    def create_database(self) -> str:
        """The address of a new, migrated database."""
        self.made += 1
        name = f"test_{os.getpid()}_{self.made}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        found = re.search(r"/(\w+)\?", url)
        assert found
        self.execute(f"DROP DATABASE {found[1]} WITH (FORCE)")

    def execute(self, statement: str, database: str = "postgres") -> None:
        psql = [str(postgres_server.bin_directory() / "psql"), "-qX", "-v", "ON_ERROR_STOP=1", self.url(database)]
        subprocess.run([*psql, "-c", statement], check=True, capture_output=True, timeout=60)


@contextlib.contextmanager
def postgres(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A running Postgres, not durable but fast; durable: as `kronik up` starts it."""
    with _directory("postgres") as home:
        data, port = home / "data", find_free()
        postgres_server.initialise(data, None, durable=durable)
        settings = postgres_server.DURABLE if durable else postgres_server.FORGETFUL
        command = postgres_server.command(data, port, settings)
        server = PostgresServer(command, port, home / "postgres.log")
        with _running(server):
            server.execute(f"CREATE DATABASE {_TEMPLATE}")
            migrate(server.url(_TEMPLATE))
            with ThreadPoolExecutor(1) as apart:  # a benchmark calls this within its own event loop
                apart.submit(asyncio.run, _prepare_history(server.url(_TEMPLATE))).result()
            yield server


def migrate(url: str) -> None:
    """Apply every migration of the repository with dbmate."""
    dbmate = Path(sys.executable).parent / "dbmate"
    argv = [str(dbmate), "--url", url, "--migrations-dir", str(_MIGRATIONS), "--no-dump-schema", "up"]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


async def _prepare_history(url: str) -> None:
    """What the API does when it starts."""
    connection = await tables.connect(url)
    await upgrade.prepare(connection)
    await connection.close()


@contextlib.contextmanager
def _running(server: Server) -> Iterator[None]:
    try:
        server.start()
        yield
    finally:
        server.stop()


@contextlib.contextmanager
def _directory(name: str) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix=f"kronik-test-{name}-"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
