"""`kronik up`: everything on this machine, from one command, until it is told to stop.

lock the state directory, end what a killed `up` left
nats-server and Postgres          at the same time
provision, migrate                at the same time
demo, admin's token
sandbox, API, scheduler, runner   at the same time
ready file, and where to look
Ctrl-C or SIGTERM: the same backwards
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from kronik import KronikError
from msgspec import Struct
from nats.aio.client import Client

from services.infra import misspelt, settings
from services.infra.clock import SystemClock
from services.infra.settings import InvalidSettings
from services.log import accounts as nats_users
from services.log import connection as nats_connection
from services.log.provision import provision
from services.stack import (
    bus,
    children,
    credentials,
    entrance,
    leftovers,
    migrations,
    nats_server,
    port,
    postgres_server,
    reach,
    ready,
)
from services.stack.children import SANDBOX, SERVICES, Addresses
from services.stack.log_watch import LogWatch
from services.stack.staging import Staging
from services.stack.state import StateDirectory
from services.stack.supervisor import Supervisor

NATS, POSTGRES = "nats", "postgres"
_ANSWERS_WITHIN_S = 30.0
_READY_WITHIN_S = 90.0
_HOPELESS_DEATHS = 4
_SERVICE_GRACE_S = 10.0
_SERVER_GRACE_S = 10.0
"""On top of what runs have been given to finish."""


class StartFailed(KronikError):
    """`up` could not get everything to answer; the message says what did not, and what to do."""


class UpSettings(Struct, frozen=True, kw_only=True):
    """nats_url, database_url, heynabo_url: existing ones to use, in place of those that `up` starts itself."""

    nats_url: settings.NatsUrl | None = None
    database_url: settings.DatabaseUrl | None = None
    dining_database_url: settings.DatabaseUrl | None = None
    heynabo_url: str | None = None
    jobs: str = settings.DEFAULT_JOBS
    port: settings.Port = 8080
    replicas: settings.Replicas = 1
    heynabo_cron: str = ""
    grace_s: settings.Seconds = 20
    clock_file: Path | None = None


class Options(Struct, frozen=True, kw_only=True):
    """port: for the API; None for the settings' one, 0 for any that is free. ready_file: a copy for scripts."""

    port: int | None = None
    demo: bool = False
    ready_file: Path | None = None


class Started(Struct, frozen=True, kw_only=True):
    """What a person is told. sign_in_url works once. demo: what was filled in at this start."""

    ready: ready.Ready
    sign_in_url: str
    directory: Path
    demo: str | None


async def up(
    options: Options,
    directory: StateDirectory,
    say: Callable[[str], None],
    greet: Callable[[Started], None],
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Start everything, greet, and return when told to stop and everything has stopped.

    Raises KronikError when it can't be started; what was started has been stopped then.
    """
    config = _checked(environ)
    for one in misspelt.unread(environ):
        say(str(one))
    directory.prepare()
    with directory.locked():
        for process in leftovers.end(directory):
            say(f"ended {process.name} (pid {process.pid}), left by an `up` that was killed")
        ready.withdraw(directory, options.ready_file)
        await _Up(options, config, directory, say, greet, environ).run()


def _checked(environ: Mapping[str, str]) -> UpSettings:
    """Ours and those of the services, which they would stop for: said before anything starts.

    Raises InvalidSettings.
    """
    chosen_by_us = {"KRONIK_NATS_URL": "nats://", "KRONIK_DATABASE_URL": "postgres://"}
    theirs = {**chosen_by_us, **{name: value for name, value in environ.items() if value}}
    problems = settings.problems(
        theirs, UpSettings, settings.ApiSettings, settings.SchedulerSettings, settings.RunnerSettings
    )
    if problems:
        raise InvalidSettings(problems)
    config = settings.read(UpSettings, environ)
    if problems := list(_unfit(config)):
        raise InvalidSettings(problems)
    return config


def _unfit(config: UpSettings) -> Iterator[str]:
    """What each setting may be by itself, but not here."""
    if config.replicas > 1 and config.nats_url is None:
        yield (
            f"KRONIK_REPLICAS='{config.replicas}': the NATS that `kronik up` starts is one node and keeps one copy;"
            " for more name a cluster: KRONIK_NATS_URL"
        )
    if config.jobs != settings.DEFAULT_JOBS or config.heynabo_cron.strip():
        yield from _unfit_jobs(config)


def _unfit_jobs(config: UpSettings) -> Iterator[str]:
    from services.infra import slots  # megabytes that a command which runs for weeks needs once
    from services.runner import registry

    for name in registry.missing(config.jobs, os.getcwd()):
        yield (
            f"KRONIK_JOBS: there is no module {name!r}, here in {os.getcwd()} or installed;"
            " expected names like my_jobs.nightly, by comma"
        )
    if config.heynabo_cron.strip():
        try:
            slots.check(config.heynabo_cron.strip(), "UTC")
        except slots.InvalidSchedule as error:
            yield f"KRONIK_HEYNABO_CRON={config.heynabo_cron!r}: {error}"


class _Up:
    """The state of one start: what has been chosen, and the children."""

    def __init__(
        self,
        options: Options,
        config: UpSettings,
        directory: StateDirectory,
        say: Callable[[str], None],
        greet: Callable[[Started], None],
        environ: Mapping[str, str],
    ) -> None:
        self._options = options
        self._config = config
        self._directory = directory
        self._say = say
        self._greet = greet
        self._environ = environ
        self._secrets = credentials.load_secrets(directory)
        self._ports = credentials.load_ports(directory)
        self._addresses = self._choose_addresses()
        self._staging = Staging(directory.nats)
        self._supervisor = Supervisor(directory, say)
        self._token: str | None = None
        self._watching: list[asyncio.Task[None]] = []

    def _choose_addresses(self) -> Addresses:
        config, ports, secrets = self._config, self._ports, self._secrets
        wanted = config.port if self._options.port is None else self._options.port
        if wanted and (why := port.refusal(wanted)):
            raise StartFailed(
                f"port {wanted} on {port.LOOPBACK} {why}; choose another with --port N, or --port 0 for any"
            )

        def nats_url(user: str) -> str:
            return config.nats_url or nats_users.url(user, secrets.nats[user], ports.nats)

        return Addresses(
            nats_url=nats_url,
            database_url=config.database_url or postgres_server.url(ports.postgres, password=secrets.postgres),
            api_port=wanted or ports.api,
            heynabo_url=None if config.heynabo_url else f"http://{port.LOOPBACK}:{ports.sandbox}",
        )

    async def run(self) -> None:
        told_to_stop = self._listen_for_signals()
        self._watch(LogWatch(self._directory.logs, self._say).run())
        try:
            await _first_of(self._start(), self._give_up_when_hopeless(), told_to_stop.wait())
            if not told_to_stop.is_set():
                await told_to_stop.wait()
        finally:
            for task in self._watching:
                task.cancel()
            ready.withdraw(self._directory, self._options.ready_file)
            await self._drain()
            self._staging.leave()

    def _watch(self, forever: Coroutine[Any, Any, None]) -> None:
        self._watching.append(asyncio.create_task(forever))

    def _listen_for_signals(self) -> asyncio.Event:
        """The first one drains, the second one kills."""
        told = asyncio.Event()

        def on_signal() -> None:
            if told.is_set():
                self._supervisor.hurry.set()
            else:
                self._say("stopping; once more to stop at once")
            told.set()

        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(signum, on_signal)
        return told

    async def _start(self) -> None:
        await asyncio.gather(self._start_nats(), self._start_postgres())
        async with self._provisioner() as connection:
            await asyncio.gather(provision(connection, self._config.replicas), self._migrate())
            demo = await self._fill_demo() if self._options.demo else None
            token = self._token = await self._admin_token()
            self._start_services()
            await self._wait_until_everything_answers(connection, token)
        await self._announce(token, demo)

    async def _start_nats(self) -> None:
        if self._config.nats_url:
            return
        config_file = self._directory.nats_config
        config_file.touch(mode=0o600)
        config_file.write_text(
            nats_server.config(port=self._ports.nats, store=self._directory.nats, accounts=nats_server.INCLUDED)
        )
        bus.embedded(self._directory, self._secrets, self._ports.nats).write()
        self._supervisor.start(nats_server.command(config_file, self._staging))
        await nats_server.wait_ready(self._ports.nats)
        self._watch(self._staging.keep())

    async def _start_postgres(self) -> None:
        if self._config.database_url:
            return
        data, password = self._directory.postgres, self._secrets.postgres
        opened = await asyncio.to_thread(postgres_server.initialise, data, password)
        for directory in opened:
            self._say(f"{directory} can now be passed through by all users (chmod o+x): Postgres does not run as root")
        self._supervisor.start(postgres_server.command(data, self._ports.postgres))
        await postgres_server.wait_ready(self._ports.postgres, password)

    @asynccontextmanager
    async def _provisioner(self) -> AsyncIterator[Client]:
        connection = await reach.connect(self._addresses.nats_url(nats_users.PROVISIONER), "up", _ANSWERS_WITHIN_S)
        try:
            yield connection
        finally:
            await nats_connection.close(connection)

    async def _migrate(self) -> None:
        await migrations.migrate(self._addresses.database_url)

    async def _fill_demo(self) -> str | None:
        """A made-up community, unless there is one, made up or real."""
        from services.dining import demo, statements

        connection = await asyncpg.connect(self._config.dining_database_url or self._addresses.database_url)
        try:
            if not await connection.fetchval(statements.load("demo/is_empty")):
                return None
            return str(await demo.fill(connection, now=SystemClock(self._config.clock_file).now()))
        finally:
            await connection.close()

    async def _admin_token(self) -> str:
        token = await entrance.admin_token(self._addresses.database_url, self._secrets)
        if token != self._secrets.token:
            credentials.keep_token(self._directory, self._secrets, token)
        return token

    def _start_services(self) -> None:
        if self._addresses.heynabo_url is not None:
            self._supervisor.start(children.sandbox(self._ports.sandbox))
        for command in children.services(self._addresses, self._environ):
            self._supervisor.start(command)

    async def _wait_until_everything_answers(self, connection: Client, token: str) -> None:
        from services.stack import readiness  # an HTTP client is loaded while the services load

        try:
            async with asyncio.timeout(_READY_WITHIN_S):
                await asyncio.gather(
                    readiness.wait_for_api(self._addresses.url, token),
                    readiness.wait_for_runner(connection, len(settings.job_modules(self._config.jobs))),
                )
                await readiness.until(lambda: self._supervisor.settled(SERVICES))
        except TimeoutError:
            raise StartFailed(
                f"not everything answered within {_READY_WITHIN_S:g} s; see the logs in {self._directory.logs}"
            ) from None

    async def _give_up_when_hopeless(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            for name, deaths in self._supervisor.deaths().items():
                if deaths >= _HOPELESS_DEATHS or self._supervisor.refused(name):
                    raise StartFailed(f"{name} does not start:\n{_last_lines(self._directory.logs / f'{name}.log')}")

    async def _announce(self, token: str, demo: str | None) -> None:
        found = ready.Ready(
            url=self._addresses.url,
            token=token,
            nats_url=self._addresses.nats_url(nats_users.OPERATOR),
            database_url=self._addresses.database_url,
        )
        path = await entrance.sign_in_path(self._addresses.database_url)
        ready.announce(self._directory, found, self._options.ready_file)
        self._greet(Started(ready=found, sign_in_url=f"{found.url}{path}", directory=self._directory.root, demo=demo))

    async def _drain(self) -> None:
        """Runs may finish, with everything they need still there."""
        if self._token is not None:
            await self._say_what_is_waited_for(self._token)
        await self._supervisor.stop(SERVICES, self._config.grace_s + _SERVICE_GRACE_S)
        await self._supervisor.stop((SANDBOX,), _SERVICE_GRACE_S)
        await self._supervisor.stop((NATS, POSTGRES), _SERVER_GRACE_S)

    async def _say_what_is_waited_for(self, token: str) -> None:
        from services.stack import readiness

        if runs := await readiness.executing(self._addresses.url, token):
            jobs = ", ".join(f"{count} {'run' if count == 1 else 'runs'} of {job}" for job, count in runs.items())
            self._say(f"waiting for {jobs}, up to {self._config.grace_s:g} s")


async def _first_of(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Wait for the first to return or raise; the others are cancelled."""
    tasks = [asyncio.ensure_future(each) for each in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _last_lines(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return "(it said nothing)"
