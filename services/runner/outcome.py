"""What came of performing a job, as a value that can be stored, whatever the job returned or raised. No I/O.

Whatever a job's own code does when it is asked for its words (`__str__` that exits, a chain of 5,000 causes), it is
given no more than a moment, and nothing of it is raised here.
"""

import math
import traceback
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any

import msgspec
from kronik import Job, PermanentError, codec
from kronik.text import clean, clean_traceback
from msgspec import Struct

RESULT_LIMIT = 256 * 1024
"""Bytes of JSON that a result may have: it must fit into an event with its warnings."""
EXITS = (SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, StopAsyncIteration)
_LEAVES_TOLD = 10
_LEAVES_READ = 100
_NAME_LIMIT = 200
_CHAIN_TRACED = 50
_FRAMES_TRACED = 100


class Returned(Struct, frozen=True, tag=True):
    result: dict[str, Any] | None


_NOTHING = Returned(None)


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
    problem = JobExited(f"the job raised {describe(error, '{}({})')}")
    problem.__cause__ = error
    return problem


def timed_out(job: Job) -> str:
    """What the error of an attempt that took too long says."""
    return f"timed out after {job.timeout.total_seconds():g} s"


def as_raised(job: Job, error: BaseException) -> Raised:
    """The exception as an outcome. Of a group with one exception in it, as TaskGroup makes it, that one counts."""
    try:
        leaves = list(islice(_leaves(error), _LEAVES_READ))
        permanent = any(isinstance(leaf, (PermanentError, *job.retry.never)) for leaf in (error, *leaves))
        named = leaves[0] if len(leaves) == 1 else error
        return Raised(_told(error, leaves), clean(type(named).__name__, _NAME_LIMIT), permanent, trace(error))
    except BaseException as problem:
        return Raised("what the job raised can't be read", clean(type(problem).__name__, _NAME_LIMIT))


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


def describe(error: BaseException, pattern: str = "{}: {}") -> str:
    """The exception as one readable text, whatever its own __str__ does."""
    name = clean(type(error).__name__, _NAME_LIMIT)
    try:
        text = clean(str(error))
    except BaseException:
        text = "(its message can't be shown)"
    return clean(pattern.format(name, text) if text or "(" in pattern else name)


def trace(error: BaseException) -> str | None:
    """Where the exception came from, with its causes and groups, from the job's own code on.

    Of one with very many of them its own way alone is told: Python would look all of them up before any is left out.
    """
    try:
        if _is_large(error):
            told = traceback.format_tb(error.__traceback__, -_FRAMES_TRACED)
            return clean_traceback("".join([*told, describe(error), "\n… with more behind it than can be told\n"]))
        told_all = traceback.TracebackException.from_exception(error, limit=-_FRAMES_TRACED, compact=True)
        told_all.stack = traceback.StackSummary.from_list(
            frame for frame in told_all.stack if not _is_ours(frame.filename)
        )
        return clean_traceback("".join(told_all.format()))
    except BaseException:
        return None


def _is_large(error: BaseException) -> bool:
    """Whether more exceptions than are traced hang together here, as causes, contexts and groups."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting and len(seen) <= _CHAIN_TRACED:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            inner = one.exceptions[: _CHAIN_TRACED + 1] if isinstance(one, BaseExceptionGroup) else ()
            waiting += [each for each in (one.__cause__, one.__context__, *inner) if each is not None]
    return len(seen) > _CHAIN_TRACED


def _is_ours(filename: str) -> bool:
    return filename.replace("\\", "/").endswith(("services/runner/performance.py", "services/runner/isolated.py"))


def as_result(value: object) -> Returned | Raised:
    """The job's return value as a JSON object. One that can't be is the job's defect: no retry would mend it."""
    if value is None:
        return _NOTHING
    try:
        encoded = msgspec.json.encode(value)
        plain = msgspec.json.decode(encoded)
        odd = _not_a_number(msgspec.to_builtins(value), "$") if b"null" in encoded else None
    except BaseException as error:
        return _invalid(f"the result can't be written as JSON: {clean(describe(error, '{1}'), 500)}")
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
