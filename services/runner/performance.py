"""Doing the job: the function called with its time limit, and what came of it as a value.

Exceptions are surprises of the job, not of the runner: everything a job can do, from sys.exit() to
ignoring its cancellation, ends here as an Outcome.
"""

import asyncio
import inspect
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import msgspec
from kronik import Job, Params, PermanentError, codec
from kronik.text import clean, clean_traceback
from msgspec import Struct

from services.infra import logs
from services.runner.context import Context

log = logs.get()

RESULT_LIMIT = 256 * 1024
"""Bytes of JSON that a result may have: it must fit into an event with its warnings."""


class Returned(Struct, frozen=True):
    result: dict[str, Any] | None


class Raised(Struct, frozen=True):
    """permanent: trying again would not help."""

    error: str
    error_type: str
    permanent: bool = False
    traceback: str | None = None


class Stopped(Struct, frozen=True):
    """The job was cancelled from outside and is over; why is the canceller's knowledge."""


class TimedOut(Struct, frozen=True):
    after: timedelta


class Ignored(Struct, frozen=True):
    """The job went on past its cancellation and the grace: it may still be running in this process."""

    why: str


Outcome = Returned | Raised | Stopped | TimedOut | Ignored


_EXITS = (SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, StopAsyncIteration)


class JobExited(Exception):
    """A job called sys.exit() or raised KeyboardInterrupt, which would end the runner."""


async def perform(
    job: Job, params: Params, context: Context, stop: asyncio.Event, threads: ThreadPoolExecutor, grace_s: float
) -> Outcome:
    """Call the job until it returns, raises, takes too long or `stop` is set. Never raises."""
    task = asyncio.create_task(_call(job, params, context, threads))
    stopped = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait(
            {task, stopped}, timeout=job.timeout.total_seconds(), return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        stopped.cancel()
    if task in done:
        return _outcome(job, task)
    context.cancel()
    late = not stop.is_set()
    if not await _end(task, grace_s):
        return Ignored(timed_out(job) if late else "was told to stop")
    return TimedOut(job.timeout) if late else Stopped()


def timed_out(job: Job) -> str:
    """What the error of an attempt that took too long says."""
    return f"timed out after {job.timeout.total_seconds():g} s"


async def _call(job: Job, params: Params, context: Context, threads: ThreadPoolExecutor) -> Any:
    if not inspect.iscoroutinefunction(job.function):
        return await _in_thread(job, params, context, threads)
    try:
        return await job.function(context, params)
    except _EXITS as error:
        raise JobExited(f"the job raised {type(error).__name__}({error})") from error


async def _in_thread(job: Job, params: Params, context: Context, threads: ThreadPoolExecutor) -> Any:
    """A thread can't be cancelled, so the task lasts as long as the thread does."""

    def call() -> Any:
        try:
            return job.function(context, params)
        except _EXITS as error:
            raise JobExited(f"the job raised {type(error).__name__}({error})") from error

    future = asyncio.get_running_loop().run_in_executor(threads, call)
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
    if error is None:
        return as_result(task.result())
    log.warning("job_raised", job=job.job_type, exc_info=error)
    permanent = isinstance(error, (PermanentError, *job.retry.never))
    return Raised(describe(error), type(error).__name__, permanent, trace(error))


def as_result(value: object) -> Returned | Raised:
    """The job's return value as a JSON object. One that can't be is the job's defect: no retry would mend it."""
    try:
        encoded = msgspec.json.encode(value)
        plain = msgspec.json.decode(encoded)
    except (TypeError, ValueError, RecursionError, OverflowError, msgspec.MsgspecError) as error:
        return Raised(f"the result can't be written as JSON: {clean(str(error), 500)}", "InvalidResult", True)
    if codec.is_too_deep(encoded, codec.DEPTH_LIMIT - 2):
        return Raised(f"the result is nested deeper than {codec.DEPTH_LIMIT - 2} levels", "InvalidResult", True)
    if plain is not None and not isinstance(plain, dict):
        return Raised(f"the result must be a JSON object or None, got {type(value).__name__}", "InvalidResult", True)
    if len(encoded) > RESULT_LIMIT:
        return Raised(
            f"the result has {len(encoded)} bytes of JSON; at most {RESULT_LIMIT} are allowed", "InvalidResult", True
        )
    return Returned(plain)


def describe(error: BaseException) -> str:
    """The exception as one readable text, whatever its own __str__ does."""
    try:
        text = str(error)
    except Exception:
        text = "(its message can't be shown)"
    return clean(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def trace(error: BaseException) -> str | None:
    """Where the exception came from, with its causes and groups, from the job's own code on."""
    try:
        told = traceback.TracebackException.from_exception(error, compact=True)
        told.stack = traceback.StackSummary.from_list(frame for frame in told.stack if frame.filename != __file__)
        return clean_traceback("".join(told.format()))
    except Exception:
        return None
