"""`kronik rebuild`, `kronik verify`: the history and the events it is made of."""

import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import Any, TypeAlias, TypeVar

import asyncpg
import httpx
import msgspec
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from services.api.history import tables, work
from services.api.history import verify as verifying
from services.api.history.rebuild import RebuildReport
from services.api.history.verify import Difference, VerifyReport
from services.api.history.work import Kind
from services.cli import target, terminal
from services.cli.api import Api, Refused, Unreachable, client_of
from services.infra import logs
from services.infra.lifecycle import run_until_ctrl_c
from services.log.event_reader import ReaderLost
from services.stack import reach

_ANSWERS_WITHIN_S = 10.0
_SHOWN = 20

_LOOK_S = 0.3
_OK, _NONE_YET = 200, 409

T = TypeVar("T")
R = TypeVar("R", RebuildReport, VerifyReport)
Tell: TypeAlias = Callable[[str, int, int], None]


def rebuild_command(*, json: terminal.AsJson = False) -> int:
    """Build the history anew from the first event, while the present one is served, and put it in its place.

    Where an API runs it does the work, and can be watched; where none does, this command does. No job runs because of
    it. It can be interrupted and started again; two at once are refused (exit status 1).
    """
    report = _perform("rebuild", RebuildReport, quiet=json)
    if json:
        terminal.print_json(report)
    else:
        _print_rebuilt(report)
    return 0


def verify_command(*, json: terminal.AsJson = False) -> int:
    """Fold the stream afresh and compare it row by row with the history that is served. It writes nothing.

    Exit status 1 where they differ; the differences are listed.
    """
    report = _perform("verify", VerifyReport, quiet=json)
    if json:
        terminal.print_json(report)
    else:
        _print_verified(report)
    return 0 if report.ok else 1


def _perform(kind: Kind, report: type[R], *, quiet: bool) -> R:
    """By the API, where one answers that lets us; otherwise here. Raises Refused where one is running already."""
    to = target.find_starting()
    with _progress(quiet=quiet) as bar:
        task = bar.add_task("connecting", total=1)

        def tell(phase: str, done: int, total: int) -> None:
            bar.update(task, description=phase, completed=done, total=total)

        if (api := _answering(to)) is not None:
            with closing(api):
                return msgspec.json.decode(_by_api(Api(api), kind, tell), type=report)
        found = _talk(to.nats(), _alone(kind, to.nats(), to.database(), tell))
        assert isinstance(found, report)
        return found


def _answering(to: target.Target) -> httpx.Client | None:
    if to.url is None or to.token is None:
        return None
    client = client_of(to.url, {"Authorization": f"Bearer {to.token}"}, _ANSWERS_WITHIN_S)
    try:
        if client.get("/api/admin/history/rebuild").status_code in (_OK, _NONE_YET):
            return client
    except httpx.HTTPError:
        pass
    client.close()
    return None


def _by_api(api: Api, kind: Kind, tell: Tell) -> bytes:
    """The report as JSON. Ctrl-C cancels. Raises Refused, Unreachable."""
    path = f"/api/admin/history/{kind}"
    begun = api.post(path, {})
    try:
        while (now := api.get(path))["id"] == begun["id"] and now["state"] in ("running", "waiting"):
            tell(now["phase"], now["position"], now["total"])
            time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        api.delete(path)
        raise
    if now["state"] != "done":
        raise Refused(f"the {kind} ended without a result: {now['problem'] or now['state']}")
    return msgspec.json.encode(now["report"])


async def _alone(kind: Kind, nats_url: str, dsn: str, tell: Tell) -> RebuildReport | VerifyReport:
    def also(now: work.Progress) -> None:
        if isinstance(now, verifying.Progress):
            tell(now.phase, now.position, now.total)
        else:
            tell(now.phase, now.sequence, now.last)

    connection = await tables.connect(dsn)
    try:
        id = await work.begin(connection, kind, "kronik")
    finally:
        connection.terminate()
    if kind == "verify":
        return await work.perform_verify(nats_url, dsn, id, also=also)
    return await work.perform_rebuild(nats_url, dsn, id, also=also)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.completed / task.elapsed:,.0f}/s" if task.elapsed else "", style="cyan")


def _progress(*, quiet: bool) -> Progress:
    columns = (
        TextColumn("{task.description:<11}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} events"),
        _Rate(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=terminal.err, transient=True, disable=quiet or not terminal.err.is_terminal)


def _print_rebuilt(report: RebuildReport) -> None:
    terminal.print_line(
        f"{terminal.runs(report.runs)} from events {report.first:,} to {report.last:,} in {report.seconds:.1f} s"
        f" ({report.events_per_s:,.0f} events/s)"
    )
    if report.carried_over:
        terminal.print_line(f"older than the stream and carried over: {terminal.runs(report.carried_over)}")
    if report.parked:
        terminal.print_line(f"{report.parked:,} events can't be read and are parked")
    if report.mismatch:
        terminal.print_line(f"the history until now was not of this stream: {report.mismatch}")
    differences = {"added": report.added, "changed": report.changed, "removed": report.removed}
    found = ", ".join(f"{count:,} {name}" for name, count in differences.items() if count)
    terminal.print_line(f"against the history until now: {found or 'no difference'}")
    if report.fields:
        terminal.print_line("changed: " + ", ".join(f"{field} in {count:,}" for field, count in report.fields.items()))


def _print_verified(report: VerifyReport) -> None:
    compared = f"{terminal.runs(report.runs)} compared with events {report.first:,} to {report.last:,}"
    terminal.print_line(f"{compared} in {report.seconds:.1f} s")
    if report.too_old:
        terminal.print_line(f"older than the stream, and not to be compared: {terminal.runs(report.too_old)}")
    for difference in report.differences[:_SHOWN]:
        terminal.print_line(Text(_describe(difference), style="red"))
    if len(report.differences) > _SHOWN:
        terminal.print_line("... (all of them with --json)")
    terminal.print_line(f"{report.differing:,} rows differ" if report.differing else "no difference")


def _describe(difference: Difference) -> str:
    row = f"{difference.table} {difference.id}"
    if difference.kind != "changed":
        return f"{row} is {difference.kind}"
    return f"{row}: {difference.field} is served as {difference.served!r}, the events say {difference.folded!r}"


def _talk(nats_url: str, work: Coroutine[Any, Any, T]) -> T:
    """Run it, with servers that are away as Unreachable."""
    logs.configure("cli", log_format="console", level="error")
    try:
        return run_until_ctrl_c(_checked(nats_url, work))
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
        raise Unreachable(f"Postgres does not answer: {error}") from error
    except ReaderLost as lost:
        raise Unreachable(f"NATS went away: {lost}") from lost


async def _checked(nats_url: str, work: Coroutine[Any, Any, T]) -> T:
    """The services wait for NATS as long as it takes; a person wants to know."""
    try:
        await (await reach.connect(nats_url, "kronik-cli", _ANSWERS_WITHIN_S)).close()
    except BaseException:
        work.close()
        raise
    return await work
