"""How tasks end, and how they wait."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")

_AGAIN_AFTER_S = 0.1


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Wait for it, so long at most; whether it is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await event.wait()
    return event.is_set()


async def end(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel the tasks and wait until all have ended; what they raise is dropped.

    One cancellation may be lost: on Python 3.11 `asyncio.wait_for`, which nats-py is full of, returns as if nothing
    had happened when what it waits for completes at that moment. So it is repeated until it is heard.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=_AGAIN_AFTER_S)
        for task in done:
            if not task.cancelled():
                task.exception()


def run_until_ctrl_c(work: Coroutine[Any, Any, T]) -> T:
    """asyncio.run for commands: the first Ctrl-C ends the work in order, the second at once.

    Raises KeyboardInterrupt for either. asyncio.run by itself cancels only once, which may be lost: see end().
    """
    done = asyncio.run(_until_ctrl_c(work))
    if done is None:
        raise KeyboardInterrupt
    return done.result()


async def _until_ctrl_c(work: Coroutine[Any, Any, T]) -> asyncio.Future[T] | None:
    """The finished work; None where Ctrl-C came first."""
    loop, pressed = asyncio.get_running_loop(), asyncio.Event()

    def press() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        pressed.set()

    loop.add_signal_handler(signal.SIGINT, press)
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(pressed.wait())
    await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
    finished = None if pressed.is_set() else working
    await end((working, waiting))
    return finished
