"""Who is let in to a NATS of ours, changed while it runs: the accounts file that its servers include.

Kronik's own roles have the passwords of the installation; other services have theirs in a file beside it, by name.
A change is written down, the servers are told to read it again, and it counts once the service is let in (or out).
"""

import asyncio
import fcntl
import json
import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import nats
from kronik import KronikError
from msgspec import Struct
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.infra.clock import monotonic_s
from services.log import accounts, jetstream
from services.log import connection as nats_connection
from services.log.accounts import Service
from services.stack import reach, state
from services.stack.credentials import Secrets
from services.stack.port import LOOPBACK
from services.stack.state import StateDirectory

_ANSWERS_WITHIN_S = 5.0
_SERVERS_ANSWER_WITHIN_S = 0.5
_LOOK_EVERY_S = 0.05


class NoSuchService(KronikError):
    """There is no service of this name; the message lists those there are."""


class ServiceExists(KronikError):
    """There is a service of this name already."""


class NotReloaded(KronikError):
    """The servers did not take the new accounts in time; the message has their words. The file is written."""


class Bus(Struct, frozen=True, kw_only=True):
    """servers: addresses without credentials, with commas. passwords: of Kronik's own users.

    services: the file with the other services' passwords. accounts: the file that the servers' configuration includes.
    """

    servers: str
    passwords: Mapping[str, str]
    services: Path
    accounts: Path

    def url(self, user: str, password: str | None = None) -> str:
        secret = f"{user}:{password or self.passwords[user]}@"
        parts = [urlsplit(each) for each in self.servers.split(",")]
        return ",".join(each._replace(netloc=secret + each.netloc).geturl() for each in parts)

    def known(self) -> dict[str, Service]:
        """The other services by their names. Raises StateUnusable."""
        return state.read(self.services, dict[str, Service]) or {}

    def write(self, services: Mapping[str, Service] | None = None) -> None:
        """Write the accounts down, with these services or those that are known. Raises StateUnusable."""
        if services is not None:
            state.write(self.services, services)
        write_private(self.accounts, accounts.accounts(self.passwords, self.known() if services is None else services))

    async def add(self, name: str, runs: Sequence[str] = ()) -> str:
        """Let a service in; its password. runs: the jobs that it may run.

        Raises InvalidName, ServiceExists, NotReloaded, StateUnusable.
        """
        accounts.service_part(name, runs)
        return await self._let_in(name, runs)

    async def rotate(self, name: str) -> str:
        """Give a service a new password; the old one ends at once. Raises NoSuchService, NotReloaded, StateUnusable."""
        return await self._let_in(name, None)

    async def remove(self, name: str) -> None:
        """Let a service in no more. Raises NoSuchService, NotReloaded, StateUnusable."""
        async with self._changing():
            services = self.known()
            _must_know(name, services)
            password = services.pop(name).password
            self.write(services)
            await self._until(self.url(name, password), let_in=False)

    async def _let_in(self, name: str, runs: Sequence[str] | None) -> str:
        """runs: of a new one; None for one that is there."""
        async with self._changing():
            services = self.known()
            if runs is not None and name in services:
                raise ServiceExists(
                    f"there is a service {name} already; kronik service rotate {name} gives it a new password"
                )
            if runs is None:
                _must_know(name, services)
                runs = services[name].runs
            password = accounts.new_password()
            self.write({**services, name: Service(password, tuple(runs))})
            await self._until(self.url(name, password), let_in=True)
            return password

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """One change at a time, of however many commands."""
        with self.services.with_suffix(".lock").open("a") as lock:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            yield

    async def _until(self, url: str, *, let_in: bool) -> None:
        """Have every server take the change. Raises NotReloaded, NatsUnreachable.

        An account that is new at a reload imports nothing until the next one (nats-server 2.15.1): it may take two.
        """
        give_up = monotonic_s() + _ANSWERS_WITHIN_S
        connection = await reach.connect(self.url(accounts.SYSTEM), "kronik-service", _ANSWERS_WITHIN_S)
        try:
            ids = await _servers(connection)
            await _reload(connection, ids)
            for server in url.split(","):
                while await _lets_in(server) != let_in:
                    if monotonic_s() > give_up:
                        place = urlsplit(server).netloc.rpartition("@")[2]
                        raise NotReloaded(f"{place} goes on with the accounts it had")
                    await asyncio.sleep(_LOOK_EVERY_S)
                    await _reload(connection, ids)
        finally:
            await nats_connection.close(connection)


def embedded(directory: StateDirectory, secrets: Secrets, nats_port: int) -> Bus:
    """The NATS of an `up` on this state directory."""
    return Bus(
        servers=f"nats://{LOOPBACK}:{nats_port}",
        passwords=secrets.nats,
        services=directory.services,
        accounts=directory.nats_accounts,
    )


def services_beside(accounts_file: Path) -> Path:
    """Where the other services' passwords are kept, unless a setting says otherwise."""
    return accounts_file.with_name("services.json")


def _must_know(name: str, services: Iterable[str]) -> None:
    if name not in services:
        raise NoSuchService(f"there is no service {name}; there are: {', '.join(sorted(services)) or 'none'}")


async def _reload(connection: Client, servers: Iterable[str]) -> None:
    """Have these servers read their configuration again. Raises NotReloaded."""
    try:
        for server in servers:
            answer = await connection.request(f"$SYS.REQ.SERVER.{server}.RELOAD", timeout=_ANSWERS_WITHIN_S)
            if "error" in (said := json.loads(answer.data)):
                raise NotReloaded(f"a NATS server refused the new accounts: {said['error'].get('description')}")
    except (NatsError, TimeoutError) as error:
        raise NotReloaded(f"the NATS servers did not say that they read the new accounts: {error!r}") from error


async def _servers(connection: Client) -> list[str]:
    """The ids of all servers: each answers, nobody says how many there are."""
    inbox, found = connection.new_inbox(), []
    answers = await connection.subscribe(inbox)
    await connection.publish("$SYS.REQ.SERVER.PING", reply=inbox)
    try:
        while True:
            answer = await answers.next_msg(timeout=_SERVERS_ANSWER_WITHIN_S)
            found.append(json.loads(answer.data)["server"]["id"])
    except NatsError:
        return found
    finally:
        await answers.unsubscribe()


async def _lets_in(url: str) -> bool:
    """A service gets through to the stream there: what becomes of runs is answered, though it be with nothing."""

    async def silent(_: Exception) -> None:
        return

    options = {**nats_connection.options(url, "kronik-service"), "allow_reconnect": False, "error_cb": silent}
    try:
        connection = await nats.connect(**options)
    except (NatsError, OSError, TimeoutError):
        return False
    try:
        return await jetstream.reaches_runs(connection, _SERVERS_ANSWER_WITHIN_S)
    finally:
        await nats_connection.close(connection)


def write_private(path: Path, text: str) -> None:
    """Readable by its owner alone. In place: a container may have mounted this very file. Raises StateUnusable."""
    try:
        with open(path, "w", opener=lambda name, flags: os.open(name, flags, mode=0o600)) as file:
            file.write(text)
    except OSError as error:
        raise state.StateUnusable(f"{path} can't be written: {error.strerror}") from error
