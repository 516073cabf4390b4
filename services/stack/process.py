"""What a child process is started with, so that it never outlives us where the system can see to that."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Command(Struct, frozen=True, kw_only=True):
    """How to start one process and how to end it.

    user: a system user to run as, for those that refuse to be root; only root may name one.
    env: added to our own environment. stop_signal: asks it to finish and exit.
    prepare: called before every start; may block.
    death_signal: what the kernel sends it should we die first (Linux; elsewhere the next start cleans up).
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = {}
    user: str | None = None
    prepare: Callable[[], None] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL


def popen_options(command: Command) -> dict[str, Any]:
    """Keyword arguments for `Popen` and `create_subprocess_exec`. Start it from the main thread: the kernel takes
    the end of the thread that forked for the parent's death."""
    return {
        "env": {**os.environ, **command.env},
        # A session of its own: Ctrl-C is for the parent, which stops its children in order.
        "start_new_session": True,
        "preexec_fn": _die_with_parent(command.death_signal),
        **({} if command.user is None else {"user": command.user, "group": command.user, "extra_groups": []}),
    }


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """To be called between fork and exec, after the switch of user (which clears the setting)."""
    if _libc is None:
        return None
    prctl, parent = _libc.prctl, os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return arrange
