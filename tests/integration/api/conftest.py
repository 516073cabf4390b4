"""The API on this test's own servers, the app itself in this process; runners' events are appended by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest
from kronik import subjects
from kronik.events import RUN_EVENT_NAME, Completed, JobDefined, RetryPolicy, RunEvent, Schedule, Started, Triggered
from kronik.run import Run
from litestar import Litestar
from nats.aio.client import Client

from services.api.access import store
from services.api.app import create_app
from services.api.history import tables
from services.api.history.projections import Checkpoint
from services.api.history.projector import Projected, project
from services.api.history.tables import Connection
from services.infra.settings import ApiSettings
from services.log.append import EventLog
from services.log.event_reader import open_reader
from tests.appending import append_next

JOB = "DEMO_JOB"
PARAMS = {
    "type": "object",
    "properties": {"month": {"type": "string", "pattern": r"^\d{4}-\d{2}$"}, "mode": {"enum": ["fast", "careful"]}},
    "additionalProperties": False,
}
SUMMARY = {"householdsCreated": 2, "text": "æøå 👍"}


def a_definition(job_type: str = JOB, params: dict[str, Any] | None = None) -> JobDefined:
    return JobDefined(
        job_type=job_type,
        title={"da": "Prøve", "en": "Demo"},
        description="A job for tests",
        params_schema=PARAMS if params is None else params,
        result_schema={},
        schedule=Schedule(expression="0 2 * * *", tz="Europe/Copenhagen"),
        timeout_ms=60_000,
        retry=RetryPolicy(attempts=3, wait_ms=10, max_wait_ms=100),
        concurrency=1,
    )


@dataclass
class Stream:
    """Writes what runners, schedulers and other services write."""

    log: EventLog

    async def define(self, job_type: str = JOB, params: dict[str, Any] | None = None) -> int:
        return await self.append(subjects.definition(job_type), a_definition(job_type, params))

    async def trigger(self, job_type: str = JOB, origin: str = "cron", **fields: Any) -> int:
        return await self.append(subjects.trigger(job_type, origin), Triggered(**fields))

    async def append(self, subject: str, event: Any) -> int:
        return (await append_next(self.log, subject, event)).sequence

    async def go_on(self, run_id: int, *events: RunEvent) -> int:
        """Append these events to the run; the sequence of the last one."""
        sequence = 0
        for event in events:
            found = await self.log.read_run(run_id)
            assert found
            run = await self.log.append_to_run(found[0], event, by="test")
            assert isinstance(run, Run)
            sequence = run.version
        return sequence

    async def go_on_blind(self, run_id: int, event: RunEvent) -> int:
        """Append to a run whose trigger is not in the stream any more."""
        name = RUN_EVENT_NAME[type(event)]
        return await self.append(subjects.run_event(JOB, run_id, name), event)

    async def run(self, job_type: str = JOB, origin: str = "cron", **fields: Any) -> int:
        """A run that succeeded; its id."""
        run_id = await self.trigger(job_type, origin, **fields)
        await self.go_on(run_id, STARTED, Completed(attempt=1, result=SUMMARY))
        return run_id

    async def publish(self, subject: str, body: bytes, headers: dict[str, str] | None = None) -> int:
        ack = await self.log.connection.jetstream().publish(subject, body, headers=headers)
        return ack.seq


STARTED = Started(attempt=1, incarnation="runner-1", timeout_ms=60_000)


@dataclass
class Api:
    """http: without an identity; `admin`, `operator`, `viewer` are headers with one."""

    app: Litestar
    http: httpx.AsyncClient
    admin: dict[str, str]
    operator: dict[str, str]
    viewer: dict[str, str]

    async def get(self, path: str, **query: object) -> httpx.Response:
        return await self.http.get(f"/api/admin/{path}", params=query or None, headers=self.viewer)

    async def post(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        return await self.http.post(f"/api/admin/{path}", json=body, headers={**self.admin, **headers})

    async def projected(self, sequence: int) -> None:
        """Return when the history holds the event at this sequence."""
        state = self.app.state
        assert await state.changes.reached(state.pool, sequence, within_s=20), state.projector.state


@pytest.fixture
async def stream(event_log: EventLog) -> Stream:
    return Stream(event_log)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Connection]:
    """To look at the tables with, their schemas named."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[Connection]:
    """A connection like the projector's."""
    connection = await tables.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
def settings(nats_url: str, database_url: str) -> ApiSettings:
    return ApiSettings(nats_url=nats_url, database_url=database_url, instance="test")


@pytest.fixture
async def api(settings: ApiSettings, stream: Stream, db: Connection) -> AsyncIterator[Api]:
    app = create_app(settings)
    headers = {role: await identify(db, role) for role in ("admin", "operator", "viewer")}
    async with alive(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://kronik.test") as http:
            yield Api(app, http, **headers)


@asynccontextmanager
async def alive(app: Litestar) -> AsyncIterator[None]:
    """The app's lifespan, in one task from begin to end, which a fixture's two halves are not."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            begun.set()
            await ended.wait()

    living = asyncio.create_task(live())
    await asyncio.wait({living, asyncio.ensure_future(begun.wait())}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield
    finally:
        ended.set()
        await living


async def identify(db: Connection, role: store.Role) -> dict[str, str]:
    account = await store.create_account(db, f"{role}-name", role)
    return {"Authorization": f"Bearer {await store.create_token(db, account, 'test')}"}


async def project_all(connection: Connection, nats: Client, last: int) -> Checkpoint:
    """Project up to `last` in this task, as the projector does."""
    checkpoint = await tables.checkpoint(connection)
    async with open_reader(nats, name="test-projector", start=checkpoint.sequence + 1) as reader:
        while checkpoint.sequence < last:
            batch = await asyncio.wait_for(reader.next_batch(), 10)
            if batch:
                projected: Projected = await project(connection, checkpoint, batch)
                checkpoint = projected.checkpoint
    return checkpoint
