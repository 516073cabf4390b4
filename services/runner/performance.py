"""Doing the job: the function called with its time limit, and what came of it as a value.

Exceptions are surprises of the job, not of the runner: everything a job can do, from sys.exit() in one of its tasks
to ignoring its cancellation, ends here as an Outcome. A result that was returned counts, also where a stop, a timeout
or a cancel came in between, unless the job had seen it.
"""

import asyncio
import contextvars
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kronik import Job, Params

from services.runner import exits, voices
from services.runner.context import Context
from services.runner.outcome import (
    EXITS,
    Ignored,
    JobExited,
    Outcome,
    Raised,
    Stopped,
    TimedOut,
    as_raised,
    as_result,
    exited,
    timed_out,
)


async def perform(
    job: Job, params: Params, context: Context, stop: asyncio.Event, threads: ThreadPoolExecutor, grace_s: float
) -> Outcome:
    """Call the job until it returns, raises, takes too long or `stop` is set. Never raises."""
    left = exits.watch(context)
    task = asyncio.create_task(_call(job, params, context, threads))
    stopped = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait(
            {task, stopped, left}, timeout=job.timeout.total_seconds(), return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        stopped.cancel()
    if task in done:
        return _outcome(job, task)
    context.cancel()
    over = await _end(task, grace_s)
    if left.done():
        return _exited(job, left.result()) if over else Ignored("raised an exit in one of its tasks")
    late = stopped not in done
    if not over:
        return Ignored(timed_out(job) if late else "was told to stop")
    if not (context.saw_its_end or task.cancelled() or task.exception()):
        return as_result(task.result())
    return TimedOut(job.timeout) if late else Stopped()


async def _call(job: Job, params: Params, context: Context, threads: ThreadPoolExecutor) -> Any:
    voices.speaker.set(context)
    if not inspect.iscoroutinefunction(job.function):
        return await _in_thread(job, params, context, threads)
    try:
        with exits.only_here():
            return await job.function(context, params)
    except EXITS as error:
        raise exited(error) from error
    except asyncio.CancelledError:
        context.saw_its_end = True
        raise


async def _in_thread(job: Job, params: Params, context: Context, threads: ThreadPoolExecutor) -> Any:
    """A thread can't be cancelled, so the task lasts as long as the thread does."""

    def call() -> Any:
        try:
            with exits.only_here():
                return job.function(context, params)
        except EXITS as error:
            raise exited(error) from error

    # In a copy of this task's context: what a job sets in it is not seen by the thread's next one.
    future = asyncio.get_running_loop().run_in_executor(threads, contextvars.copy_context().run, call)
    while True:
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if future.done():
                raise


async def _end(task: asyncio.Task[Any], grace_s: float) -> bool:
    """Cancel the task and give it the grace; whether it is over."""
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=grace_s)
    if done and not task.cancelled():
        task.exception()  # seen, so that asyncio does not complain
    return bool(done)


def _outcome(job: Job, task: asyncio.Task[Any]) -> Outcome:
    if task.cancelled():
        return Raised("the job cancelled itself", "CancelledError")
    error = task.exception()
    return as_result(task.result()) if error is None else as_raised(job, error)


def _exited(job: Job, error: BaseException) -> Raised:
    problem = exited(error)
    problem.__cause__ = error
    return as_raised(job, problem)


__all__ = ["JobExited", "perform"]
