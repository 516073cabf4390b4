"""Runs over HTTP: one run, its events and log; trigger, rerun, cancel."""

import asyncio
import re
from datetime import datetime
from typing import Annotated, Any

import msgspec
from kronik.events import TYPE_OF, BadTrigger, Recorded, Triggered, Unknown
from kronik.run import Run
from kronik.text import clean
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from msgspec import Meta, Struct

from services.api import job_log
from services.api.access.gate import needs
from services.api.as_of import AsOf, find_then, moment_of
from services.api.changes import Waiter
from services.api.commands import cancel as cancelling
from services.api.commands import rerun as rerunning
from services.api.commands import trigger as triggering
from services.api.commands.trigger import Asked, Together
from services.api.history import queries
from services.api.history.queries import JobRun, Pool
from services.api.http.dry_run import or_plan, planned
from services.api.http.named import NamedRun, named
from services.api.http.order import Order
from services.api.job_log import JobLog
from services.api.past import History, find, unknown
from services.api.problems import documented
from services.infra.clock import monotonic_s
from services.log.append import EventLog

_LINES = 1_000
_LONGEST_WAIT_S = 60
_LOOK_EVERY_S = 5.0
_TRIGGER_EVENT = TYPE_OF[Triggered]

RunId = Annotated[int, PathParameter(ge=1, le=2**53 - 1, description="The run's id")]
Wait = Annotated[
    int,
    QueryParameter(
        ge=0, le=_LONGEST_WAIT_S, description="Seconds to wait for the run to finish; then it is answered as it is"
    ),
]
Traceparent = Annotated[
    str | None,
    HeaderParameter(
        name="traceparent",
        description="The trace that the run is part of (W3C Trace Context): every event of it has it, and the job",
    ),
]
_TRACEPARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_AGAIN = or_plan(NamedRun, "The run that the Idempotency-Key made before")
_CANCELLED = or_plan(NamedRun, "The run as it is then")


_CorrelationId = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class TriggerRequest(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """params: as the job's paramsSchema says. correlation_id: what the run belongs to; goes with every event of it."""

    job_type: Annotated[str, Meta(max_length=200)]
    params: dict[str, Any] = {}
    correlation_id: _CorrelationId | None = None


class RerunRequest(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """params: instead of those that the run had; null or left out: its own. correlation_id: likewise."""

    params: dict[str, Any] | None = None
    correlation_id: _CorrelationId | None = None


class StreamEvent(Struct, frozen=True):
    """An event of a run as it stands in the stream. time: when it was stored."""

    sequence: int
    time: datetime
    type: str
    data: Any


class RunController(Controller):
    path = "/job-run"
    tags = ("runs",)

    @post(
        "/trigger",
        guards=[needs("operator")],
        responses=_AGAIN | documented(400, 401, 403, 404, 409, 413, 503),
        summary="Run a job now",
    )
    async def trigger(
        self, data: JSONBody[TriggerRequest], order: NamedDependency[Order], traceparent: Traceparent = None
    ) -> Response[NamedRun]:
        past = order.past
        if order.dry:
            return planned(await triggering.plan(past, data.job_type, data.params))
        wanted = Triggered(params=data.params, user_id=order.by.user_id)
        together = _together(data.correlation_id, traceparent)
        return await _asked(past, await triggering.apply(past, order.by, wanted, data.job_type, order.key, together))

    @get("/{id:str}", responses=documented(400, 401, 403, 404, 503), summary="One run, at once or when it has finished")
    async def run(
        self,
        id: RunId,
        past: NamedDependency[History],
        stop: NamedDependency[asyncio.Event],
        wait: Wait = 0,
        as_of: AsOf = None,
    ) -> NamedRun:
        if moment := await moment_of(past, as_of):
            return await _named(past, await find_then(past, id, moment))
        return await _named(past, await _finished(past, id, wait, stop))

    @get("/{id:str}/events", responses=documented(400, 401, 403, 404, 503), summary="A run's events")
    async def events(self, id: RunId, past: NamedDependency[History], as_of: AsOf = None) -> list[StreamEvent]:
        moment = await moment_of(past, as_of)
        _, events = await _read(past.log, id)
        return [_stream_event(event) for event in events if moment is None or event.sequence <= moment.sequence]

    @get("/{id:str}/logs", responses=documented(400, 401, 403, 404, 503), summary="What the job said in this run")
    async def logs(self, id: RunId, past: NamedDependency[History], as_of: AsOf = None) -> JobLog:
        moment = await moment_of(past, as_of)
        run = await find(past, id) if moment is None else await find_then(past, id, moment)
        said = await job_log.read(past.log.connection, run.job_type, run.id, keep=_LINES)
        return said if moment is None else job_log.until(said, moment.time)

    @post(
        "/{id:str}/rerun",
        guards=[needs("operator")],
        responses=_AGAIN | documented(400, 401, 403, 404, 409, 413, 503),
        summary="Run a finished run's job again, with its params or with others",
    )
    async def rerun(
        self,
        id: RunId,
        order: NamedDependency[Order],
        data: JSONBody[RerunRequest | None] = None,
        traceparent: Traceparent = None,
    ) -> Response[NamedRun]:
        past, given = order.past, data or RerunRequest()
        if order.dry:
            return planned(await rerunning.plan(past, id, given.params))
        together = _together(given.correlation_id, traceparent)
        return await _asked(past, await rerunning.apply(past, order.by, id, order.key, given.params, together))

    @post(
        "/{id:str}/cancel",
        guards=[needs("operator")],
        status_code=HTTP_200_OK,
        responses=_CANCELLED | documented(400, 401, 403, 404, 409, 503),
        summary="Ask for a run to stop",
    )
    async def cancel(self, id: RunId, order: NamedDependency[Order]) -> Response[NamedRun]:
        past = order.past

        async def cancelled() -> NamedRun:
            return await _named(past, await cancelling.apply(past, order.by, id))

        return await order.carry_out(lambda: cancelling.plan(past, id), cancelled)


def _together(correlation_id: str | None, traceparent: str | None) -> Together:
    """What is no traceparent is as good as none, as its specification wants it."""
    trace = traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None
    return Together(correlation_id, trace)


async def check_job_type(pool: Pool, job_type: str | None) -> None:
    """Known is what a runner announced, and what has ever run."""
    if job_type is None:
        return
    cleaned = clean(job_type, 200)
    if await queries.job(pool, cleaned) or await queries.has_runs(pool, cleaned):
        return
    raise await triggering.unknown_job_type(pool, job_type)


async def _named(past: History, run: JobRun) -> NamedRun:
    return (await named(past.pool, [run]))[0]


async def _asked(past: History, asked: Asked) -> Response[NamedRun]:
    """201 for a run that was made; 200 for the one that the Idempotency-Key made earlier."""
    status = HTTP_201_CREATED if asked.created else HTTP_200_OK
    location = f"/api/admin/job-run/{asked.run.id}"
    return Response(await _named(past, asked.run), status_code=status, headers={"Location": location})


async def _finished(past: History, id: int, wait_s: int, stop: asyncio.Event) -> JobRun:
    """The run once it has finished, or as it is when the time is over or this process ends."""
    until = monotonic_s() + wait_s
    with past.changes.waiting() as waiter:
        while True:
            run = await find(past, id)
            left = until - monotonic_s()
            if run.completed_at is not None or left <= 0 or stop.is_set():
                return run
            await _news_of(id, waiter, min(left, _LOOK_EVERY_S))


async def _news_of(id: int, waiter: Waiter, within_s: float) -> None:
    """Return when this run may have changed, or after this time: of a hundred who wait only one has to look."""
    until = monotonic_s() + within_s
    while (left := until - monotonic_s()) > 0:
        news = await waiter.next(left)
        if news is None or news.runs is None or id in news.runs:
            return


async def _read(log: EventLog, run_id: int) -> tuple[Run, list[Recorded]]:
    found = await log.read_run(run_id)
    if found is None:
        raise unknown(run_id)
    return found


def _stream_event(recorded: Recorded) -> StreamEvent:
    match recorded.data:
        case Unknown(type=kind, data=data):
            return StreamEvent(recorded.sequence, recorded.time, kind, data)
        case BadTrigger() as bad:
            return StreamEvent(recorded.sequence, recorded.time, _TRIGGER_EVENT, msgspec.to_builtins(bad))
        case event:
            return StreamEvent(recorded.sequence, recorded.time, TYPE_OF[type(event)], msgspec.to_builtins(event))
