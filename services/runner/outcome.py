"""What came of performing a job, as a value that can be stored, whatever the job returned or raised. No I/O."""

import contextlib
import math
import traceback
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
from kronik import Job, PermanentError, codec
from kronik.text import clean, clean_traceback
from msgspec import Struct

from services.infra import logs

log = logs.get()

RESULT_LIMIT = 256 * 1024
"""Bytes of JSON that a result may have: it must fit into an event with its warnings."""
EXITS = (SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, StopAsyncIteration)
_LEAVES_TOLD = 10


class Returned(Struct, frozen=True, tag=True):
    result: dict[str, Any] | None


class Raised(Struct, frozen=True, tag=True):
    """permanent: trying again would not help."""

    error: str
    error_type: str
    permanent: bool = False
    traceback: str | None = None


class Stopped(Struct, frozen=True, tag=True):
    """The job was cancelled from outside and is over; why is the canceller's knowledge."""


class TimedOut(Struct, frozen=True, tag=True):
    after: timedelta


class Ignored(Struct, frozen=True, tag=True):
    """The job went on past its cancellation and the grace: it may still be running in this process."""

    why: str


Outcome = Returned | Raised | Stopped | TimedOut | Ignored


class JobExited(Exception):
    """A job called sys.exit() or raised KeyboardInterrupt, which would end the runner."""


def exited(error: BaseException) -> JobExited:
    return JobExited(f"the job raised {type(error).__name__}({error})")


def timed_out(job: Job) -> str:
    """What the error of an attempt that took too long says."""
    return f"timed out after {job.timeout.total_seconds():g} s"


def as_raised(job: Job, error: BaseException) -> Raised:
    """The exception as an outcome. Of a group with one exception in it, as TaskGroup makes it, that one counts."""
    with contextlib.suppress(Exception):
        log.warning("job_raised", job=job.job_type, exc_info=error)
    leaves = list(_leaves(error))
    permanent = any(isinstance(leaf, (PermanentError, *job.retry.never)) for leaf in (error, *leaves))
    named = leaves[0] if len(leaves) == 1 else error
    return Raised(_told(error, leaves), type(named).__name__, permanent, trace(error))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _leaves(inner)


def _told(error: BaseException, leaves: list[BaseException]) -> str:
    if len(leaves) == 1:
        return describe(leaves[0])
    told = "; ".join(clean(describe(leaf), 500) for leaf in leaves[:_LEAVES_TOLD])
    return clean(f"{describe(error)}: {told}{'; …' if len(leaves) > _LEAVES_TOLD else ''}")


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
        told.stack = traceback.StackSummary.from_list(frame for frame in told.stack if not _is_ours(frame.filename))
        return clean_traceback("".join(told.format()))
    except Exception:
        return None


def _is_ours(filename: str) -> bool:
    return filename.replace("\\", "/").endswith(("services/runner/performance.py", "services/runner/isolated.py"))


def as_result(value: object) -> Returned | Raised:
    """The job's return value as a JSON object. One that can't be is the job's defect: no retry would mend it."""
    try:
        encoded = msgspec.json.encode(value)
        plain = msgspec.json.decode(encoded)
        odd = _not_a_number(msgspec.to_builtins(value), "$") if b"null" in encoded else None
    except (TypeError, ValueError, RecursionError, OverflowError, msgspec.MsgspecError) as error:
        return _invalid(f"the result can't be written as JSON: {clean(str(error), 500)}")
    if odd is not None:
        return _invalid(f"the result can't be written as JSON: {clean(odd, 500)}")
    if codec.is_too_deep(encoded, codec.DEPTH_LIMIT - 2):
        return _invalid(f"the result is nested deeper than {codec.DEPTH_LIMIT - 2} levels")
    if plain is not None and not isinstance(plain, dict):
        return _invalid(f"the result must be a JSON object or None, got {type(value).__name__}")
    if len(encoded) > RESULT_LIMIT:
        return _invalid(f"the result has {len(encoded)} bytes of JSON; at most {RESULT_LIMIT} are allowed")
    return Returned(plain)


def _invalid(problem: str) -> Raised:
    return Raised(problem, "InvalidResult", True)


def _not_a_number(value: object, path: str) -> str | None:
    """Where there is a number that JSON has no word for; msgspec writes null for it, without a word."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path} is {value}, which JSON can't say"
    inner: list[tuple[object, str]] = []
    if isinstance(value, dict):
        inner = [(item, f"{path}.{name}") for name, item in value.items()]
    elif isinstance(value, (list, tuple)):
        inner = [(item, f"{path}[{index}]") for index, item in enumerate(value)]
    return next(filter(None, (_not_a_number(item, where) for item, where in inner)), None)
