"""`@job`: a job is one function in one module. The decorator checks and attaches data; nothing else happens."""

import dataclasses
import inspect
import re
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, get_args

import msgspec

from kronik.context import RunContext
from kronik.errors import InvalidJob, InvalidName
from kronik.events import Isolation
from kronik.retry import LONGEST, Retry
from kronik.schedule import QUEUE_LIMIT, Cron, WhenFull
from kronik.show import Show, Text
from kronik.subjects import check_job_type


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Base of a job's params. Unknown fields are refused, so a typing error can't become a silent default."""


class NoParams(Params, frozen=True):
    """The params of a job that takes none."""


JobFunction = Callable[[RunContext, Any], Awaitable[Any]] | Callable[[RunContext, Any], Any]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Job:
    """All there is to know of a job.

    timeout: how long one attempt may take.
    concurrency: how many of its runs may execute at the same time, across all runners.
    params_type, result_type: read from the function's annotations.
    isolation: `process` performs each attempt in a process of its own. memory_limit: its bytes, children included.
    max_queued: how many of its runs may wait; None: any number. when_full: what becomes of one more (`refuse`, or
        `coalesce`: the ones that wait stand for it).
    confirm: what a person is asked before the job runs by hand, per language; None: nothing.
    descriptions: what the job does, per language; where none is given, the description says it.
    """

    job_type: str
    function: JobFunction
    params_type: type[Params]
    result_type: Any
    title: Text
    description: str
    schedule: Cron | None
    timeout: timedelta
    retry: Retry
    concurrency: int
    show: tuple[Show, ...]
    max_queued: int | None = None
    when_full: WhenFull = "refuse"
    isolation: Isolation = "none"
    memory_limit: int | None = None
    confirm: Text | None = None
    descriptions: Text = dataclasses.field(default_factory=dict)


def job(
    job_type: str,
    *,
    title: Text | str | None = None,
    schedule: Cron | None = None,
    timeout: timedelta = timedelta(hours=1),
    retry: Retry = Retry(),  # noqa: B008  frozen
    concurrency: int = 1,
    show: tuple[Show, ...] | list[Show] = (),
    max_queued: int | None = None,
    when_full: WhenFull = "refuse",
    isolation: Isolation = "none",
    memory_limit: int | str | None = None,
    confirm: Text | str | None = None,
    descriptions: Text | None = None,
) -> Callable[[F], F]:
    """Declare the function below as a job: `(run: RunContext, params: <Params>) -> result`.

    The result's type is anything msgspec can encode as a JSON object, or None. Raises
    InvalidJob, at import, for a declaration that can't work.

    isolation="process": each attempt runs in a process group of its own, which a timeout, a cancel or a crash ends with
    everything it started. memory_limit: how much memory such an attempt may use, in bytes or as "512 MiB", "2 GB".
    confirm: a question that the panel and the command line ask before somebody runs the job by hand; schedules, other
    services and programs are not asked.
    descriptions: what the job does, per language, beside what the function's docstring says of it.
    """
    limit = _memory(job_type, memory_limit)

    def attach(function: F) -> F:
        try:
            check_job_type(job_type)
        except InvalidName as error:
            raise InvalidJob(str(error)) from error
        params_type, result_type = _signature(job_type, function)
        _check_params(job_type, params_type)
        _check_result(job_type, result_type)
        if not timedelta(milliseconds=1) <= timeout <= LONGEST:
            raise InvalidJob(f"{job_type}: timeout must be 1 millisecond to 30 days, got {timeout}")
        if not 1 <= concurrency <= 1000:
            raise InvalidJob(f"{job_type}: concurrency must be 1 to 1000, got {concurrency}")
        if max_queued is not None and not 1 <= max_queued <= QUEUE_LIMIT:
            raise InvalidJob(f"{job_type}: max_queued must be 1 to {QUEUE_LIMIT}, got {max_queued}")
        if isolation not in get_args(Isolation):
            raise InvalidJob(f"{job_type}: isolation must be 'none' or 'process', got {isolation!r}")
        if limit is not None and isolation != "process":
            raise InvalidJob(f'{job_type}: memory_limit needs a process of its own: add isolation="process"')
        function.__kronik_job__ = Job(  # type: ignore[attr-defined]
            job_type=job_type,
            function=function,
            params_type=params_type,
            result_type=result_type,
            title=_title(job_type, title),
            description=inspect.getdoc(function) or "",
            schedule=schedule,
            timeout=timeout,
            retry=retry,
            concurrency=concurrency,
            show=tuple(show),
            max_queued=max_queued,
            when_full=when_full,
            isolation=isolation,
            memory_limit=limit,
            confirm=_confirm(job_type, confirm),
            descriptions=dict(descriptions or {}),
        )
        return function

    return attach


_UNITS = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGT", 1):
    _UNITS |= {f"{_letter}IB": 1024**_power, f"{_letter}B": 1000**_power, _letter: 1024**_power}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")
_LEAST_MEMORY = 16 * 1024 * 1024


def _memory(job_type: str, limit: int | str | None) -> int | None:
    if limit is None:
        return None
    found = _SIZE.fullmatch(str(limit))
    unit = _UNITS.get(found[2].upper()) if found else None
    if isinstance(limit, bool) or found is None or unit is None:
        raise InvalidJob(f"{job_type}: memory_limit must be bytes or a text like '512 MiB', got {limit!r}")
    size = int(float(found[1]) * unit)
    if size < _LEAST_MEMORY:
        raise InvalidJob(f"{job_type}: memory_limit must be 16 MiB or more, got {limit!r}")
    return size


def job_of(function: object) -> Job | None:
    """The Job that `@job` attached to this function, if it did."""
    found = getattr(function, "__kronik_job__", None)
    return found if isinstance(found, Job) else None


def _title(job_type: str, title: Text | str | None) -> Text:
    if isinstance(title, dict):
        return title
    return {"en": title or job_type.replace("_", " ").capitalize()}


def _confirm(job_type: str, question: Text | str | None) -> Text | None:
    asked = {"en": question} if isinstance(question, str) else question
    if asked is not None and not (asked and all(text.strip() for text in asked.values())):
        raise InvalidJob(f"{job_type}: confirm must be a question, got {question!r}")
    return asked


def _signature(job_type: str, function: Callable[..., Any]) -> tuple[type[Params], Any]:
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 2 or any(one.kind is not one.POSITIONAL_OR_KEYWORD for one in parameters):
        names = ", ".join(str(one) for one in parameters)
        raise InvalidJob(f"{job_type}: the function takes (run, params), got ({names})")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidJob(f"{job_type}: the function must return its result, this one yields")
    try:
        hints = typing.get_type_hints(function)
    except NameError as error:
        raise InvalidJob(f"{job_type}: an annotation can't be resolved at import: {error}") from error
    return hints.get(parameters[1].name, NoParams), hints.get("return", None)


def _check_params(job_type: str, params_type: Any) -> None:
    if not (isinstance(params_type, type) and issubclass(params_type, Params)):
        raise InvalidJob(f"{job_type}: the type of params must be a subclass of kronik.Params, got {params_type}")
    if "triggeredBy" in (field.encode_name for field in msgspec.structs.fields(params_type)):
        raise InvalidJob(f"{job_type}: params can't have a field triggeredBy, it is known from the subject")
    _type_info(job_type, params_type)


_OBJECTS = (
    msgspec.inspect.AnyType,
    msgspec.inspect.NoneType,
    msgspec.inspect.DictType,
    msgspec.inspect.TypedDictType,
    msgspec.inspect.DataclassType,
)


def _check_result(job_type: str, result_type: Any) -> None:
    """A result is stored and shown as a JSON object; that it is none shows at import, not after the job's work."""
    info = _type_info(job_type, result_type)
    for one in info.types if isinstance(info, msgspec.inspect.UnionType) else (info,):
        struct = isinstance(one, msgspec.inspect.StructType) and not one.array_like
        if not (struct or isinstance(one, _OBJECTS)):
            raise InvalidJob(f"{job_type}: the result must be a JSON object or None, got {result_type}")


def _type_info(job_type: str, annotation: Any) -> msgspec.inspect.Type:
    try:
        msgspec.json.schema(annotation)
        return msgspec.inspect.type_info(annotation)
    except TypeError as error:
        raise InvalidJob(f"{job_type}: {annotation} has no JSON Schema: {str(error).splitlines()[-1]}") from error
