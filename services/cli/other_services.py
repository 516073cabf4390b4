"""`kronik service`: the other services that may ask for runs, each let in under a name of its own."""

import asyncio
import shlex
import socket
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Annotated, Literal, TypeVar

from cyclopts import Parameter, validators
from kronik import subjects
from kronik.errors import InvalidName
from kronik.events import ServiceChanged
from msgspec import Struct

from services.cli import own_bus, terminal
from services.infra import logs
from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log import jetstream
from services.log.accounts import PROVISIONER, service_part
from services.log.append import Appended, EventLog, Expected
from services.stack import bus, reach
from services.stack.bus import Bus

T = TypeVar("T")

Queue = Annotated[int | None, Parameter(validator=validators.Number(gte=1, lt=2**31))]
Jobs = Annotated[tuple[str, ...], Parameter(negative="", consume_multiple=False)]
_ANSWERS_WITHIN_S = 5.0


class Credentials(Struct, frozen=True, kw_only=True, rename="camel"):
    """With what a service connects. inbox_prefix, js_api_prefix: those that every NATS client has by default."""

    nats_url: str
    user: str
    password: str
    inbox_prefix: str = "_INBOX"
    js_api_prefix: str = jetstream.PREFIX


class Listed(Struct, frozen=True):
    """queue: how many of its runs may wait at the same time; None: as many as it likes. runs: jobs that it runs."""

    name: str
    queue: int | None
    runs: tuple[str, ...]


def service_command(
    action: Literal["add", "list", "rotate", "remove"],
    name: str | None = None,
    *,
    queue: Queue = None,
    runs: Jobs = (),
    json: terminal.AsJson = False,
    env: bool = False,
) -> int:
    """Let another service ask for runs: it publishes jobs.trigger.<JOB>.NAME, and hears of runs on stored.jobs.run.>.

    Works on the NATS of the `kronik up` that runs here, without restarting it; where KRONIK_NATS_ACCOUNTS is set, on
    the cluster at KRONIK_NATS_URL whose servers include that file, with the passwords that `kronik nats-config` takes.

    Parameters
    ----------
    action
        add: a new one. list: those there are. rotate: a new password, the old one ends at once. remove: let it in no
        more.
    name
        The service's, [a-z][a-z0-9_-]{0,31}: its runs are triggeredBy SERVICE:NAME.
    queue
        How many of its runs may wait at the same time, at least one; by default as many as it likes.
    runs
        A job that it runs itself, for a runner of one's own: `kronik runner` with this address. Repeat it for more.
        It can't end, define or take the runs of any other job.
    env
        Print NATS_URL with its credentials, for a shell: eval "$(kronik service add NAME --env)".
    """
    logs.configure("service", log_format="console", level="error")
    target = own_bus.find()
    if action == "list":
        _print_list(asyncio.run(_listed(target)), json)
        return 0
    if name is None:
        raise InvalidName(f"kronik service {action} NAME: which service?")
    match action:
        case "add":
            _print_credentials(target, name, asyncio.run(_add(target, name, queue, runs)), json=json, env=env)
            _say_what_nobody_runs(runs, asyncio.run(_announced(target)) if runs else ())
        case "rotate":
            _print_credentials(target, name, asyncio.run(target.rotate(name)), json=json, env=env)
        case "remove":
            asyncio.run(_remove(target, name))
            terminal.say(f"{name} is let in no more")
    return 0


async def _add(target: Bus, name: str, queue: int | None, runs: tuple[str, ...]) -> str:
    """Its password. What it is granted is in the stream before it can use it."""
    service_part(name, runs)
    if name in target.known():
        raise bus.ServiceExists(f"there is a service {name} already; kronik service rotate {name} makes a new password")
    await _with_log(target, lambda log: _grant(log, name, ServiceChanged(queue=queue, removed=False)))
    return await target.add(name, runs)


async def _remove(target: Bus, name: str) -> None:
    await target.remove(name)
    await _with_log(target, lambda log: _grant(log, name, ServiceChanged(queue=None, removed=True)))


async def _listed(target: Bus) -> list[Listed]:
    known = target.known()

    async def queues(log: EventLog) -> Mapping[str, int | None]:
        found = {name: await log.last(subjects.service(name)) for name in sorted(known)}
        return {
            name: last.data.queue if last is not None and isinstance(last.data, ServiceChanged) else None
            for name, last in found.items()
        }

    return [Listed(name, queue, known[name].runs) for name, queue in (await _with_log(target, queues)).items()]


async def _grant(log: EventLog, name: str, change: ServiceChanged) -> None:
    """Where two commands change the same, the later one holds. Raises LogUnavailable, LogRefused."""
    subject = subjects.service(name)
    while True:
        last = await log.last(subject)
        expected = Expected(subject, last.sequence if last else 0)
        answer = await log.append(subject, change, id=uuid.uuid4().hex, expected=expected, about=name)
        if isinstance(answer, Appended):
            return


async def _announced(target: Bus) -> set[str]:
    """Every job that a runner has announced."""
    found = await _with_log(target, lambda log: log.last_of_each([subjects.DEFINITIONS]))
    return {one.subject.rpartition(".")[2] for one in found}


async def _with_log(target: Bus, do: Callable[[EventLog], Awaitable[T]]) -> T:
    connection = await reach.connect(target.url(PROVISIONER), "kronik-service", _ANSWERS_WITHIN_S)
    try:
        return await do(EventLog(connection, SystemClock(), f"/kronik/service/{socket.gethostname()}"))
    finally:
        await nats_connection.close(connection)


def _print_credentials(target: Bus, name: str, password: str, *, json: bool, env: bool) -> None:
    if env:
        terminal.print_line(f"export NATS_URL={shlex.quote(target.url(name, password))}")
        return
    if json:
        terminal.print_json(Credentials(nats_url=target.servers, user=name, password=password))
        return
    for label, value in (("NATS", target.servers), ("user", name), ("password", password)):
        terminal.print_line(f"{label:<9} {value}")
    does = "".join(f" and run {job}," for job in target.known()[name].runs)
    terminal.say(f"it may publish jobs.trigger.<JOB>.{name}{does.rstrip(',')}; the password is shown this once")


def _say_what_nobody_runs(runs: Sequence[str], announced: Collection[str]) -> None:
    """Somebody is the first to run a job, so what nobody has announced is no mistake, but it may be one."""
    if new := [job for job in runs if job not in announced]:
        known = ", ".join(sorted(announced)) or "nothing"
        terminal.say(f"no runner has announced {', '.join(new)} so far, but {known}")


def _print_list(services: list[Listed], json: bool) -> None:
    if json:
        terminal.print_json(services)
        return
    table = terminal.table("Service", "Queue", "Runs", right=("Queue",))
    for each in services:
        table.add_row(each.name, "–" if each.queue is None else str(each.queue), ", ".join(each.runs) or "–")
    terminal.out.print(table)
