"""`kronik up`."""

import asyncio
import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter, validators
from rich.text import Text

from services.cli import terminal
from services.cli.usage import BadUsage
from services.infra import logs
from services.stack import ready
from services.stack.up import Options, Started, up

PortOption = Annotated[int | None, Parameter(validator=validators.Number(gte=0, lte=65535))]


def up_command(
    *,
    port: PortOption = None,
    demo: bool = False,
    ready_file: Path | None = None,
    json: terminal.AsJson = False,
) -> int:
    """Start everything on this machine: NATS, Postgres, scheduler, runner, API, panel and a Heynabo sandbox.

    Ctrl-C or SIGTERM stops it all, letting runs finish. Data, secrets and logs are in KRONIK_STATE_DIR (default:
    .kronik here). With KRONIK_NATS_URL or KRONIK_DATABASE_URL set, those are used and none is started.

    Parameters
    ----------
    port
        Where API and panel listen (default: KRONIK_PORT, or 8080); 0 picks a free one.
    demo
        Fill the dining tables with a made-up community, if they are empty.
    ready_file
        Write {"url","token","natsUrl","databaseUrl"} there once everything answers.
    """
    if ready_file is not None and (ready_file.is_dir() or not ready_file.parent.is_dir()):
        raise BadUsage(f"--ready-file {ready_file}: expected a file in a directory that exists")
    logs.configure("up", log_format="console", level="error")
    options = Options(port=port, demo=demo, ready_file=ready_file)
    asyncio.run(up(options, ready.state_directory(), _say, _tell if json else greet))
    return 0


def _say(text: str) -> None:
    """Ctrl-C ends the `tee` of `kronik up 2>&1 | tee log` as well, and then no word may keep us from ending."""
    with contextlib.suppress(OSError):
        terminal.say(text)


def _tell(started: Started) -> None:
    """One line, once everything answers."""
    terminal.print_json({**msgspec.to_builtins(started.ready), "signInUrl": started.sign_in_url})
    sys.stdout.flush()


def greet(started: Started) -> None:
    found, kronik = started.ready, _our_command()
    terminal.print_line(Text("\nKronik is running. Ctrl-C stops it.\n", style="bold green"))
    for name, value in (
        *([("Demo", started.demo)] if started.demo else []),
        ("Panel", f"{found.url}/admin/system"),
        ("Sign in", f"{started.sign_in_url}   (works once, within an hour)"),
        ("Trigger", f"{kronik} trigger HEYNABO_IMPORT --wait"),
        ("  from NATS", f"eval \"$({kronik} service add crm --env)\"; nats pub jobs.trigger.HEYNABO_IMPORT.crm '{{}}'"),
        ("Watch", f"{kronik} tail   or   nats consumer report JOBS"),
        ("State", f"{started.directory}   (what each process says: logs/)"),
    ):
        terminal.print_line(Text.assemble((f"  {name:<13}", "bold"), value))
    terminal.print_line("")


def _our_command() -> str:
    """As it can be typed where this one was."""
    return "kronik" if shutil.which("kronik") else os.path.relpath(Path(sys.executable).parent / "kronik")
