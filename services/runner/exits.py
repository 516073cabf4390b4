"""sys.exit() and KeyboardInterrupt in a job's own tasks: the failure of that job, and nobody else's.

asyncio lets these two out of the event loop from whatever task or callback raised them. The loop is entered again,
which loses nothing, and the attempt that the task belongs to is told.
"""

import asyncio
import contextlib
import os
import weakref
from collections.abc import Coroutine, Iterator
from functools import partial
from typing import Any, NoReturn

from services.infra import logs
from services.runner import voices
from services.runner.outcome import JobExited

log = logs.get()

Exit = SystemExit | KeyboardInterrupt
end_process = os._exit
"""The real one."""
_attempts: "weakref.WeakKeyDictionary[object, asyncio.Future[Exit]]" = weakref.WeakKeyDictionary()


def refuse_in_jobs() -> None:
    """os._exit() of a job in this process, too, is an exception of that job; in what it forks it is what it was."""

    def exit_unless_in_a_job(status: int) -> NoReturn:
        if voices.current() is not None:
            raise JobExited(f"the job called os._exit({status})")
        end_process(status)

    os._exit = exit_unless_in_a_job


@contextlib.contextmanager
def only_here() -> Iterator[None]:
    """A child that a job forked and that comes back out of the job ends: it has the runner's sockets in its hands."""
    pid = os.getpid()
    try:
        yield
    finally:
        if os.getpid() != pid:
            end_process(0)


def watch(attempt: object) -> asyncio.Future[Exit]:
    """Done as soon as one of the attempt's tasks has ended with an exit."""
    future: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
    _attempts[attempt] = future
    return future


def run(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, Any]) -> None:
    """Run `main` to its end in this loop, whatever exits are raised in the tasks beside it."""
    loop.set_task_factory(_watched)  # type: ignore[arg-type]
    task = loop.create_task(main)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt, RuntimeError) as error:  # RuntimeError: somebody stopped the loop
            if task.done() or loop.is_closed():
                raise
            log.warning("exit_left_the_loop", error=repr(error))


def _watched(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
    task = asyncio.Task(coroutine, loop=loop, **options)
    if (speaking := voices.current()) is not None:
        task.add_done_callback(partial(_ended, speaking))
    return task


def _ended(attempt: object, task: asyncio.Task[Any]) -> None:
    # Not exception(), by which asyncio would believe that somebody has seen it.
    error = getattr(task, "_exception", None)
    future = _attempts.get(attempt)
    if isinstance(error, Exit) and future is not None and not future.done():
        future.set_result(error)
