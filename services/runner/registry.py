"""Which jobs this runner has: the modules of KRONIK_JOBS, loaded and checked."""

import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from importlib.machinery import PathFinder
from types import ModuleType

import msgspec
from kronik import Cron, InvalidJob, Job, KronikError, Retry, job_of
from kronik.events import JobDefined, RetryPolicy, Schedule

from services.infra import params, slots
from services.infra.settings import job_modules


def load(modules: str) -> dict[str, Job]:
    """The jobs of these modules (names joined by commas; `+` in front adds to the default), by job type.

    Raises InvalidJob for a module that can't be imported or has no job, for a job type
    declared twice and for a schedule that can't be.
    """
    jobs: dict[str, Job] = {}
    for name in job_modules(modules):
        found = _jobs_in(_module(name))
        if not found:
            raise InvalidJob(f"KRONIK_JOBS: module {name!r} declares no @job")
        for job in found:
            if job.job_type in jobs and jobs[job.job_type].function is not job.function:
                raise InvalidJob(f"KRONIK_JOBS: {job.job_type} is declared twice, the second time in {name}")
            _check_schedule(job)
            jobs[job.job_type] = job
    return jobs


def missing(modules: str, directory: str) -> list[str]:
    """Those that a runner which is started in this directory would not find. Nothing is imported."""
    return [name for name in job_modules(modules) if not _stands_in(name, [directory, *sys.path])]


def _stands_in(name: str, path: Sequence[str]) -> bool:
    first, *parts = name.split(".")
    found = PathFinder.find_spec(first, path) or (importlib.util.find_spec(first) if first else None)
    for part in parts:
        if found is None:
            return False
        found = PathFinder.find_spec(f"{found.name}.{part}", found.submodule_search_locations or [])
    return found is not None


def _module(name: str) -> ModuleType:
    """Whatever a module does when it is imported, `sys.exit(0)` included, the runner says that it can't be had."""
    try:
        return importlib.import_module(name)
    except KronikError as error:
        raise InvalidJob(f"KRONIK_JOBS: {name}: {error}") from error
    except ImportError as error:
        raise InvalidJob(f"KRONIK_JOBS: can't import {name!r}: {error}") from error
    except (Exception, SystemExit) as error:
        problem = f"KRONIK_JOBS: importing {name!r} raised {type(error).__name__}: {error}"
        raise InvalidJob(f"{problem}\n{_from_its_first_line(error)}") from error


def _from_its_first_line(error: BaseException) -> str:
    """The traceback without our own way to the module: the end of a log may be all that is seen of it."""
    place = error.__traceback__
    while place is not None and place.tb_frame.f_code.co_filename.startswith(
        (__file__, "<frozen ", *importlib.__path__)
    ):
        place = place.tb_next
    return "".join(traceback.format_exception(type(error), error, place))


def _jobs_in(module: ModuleType) -> list[Job]:
    """Raises InvalidJob where something stands around a job that would silently be left out."""
    found = []
    for name, member in inspect.getmembers(module):
        job = _declared(member)
        if job is None:
            continue
        if job.function is not member:
            raise InvalidJob(
                f"KRONIK_JOBS: {module.__name__}.{name} wraps the job {job.job_type}, and the runner would call the job"
                " without its wrapper: put @job above the other decorators"
            )
        found.append(job)
    return found


def _declared(member: object) -> Job | None:
    try:
        return job_of(member)
    except Exception:
        return None  # a proxy of some library that can't be looked at now


def _check_schedule(job: Job) -> None:
    if job.schedule is not None:
        try:
            slots.check(job.schedule.expression, job.schedule.tz)
        except slots.InvalidSchedule as error:
            raise InvalidJob(f"{_setting_of(job.schedule.expression)}{job.job_type}: {error}") from error
        if required := [field.encode_name for field in msgspec.structs.fields(job.params_type) if field.required]:
            raise InvalidJob(
                f"{job.job_type}: it has a schedule, and slots give no params, but {', '.join(required)} must be given:"
                " give a default, or no schedule"
            )


def _setting_of(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Where a job's module took it from the environment, the setting that is to be changed."""
    named = [name for name, value in environ.items() if name.startswith("KRONIK_") and value.strip() == text.strip()]
    return "".join(f"{name}={environ[name]!r}: " for name in named)


def definition(job: Job) -> JobDefined:
    """What the stream is told of a job."""
    return JobDefined(
        job_type=job.job_type,
        title=job.title,
        description=job.description,
        params_schema=params.schema_of(job.params_type),
        result_schema=msgspec.json.schema(job.result_type),
        schedule=_schedule(job.schedule),
        timeout_ms=milliseconds(job.timeout),
        retry=policy(job.retry),
        concurrency=job.concurrency,
        show=job.show,
        max_queued=job.max_queued,
        when_full=job.when_full,
        confirm=job.confirm,
        isolation=job.isolation,
        memory_limit=job.memory_limit,
        descriptions=job.descriptions,
    )


@lru_cache
def policy(retry: Retry) -> RetryPolicy:
    return RetryPolicy(
        attempts=retry.attempts, wait_ms=milliseconds(retry.wait), max_wait_ms=milliseconds(retry.max_wait)
    )


@lru_cache
def milliseconds(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def _schedule(cron: Cron | None) -> Schedule | None:
    if cron is None:
        return None
    return Schedule(
        expression=cron.expression,
        tz=cron.tz,
        catch_up=cron.catch_up,
        overlap=cron.overlap,
        deadline_ms=None if cron.deadline is None else milliseconds(cron.deadline),
    )
