"""What a job might do to the loop that all jobs share: it is that job's own failure, and nobody else's.

asyncio lets SystemExit and KeyboardInterrupt out of the event loop from whatever task or callback raised them. The
loop is entered again, which loses nothing, and the attempt that the task belongs to is told. Nor is the loop a job's to
stop or to furnish anew, or another's task its to cancel.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NoReturn, Protocol, cast

import uvloop

from services.infra import logs
from services.runner import voices
from services.runner.outcome import JobExited

log = logs.get()

Exit = SystemExit | KeyboardInterrupt
end_process = os._exit
"""The real one."""


class Attempt(voices.Speaker, Protocol):
    """An attempt in this process. exited: told of every task of it that has ended with an exit."""

    exited: Callable[[Exit], object]


def refuse_in_jobs() -> None:
    """os._exit() of a job in this process, too, is an exception of that job; in what it forks it is what it was."""

    def exit_unless_in_a_job(status: int) -> NoReturn:
        if voices.current() is not None:
            raise JobExited(f"the job called os._exit({status})")
        end_process(status)

    os._exit = exit_unless_in_a_job


class OnlyHere:
    """A child that a job forked and that comes back out of the job ends: it has the runner's sockets in its hands."""

    __slots__ = ("_pid",)

    def __enter__(self) -> None:
        self._pid = os.getpid()

    def __exit__(self, *_: object) -> None:
        if os.getpid() != self._pid:
            end_process(0)


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


class OwnedTask(asyncio.Task[Any]):
    """A task of one attempt, or of the runner.

    No other attempt's code can cancel it, as `for task in asyncio.all_tasks(): task.cancel()` would.
    """

    owner: Attempt | None = None

    def cancel(self, msg: Any | None = None) -> bool:
        asking = voices.current()
        return (asking is None or asking is self.owner) and super().cancel(msg)


class SharedLoop(uvloop.Loop):
    """A loop that is not a job's to stop, to close or to furnish anew: all of them and the runner live in it."""

    def stop(self) -> None:
        if not _by_a_job("stop"):
            super().stop()

    def close(self) -> None:
        if not _by_a_job("close"):
            super().close()

    def set_task_factory(self, factory: Any) -> None:
        if not _by_a_job("set_task_factory"):
            super().set_task_factory(factory)

    def set_exception_handler(self, handler: Any) -> None:
        if not _by_a_job("set_exception_handler"):
            super().set_exception_handler(handler)

    def set_default_executor(self, executor: Any) -> None:
        if not _by_a_job("set_default_executor"):
            super().set_default_executor(executor)

    async def shutdown_asyncgens(self) -> None:
        if not _by_a_job("shutdown_asyncgens"):
            await super().shutdown_asyncgens()

    async def shutdown_default_executor(self, *given: Any) -> None:
        if not _by_a_job("shutdown_default_executor"):
            await super().shutdown_default_executor(*given)


def _by_a_job(call: str) -> bool:
    if voices.current() is None:
        return False
    log.warning("job_reached_for_the_loop", call=call)
    return True


def begin(coroutine: Coroutine[Any, Any, Any], attempt: Attempt | None = None) -> OwnedTask:
    """A task of the runner, or an attempt's first one, which lets no exit out. Made a thousand times at once: what the
    loop would do for it beyond this costs as much as the task."""
    if attempt is None:
        return OwnedTask(coroutine, loop=asyncio.get_running_loop(), name="delivery")
    task = OwnedTask(coroutine, loop=asyncio.get_running_loop(), name="job", context=voices.of(attempt))
    task.owner = attempt
    return task


def _watched(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
    task = OwnedTask(coroutine, loop=loop, **options)
    context = options.get("context")
    task.owner = cast("Attempt | None", context.run(voices.current) if context else voices.current())
    if task.owner is not None:
        task.add_done_callback(partial(_ended, task.owner))
    return task


def _ended(attempt: Attempt, task: asyncio.Task[Any]) -> None:
    # Not exception(), by which asyncio would believe that somebody has seen it.
    error = getattr(task, "_exception", None)
    if isinstance(error, Exit):
        attempt.exited(error)
