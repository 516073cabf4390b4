"""`kronik rebuild`, `kronik verify`: the history and the events it is made of."""

from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from services.api.history import rebuild as rebuilding
from services.api.history import verify as verifying
from services.api.history.rebuild import RebuildReport
from services.api.history.verify import Difference, VerifyReport
from services.cli import target, terminal
from services.cli.api import Unreachable
from services.infra import logs
from services.infra.lifecycle import run_until_ctrl_c
from services.log.event_reader import ReaderLost
from services.stack import reach

_ANSWERS_WITHIN_S = 10.0
_SHOWN = 20

T = TypeVar("T")


def rebuild_command(*, json: terminal.AsJson = False) -> int:
    """Build the history anew from the first event, while the present one is served, and put it in its place.

    No job runs because of it. It can be interrupted and started again; two at once are refused (exit status 1).
    """
    to = target.find()
    nats_url, database_url = to.nats(), to.database()
    with _progress(quiet=json) as bar:
        task = bar.add_task("connecting", total=1)

        def tell(now: rebuilding.Progress) -> None:
            bar.update(task, description=now.phase, completed=now.sequence, total=now.last)

        report = _talk(nats_url, rebuilding.rebuild(nats_url, database_url, tell))
    if json:
        terminal.print_json(report)
    else:
        _print_rebuilt(report)
    return 0


def verify_command(*, json: terminal.AsJson = False) -> int:
    """Fold the stream afresh and compare it row by row with the history that is served. It writes nothing.

    Exit status 1 where they differ; the differences are listed.
    """
    to = target.find()
    nats_url, database_url = to.nats(), to.database()
    with _progress(quiet=json) as bar:
        task = bar.add_task("connecting", total=1)

        def tell(now: verifying.Progress) -> None:
            bar.update(task, description=now.phase, completed=now.position, total=now.total)

        report = _talk(nats_url, verifying.verify(nats_url, database_url, tell))
    if json:
        terminal.print_json(report)
    else:
        _print_verified(report)
    return 0 if report.ok else 1


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
        f"{report.runs:,} runs from events {report.first:,} to {report.last:,} in {report.seconds:.1f} s"
        f" ({report.events_per_s:,.0f} events/s)"
    )
    if report.carried_over:
        terminal.print_line(f"{report.carried_over:,} runs are older than the stream and were carried over")
    if report.parked:
        terminal.print_line(f"{report.parked:,} events can't be read and are parked")
    if report.mismatch:
        terminal.print_line(f"the history until now was not of this stream: {report.mismatch}")
    differences = {"added": report.added, "changed": report.changed, "removed": report.removed}
    found = ", ".join(f"{count:,} {name}" for name, count in differences.items() if count)
    terminal.print_line(f"against the history until now: {found or 'no difference'}")


def _print_verified(report: VerifyReport) -> None:
    terminal.print_line(
        f"{report.runs:,} runs compared with events {report.first:,} to {report.last:,} in {report.seconds:.1f} s"
    )
    if report.too_old:
        terminal.print_line(f"{report.too_old:,} runs are older than the stream and can't be compared")
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
