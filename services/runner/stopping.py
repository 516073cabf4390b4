"""SIGTERM and SIGINT: heard while a job holds the event loop, obeyed in bounded time, and not inherited by children.

A process that a job forks has the runner's handlers and, worse, the runner's wakeup descriptor: a signal sent to the
child would stop the runner. So a forked child gets the defaults back before it does anything else.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable

import psutil

from services.infra import logs
from services.runner import exits

log = logs.get()

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_BEYOND_DRAINING_S = 5.0
_ours: list[Callable[..., None]] = []


def on_signal(loop: asyncio.AbstractEventLoop, stop: Callable[[], None], grace_s: float, status: int) -> None:
    """Call `stop` in the loop at the first signal.

    Where the loop does not come to it within the grace, or has not ended after two, the process ends with `status`:
    its runs are then handed to another runner, as those of one that died.
    """
    heard = threading.Event()

    def in_the_loop() -> None:
        heard.set()
        stop()

    def watch() -> None:
        if not heard.wait(grace_s):
            _end("event_loop_blocked_for_good", status)
        # One grace for the jobs to end by themselves, one for those that were told to.
        threading.Event().wait(2 * grace_s + _BEYOND_DRAINING_S)
        _end("draining_took_too_long", status)

    def handle(*_: object) -> None:
        if not threads:
            threads.append(threading.Thread(target=watch, name="stopping", daemon=True))
            threads[0].start()
        loop.call_soon_threadsafe(in_the_loop)

    threads: list[threading.Thread] = []
    # Not loop.add_signal_handler: its callback waits for the loop, which a job may hold.
    _ours.append(handle)
    keep()
    # Held back meanwhile: a child that is told to stop before it has the defaults would swallow it.
    os.register_at_fork(before=_hold_back, after_in_parent=_let_through, after_in_child=_begin_anew)


def keep() -> None:
    """To be called now and then in the main thread: a job's library may have put its own handlers in our place."""
    for signum in _SIGNALS:
        if _ours and signal.getsignal(signum) is not _ours[-1]:
            signal.signal(signum, _ours[-1])


def _end(event: str, status: int) -> None:
    log.error(event, status=status)
    end_children()
    exits.end_process(status)


def end_children() -> None:
    """Kill what jobs started and left behind: it must not outlive the runner that answers for it."""
    with contextlib.suppress(psutil.Error, OSError):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()


_held_back = threading.local()


def _hold_back() -> None:
    _held_back.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _let_through() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _held_back.mask)


def _begin_anew() -> None:
    defaults()
    _let_through()


def defaults() -> None:
    """What a new process of a job starts with."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
