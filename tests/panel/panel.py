"""What the panel's tests are told in: jobs that are announced, runs that happen, a page that is looked at."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from kronik import subjects
from kronik.events import (
    AnyEvent,
    Completed,
    Failed,
    JobDefined,
    Outcome,
    RetryPolicy,
    RunEvent,
    ScheduleChanged,
    SlotSkipped,
    Started,
    Triggered,
    Warning,
)
from kronik.run import Run
from playwright.async_api import ConsoleMessage, Error, Page

from services.api.access import store
from services.api.access.store import Role
from services.log import presence
from services.log.append import EventLog
from tests.appending import append_next


@dataclass(frozen=True)
class Stage:
    """Writes what the runner, the scheduler and other services would."""

    log: EventLog
    served: dict[str, presence.Served] = field(default_factory=dict)

    async def define(self, definition: JobDefined) -> None:
        self.served[definition.job_type] = presence.Served(release=1, definition=presence.digest(definition))
        await self._beat()
        await self._append(subjects.definition(definition.job_type), definition)

    async def serve(self) -> None:
        """Be there for all the jobs, as a runner is, until cancelled."""
        while True:
            await self._beat()
            await asyncio.sleep(1)

    async def _beat(self) -> None:
        beat = presence.Beat("runner-1", "runner-1", self.log.clock.now(), dict(self.served))
        await presence.say(self.log.connection, beat)

    async def change(self, job_type: str, change: ScheduleChanged) -> None:
        await self._append(subjects.schedule(job_type), change)

    async def trigger(self, job_type: str, origin: str = "cron", **data: Any) -> int:
        """The run's id."""
        return await self._append(subjects.trigger(job_type, origin), Triggered(**data))

    async def start(self, run_id: int, attempt: int = 1) -> None:
        await self.happens(run_id, Started(attempt=attempt, incarnation="runner-1", timeout_ms=60_000))

    async def complete(self, run_id: int, result: dict[str, Any] | None = None, *warnings: Warning) -> None:
        await self.happens(run_id, Completed(attempt=1, result=result, warnings=warnings, warning_count=len(warnings)))

    async def fail(self, run_id: int, error: str) -> None:
        await self.happens(run_id, Failed(attempt=1, error=error, error_type="Error"))

    async def ran(self, job_type: str, result: dict[str, Any] | None = None, *warnings: Warning) -> int:
        """A whole run: its id."""
        run_id = await self.trigger(job_type)
        await self.start(run_id)
        await self.complete(run_id, result, *warnings)
        return run_id

    async def failed(self, job_type: str, error: str) -> int:
        run_id = await self.trigger(job_type)
        await self.start(run_id)
        await self.fail(run_id, error)
        return run_id

    async def skipped(self, job_type: str, scheduled_for: datetime, outcome: Outcome, reason: str) -> None:
        event = SlotSkipped(scheduled_for=scheduled_for, outcome=outcome, reason=reason)
        await self._append(subjects.slot(job_type, outcome), event)

    async def say(self, run_id: int, job_type: str, **said: Any) -> None:
        """A line of the job's log or its progress, as its runner would publish it."""
        line = {"time": self.log.clock.now(), "attempt": 1, **said}
        await self.log.connection.jetstream().publish(subjects.log_lines(job_type, run_id), msgspec.json.encode(line))

    async def happens(self, run_id: int, event: RunEvent) -> None:
        found = await self.log.read_run(run_id)
        assert found, f"no run {run_id}"
        assert isinstance(await self.log.append_to_run(found[0], event, by="test"), Run)

    async def last_trigger(self, job_type: str) -> int | None:
        last = await self.log.last(subjects.triggers_of(job_type))
        return last.sequence if last else None

    async def _append(self, subject: str, event: AnyEvent) -> int:
        return (await append_next(self.log, subject, event)).sequence


@contextlib.asynccontextmanager
async def served(stage: Stage) -> AsyncIterator[asyncio.Task[None]]:
    """A runner is there within the block, or until the task is cancelled."""
    serving = asyncio.create_task(stage.serve())
    try:
        yield serving
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


@dataclass
class Panel:
    """A page of the panel. complaints: errors of scripts and of the console, violations of the CSP among them."""

    page: Page
    address: str
    database_url: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", self._on_error)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} {message.location.get('url', '')}".strip())

    def _on_error(self, error: Error) -> None:
        self.complaints.append(str(error))

    async def sign_in(self, role: Role) -> None:
        """By a link, as a person does. Ends on the front page."""
        await self.page.goto(self.address + await self.sign_in_link(role))
        await self.page.locator("main button").click()
        await self.page.wait_for_url(f"{self.address}/admin/system")

    async def sign_in_link(self, role: Role) -> str:
        """Its path."""
        connection = await asyncpg.connect(self.database_url)
        try:
            account = await store.create_account(connection, role, role)
            return f"/sign-in/{await store.create_sign_in_link(connection, account)}"
        finally:
            await connection.close()

    async def press(self, path: str, form: dict[str, str]) -> str:
        """As a button of one of our pages does; the path of the page where that leads."""
        headers = {"Origin": self.address, "Accept": "text/html"}
        answer = await self.page.request.post(path, form={"key": uuid.uuid4().hex, **form}, headers=headers)
        assert answer.ok, await answer.text()
        return answer.url.removeprefix(self.address)

    async def open(self, path: str = "/admin/system") -> None:
        await self.page.goto(self.address + path)

    def card(self, job_type: str) -> Any:
        return self.page.locator(f"#job-{job_type}")


def a_job(job_type: str, **fields: Any) -> JobDefined:
    plain: dict[str, Any] = {
        "job_type": job_type,
        "title": {"da": "Oprydning", "en": "Clean-up"},
        "description": "",
        "params_schema": {"type": "object"},
        "result_schema": {},
        "schedule": None,
        "timeout_ms": 60_000,
        "retry": RetryPolicy(attempts=1, wait_ms=0, max_wait_ms=0),
        "concurrency": 1,
    }
    return JobDefined(**{**plain, **fields})
