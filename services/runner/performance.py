"""Doing the job: the function called with its time limit, and what came of it as a value.

Exceptions are surprises of the job, not of the runner: everything a job can do, from sys.exit() in one of its tasks
to ignoring its cancellation, ends here as an Outcome. A result that was returned counts, also where a stop, a timeout
or a cancel came in between, unless the job had seen it.
"""

import asyncio
import contextvars
import inspect
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from kronik import Job, Params
from kronik.job import JobFunction

from services.runner import exits
from services.runner.context import Context
from services.runner.outcome import (
    EXITS,
    Ignored,
    JobExited,
    Outcome,
    Raised,
    Returned,
    Stopped,
    TimedOut,
    as_raised,
    as_result,
    timed_out,
)
from services.runner.outcome import exited as exit_of
from services.runner.stop import Stop

_CANCELLED_ITSELF = Raised("the job cancelled itself", "CancelledError")


async def perform(
    job: Job, params: Params, context: Context, stop: Stop, threads: ThreadPoolExecutor, grace_s: float
) -> Outcome:
    """Call the job until it returns, raises, takes too long or is to stop. Never raises."""
    loop = asyncio.get_running_loop()
    enough = loop.create_future()
    exit: BaseException | None = None

    def end(_: object = None) -> None:
        if not enough.done():
            enough.set_result(None)

    def exited(error: BaseException) -> None:
        nonlocal exit
        exit = exit or error
        end()

    context.exited = exited
    task = exits.begin(_call(job, params, context, threads), context)
    task.add_done_callback(end)
    stop.tell(end)
    timer = loop.call_later(job.timeout.total_seconds(), end)
    try:
        await enough
    finally:
        timer.cancel()
    if task.done():
        return _outcome(task)
    late = not stop.said
    context.cancel()
    over = await _end(task, grace_s)
    if exit is not None:
        return as_raised(job, exit_of(exit)) if over else Ignored("raised an exit in one of its tasks")
    if not over:
        return Ignored(timed_out(job) if late else "was told to stop")
    if not context.saw_its_end and isinstance(outcome := _outcome(task), Returned):
        return outcome
    return TimedOut(job.timeout) if late else Stopped()


async def _call(job: Job, params: Params, context: Context, threads: ThreadPoolExecutor) -> Outcome:
    if not _is_coroutine_function(job.function):
        return await _in_thread(job, params, context, threads)
    try:
        with exits.OnlyHere():
            return as_result(await job.function(context, params))
    except asyncio.CancelledError:
        context.saw_its_end = True
        raise
    except BaseException as error:
        return _raised(job, error)


@lru_cache
def _is_coroutine_function(function: JobFunction) -> bool:
    return inspect.iscoroutinefunction(function)


async def _in_thread(job: Job, params: Params, context: Context, threads: ThreadPoolExecutor) -> Outcome:
    """A thread can't be cancelled, so the task lasts as long as the thread does."""

    def call() -> Outcome:
        try:
            with exits.OnlyHere():
                return as_result(job.function(context, params))
        except BaseException as error:
            return _raised(job, error)

    # In a copy of this task's context: what a job sets in it is not seen by the thread's next one.
    future = asyncio.get_running_loop().run_in_executor(threads, contextvars.copy_context().run, call)
    while True:
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if future.done():
                raise


async def _end(task: asyncio.Task[Outcome], grace_s: float) -> bool:
    """Cancel the task and give it the grace; whether it is over."""
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=grace_s)
    return bool(done)


def _outcome(task: asyncio.Task[Outcome]) -> Outcome:
    return _CANCELLED_ITSELF if task.cancelled() else task.result()


def _raised(job: Job, error: BaseException) -> Raised:
    """In the job's own thread, where it has one: however long its words take, they hold up nobody."""
    if isinstance(error, asyncio.CancelledError):
        return _CANCELLED_ITSELF
    return as_raised(job, exit_of(error) if isinstance(error, EXITS) else error)


__all__ = ["JobExited", "perform"]
