"""Jobs over HTTP: what there is to run, when it runs by itself, and changing that."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from kronik import in_force
from kronik.events import Isolation, Pause, RetryPolicy, Schedule, ScheduleChanged
from kronik.schedule import WhenFull
from kronik.show import Show, Text
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED
from msgspec import Meta, Struct

from services.api.access.gate import needs
from services.api.as_of import AsOf, moment_of
from services.api.commands import bulk
from services.api.commands import retire as retiring
from services.api.commands import schedule as scheduling
from services.api.commands.bulk import Bulk, BulkPlan
from services.api.commands.schedule import ScheduleRequest
from services.api.commands.trigger import unknown_job_type
from services.api.history import queries
from services.api.history.queries import DefinedJob, JobRun, Pool
from services.api.history.run_filter import RunFilter
from services.api.history.selection import Moment
from services.api.http.bulk import work_on
from services.api.http.dry_run import or_plan
from services.api.http.named import NamedRun, by_names, named
from services.api.http.order import Order
from services.api.past import History
from services.api.problems import documented, nul_in, refuse
from services.api.request_schemas import refuse_lookalikes
from services.infra.schedule_words import in_words
from services.log.presence import Runner

_NEXT = 5


class JobView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A job: as its runner defined it, as an admin scheduled it, and as it last ran.

    schedule: the one that holds; null: by hand alone. schedule_in_words: per language.
    comes_from: of each field that an admin can change, `code` or who gave it. changed_by: who changed the job last.
    pause: who paused it, why and until when; null: it is not paused. retired: out of use until it is announced again.
    max_queued: how many of its runs may wait; null: any number. confirm: what a person is asked before it runs by hand,
    per language; null: nothing. next_slots: the next five that will fire. isolation: `process` where each attempt has a
    process of its own. memory_limit: its bytes, children included; null: none.
    names: of the accounts that are mentioned here: `{"ADMIN:1": "anna"}`.
    runners: who serves it now, since when, and whether with the definition that is in force; empty: nobody.
    """

    job_type: str
    title: Text
    description: str
    params_schema: dict[str, Any]
    result_schema: dict[str, Any]
    show: tuple[Show, ...]
    timeout_ms: int
    retry: RetryPolicy
    concurrency: int
    isolation: Isolation
    memory_limit: int | None
    schedule: Schedule | None
    schedule_in_words: Text
    comes_from: dict[str, str]
    paused: bool
    pause: Pause | None
    retired: bool
    max_queued: int | None
    when_full: WhenFull
    confirm: Text | None
    changed_by: str | None
    changed_by_name: str | None
    names: dict[str, str]
    next_slots: list[datetime]
    last_run: NamedRun | None
    runners: list[Runner]


class PauseRequest(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """until: when the pause ends by itself; null: when somebody resumes the job."""

    reason: Annotated[str, Meta(max_length=200)] | None = None
    until: Annotated[datetime, Meta(tz=True)] | None = None


class RetireRequest(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    reason: Annotated[str, Meta(max_length=200)] | None = None


_EMPTIED = {200: ResponseSpec(BulkPlan, description="Dry: what would be done", generate_examples=False)}
_CHANGED = or_plan(JobView, "The job as it is then")
_changing = partial(
    post,
    guards=[needs("admin")],
    status_code=HTTP_200_OK,
    responses=_CHANGED | documented(400, 401, 403, 404, 409, 413, 503),
)
JobType = Annotated[str, PathParameter(max_length=200, description="The job's type")]


class JobController(Controller):
    path = "/job"
    tags = ("jobs",)

    @get("/", responses=documented(400, 401, 403, 404, 503), summary="Every job, its schedule and its last run")
    async def jobs(self, past: NamedDependency[History], as_of: AsOf = None) -> list[JobView]:
        moment = await moment_of(past, as_of)
        last_runs = await queries.last_runs_by_job(past.pool, moment)
        jobs = await queries.jobs(past.pool, moment)
        return await _views(past, [(job, last_runs.get(job.definition.job_type)) for job in jobs])

    @get("/{job_type:str}", responses=documented(400, 401, 403, 404, 503), summary="One job")
    async def job(self, job_type: JobType, past: NamedDependency[History], as_of: AsOf = None) -> JobView:
        return await _seen(past, job_type, moment=await moment_of(past, as_of))

    @_changing("/{job_type:str}/schedule", summary="Pause, resume or change a job's schedule")
    async def change_schedule(
        self, job_type: JobType, data: JSONBody[ScheduleRequest], order: NamedDependency[Order]
    ) -> Response[JobView]:
        refuse_lookalikes(await order.request.body(), ScheduleRequest)
        return await _change(order, job_type, data, "schedule")

    @_changing(
        "/{job_type:str}/pause", summary="No slot of a job starts a run, until somebody resumes it or until an instant"
    )
    async def pause(
        self, job_type: JobType, order: NamedDependency[Order], data: JSONBody[PauseRequest | None] = None
    ) -> Response[JobView]:
        if data is not None:
            refuse_lookalikes(await order.request.body(), PauseRequest)
        given = data or PauseRequest()
        refuse(nul_in("reason", given.reason))
        wanted = ScheduleRequest(paused=True, pause_reason=given.reason, paused_until=given.until)
        return await _change(order, job_type, wanted, "pause")

    @_changing("/{job_type:str}/resume", summary="A paused job's slots start runs again")
    async def resume(self, job_type: JobType, order: NamedDependency[Order]) -> Response[JobView]:
        return await _change(order, job_type, ScheduleRequest(paused=False), "resume")

    @_changing(
        "/{job_type:str}/retire", summary="Take a job out of use, until a runner announces another definition of it"
    )
    async def retire(
        self, job_type: JobType, order: NamedDependency[Order], data: JSONBody[RetireRequest | None] = None
    ) -> Response[JobView]:
        past, job = order.past, await _defined(order.past.pool, job_type)
        reason = data.reason if data else None

        async def retired() -> JobView:
            await retiring.apply(past, job, order.by, reason)
            return await _seen(past, job_type)

        return await order.carry_out(lambda: retiring.plan(past, job, reason), retired)

    @post(
        "/{job_type:str}/empty-queue",
        guards=[needs("operator")],
        status_code=HTTP_202_ACCEPTED,
        responses=_EMPTIED | documented(400, 401, 403, 404, 409, 503),
        summary="Cancel every run of a job that waits for its first attempt",
    )
    async def empty_queue(self, job_type: JobType, order: NamedDependency[Order]) -> Response[Bulk]:
        """Work on many runs: it goes on in the background, and can be watched and stopped as all of it."""
        job = await _defined(order.past.pool, job_type)
        return await work_on(order, "cancel", bulk.queued(job.definition.job_type))


async def _change(order: Order, job_type: str, wanted: ScheduleRequest, command: scheduling.Verb) -> Response[Any]:
    past, job = order.past, await _defined(order.past.pool, job_type)

    async def changed() -> JobView:
        change = await scheduling.apply(past, job, wanted, order.by)
        return await _seen(past, job_type, change)

    return await order.carry_out(lambda: scheduling.plan(past, job, wanted, order.by.by, command), changed)


async def _seen(
    past: History, job_type: str, change: ScheduleChanged | None = None, moment: Moment | None = None
) -> JobView:
    """The job as it is now; with this change, where the history has not come to it yet; or as it was at the moment."""
    job = await _defined(past.pool, job_type, moment)
    if change is not None:
        job = DefinedJob(job.definition, change, retired=change.retired is not None and job.retired)
    last = (await queries.page(past.pool, RunFilter(job_types=(job_type,)), limit=1, moment=moment)).runs
    return (await _views(past, [(job, last[0] if last else None)]))[0]


async def _defined(pool: Pool, job_type: str, moment: Moment | None = None) -> DefinedJob:
    job = await queries.job(pool, job_type.replace("\0", ""), moment)
    if job is None:
        raise await unknown_job_type(pool, job_type)
    return job


async def _views(past: History, jobs: list[tuple[DefinedJob, JobRun | None]]) -> list[JobView]:
    names = await by_names(past.pool, (who for job, _ in jobs for who in _mentioned(job.change)))
    runs = {run.id: run for run in await named(past.pool, [run for _, run in jobs if run])}
    return [_view(past, job, runs[run.id] if run else None, names) for job, run in jobs]


def _mentioned(change: ScheduleChanged | None) -> set[str]:
    if change is None:
        return set()
    by = {change.by, *change.given_by.values()}
    return by | {one.by for one in (change.pause, change.retired) if one is not None and one.by}


def _view(past: History, job: DefinedJob, last_run: NamedRun | None, names: dict[str, str]) -> JobView:
    definition, change, now = job.definition, job.change, past.log.clock.now()
    limit = in_force.queue_limit(definition, change)
    pause = in_force.pause(change, now)
    return JobView(
        job_type=definition.job_type,
        title=definition.title,
        description=definition.description,
        params_schema=definition.params_schema,
        result_schema=definition.result_schema,
        show=definition.show,
        timeout_ms=definition.timeout_ms,
        retry=definition.retry,
        concurrency=definition.concurrency,
        isolation=definition.isolation,
        memory_limit=definition.memory_limit,
        schedule=job.schedule,
        schedule_in_words={"da": in_words(job.schedule, "da"), "en": in_words(job.schedule, "en")},
        comes_from=in_force.came_from(change),
        paused=pause is not None,
        pause=pause,
        retired=job.retired,
        max_queued=limit.runs if limit else None,
        when_full=limit.when_full if limit else definition.when_full,
        confirm=definition.confirm,
        changed_by=change.by if change else None,
        changed_by_name=names.get(change.by) if change else None,
        names={who: names[who] for who in sorted(_mentioned(change)) if who in names},
        next_slots=[] if job.retired else scheduling.next_slots(definition, change, now, _NEXT),
        last_run=last_run,
        runners=past.presence.runners(definition),
    )
