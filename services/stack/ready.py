"""The ready file: how scripts and the other commands reach a running `kronik up`."""

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from services.stack import state
from services.stack.state import Process, StateDirectory


class Ready(Struct, frozen=True, kw_only=True, rename="camel"):
    """url: of the API. token: of an admin. nats_url: with an operator's credentials in it."""

    url: str
    token: str
    nats_url: str
    database_url: str


class Running(Ready, frozen=True, kw_only=True):
    """The state directory's own copy, which also tells whether that `up` still lives."""

    up: Process


def announce(directory: StateDirectory, ready: Ready, extra: Path | None) -> None:
    """Write the state directory's copy and, if asked for, one at `extra`. Raises StateUnusable."""
    fields = {name: getattr(ready, name) for name in ready.__struct_fields__}
    state.write(directory.ready, Running(**fields, up=state.this_process("up", os.getpid())))
    if extra is not None:
        state.write(extra, ready)


def withdraw(directory: StateDirectory, extra: Path | None) -> None:
    """Remove what announce() wrote."""
    directory.ready.unlink(missing_ok=True)
    if extra is not None:
        extra.unlink(missing_ok=True)


def find(directory: StateDirectory) -> Running | None:
    """The `up` that runs on this state directory now. Raises StateUnusable."""
    running = state.read(directory.ready, Running)
    return running if running is not None and running.up.find() is not None else None


def state_directory(environ: Mapping[str, str] = os.environ) -> StateDirectory:
    """KRONIK_STATE_DIR, or `.kronik` in the working directory."""
    return StateDirectory(Path(environ.get("KRONIK_STATE_DIR") or ".kronik"))
