"""The service as a process: it says where it listens, tells what changes, and ends when it is told to."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import pytest
from kronik import subjects
from kronik.events import Failed, Triggered

from services.api.history.tables import Connection
from services.infra.clock import monotonic_s
from tests.integration.api.conftest import JOB, Stream, identify
from tests.processes import KRONIK


@dataclass
class Service:
    process: asyncio.subprocess.Process
    http: httpx.AsyncClient

    async def stop(self) -> float:
        """SIGTERM; the seconds until it was gone."""
        began = monotonic_s()
        self.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self.process.wait(), 20)
        return monotonic_s() - began


@asynccontextmanager
async def serving(environ: dict[str, str], headers: dict[str, str], port_file: Path) -> AsyncIterator[Service]:
    process = await asyncio.create_subprocess_exec(
        *(KRONIK, "api"),
        env={**os.environ, **environ, "KRONIK_PORT": "0", "KRONIK_API_PORT_FILE": str(port_file)},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    while line := await asyncio.wait_for(process.stderr.readline(), 20):
        if b"api_ready" in line:
            break
    reading = asyncio.create_task(process.stderr.read())
    url = f"http://127.0.0.1:{port_file.read_text()}"  # noqa: ASYNC240  a few bytes
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as http:
            yield Service(process, http)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


@pytest.fixture
async def service(
    stream: Stream, nats_url: str, database_url: str, db: Connection, tmp_path: Path
) -> AsyncIterator[Service]:
    environ = {"KRONIK_NATS_URL": nats_url, "KRONIK_DATABASE_URL": database_url}
    async with serving(environ, await identify(db, "operator"), tmp_path / "port") as one:
        yield one


async def test_a_client_that_hangs_up_early_does_not_end_it(service: Service) -> None:
    """Writing to one that has gone raises SIGPIPE: 480 anonymous requests were enough."""
    place = service.http.base_url
    for _ in range(500):
        _, asker = await asyncio.open_connection(place.host, place.port)
        asker.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        asker.transport.abort()
    assert (await service.http.get("/health/live")).status_code == 200
    assert service.process.returncode is None


async def lines(answer: httpx.Response, begin: str) -> AsyncIterator[str]:
    async for line in answer.aiter_lines():
        if line.startswith(begin):
            yield line.removeprefix(begin).strip()


async def test_what_changes_is_told_and_sigterm_ends_it_all_at_once(service: Service, stream: Stream) -> None:
    async with service.http.stream("GET", "/api/admin/events") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        told = lines(answer, "data:")
        run_id = await stream.trigger(JOB)
        async with asyncio.timeout(20):
            async for data in told:
                change = msgspec.json.decode(data)
                if "runs" in change and change["position"] >= run_id:
                    break
        assert change == {"position": run_id, "runs": [run_id]}
        assert (await service.http.get(f"/api/admin/job-run/{run_id}")).status_code == 200
        assert await service.stop() < 6
    assert service.process.returncode == 0


async def test_work_on_many_runs_goes_on_in_two_others_after_kill_9_and_does_nothing_twice(
    stream: Stream, nats_url: str, database_url: str, db: Connection, tmp_path: Path
) -> None:
    await stream.define()

    async def failed() -> int:
        run_id = await stream.trigger()
        await stream.go_on(run_id, Failed(attempt=0, error="no", error_type="E"))
        return run_id

    ids = sorted(await asyncio.gather(*(failed() for _ in range(450))))
    environ = {"KRONIK_NATS_URL": nats_url, "KRONIK_DATABASE_URL": database_url}
    headers = await identify(db, "operator")
    dying = {**environ, "KRONIK_FAILPOINT": "before_settled:2"}  # its second batch is done and not written down
    async with serving(dying, headers, tmp_path / "port") as service:
        for run_id in ids:
            assert (await service.http.get(f"/api/admin/job-run/{run_id}", params={"wait": 20})).json()["completedAt"]
        begun = (await service.http.post("/api/admin/bulk/rerun", params={"status": "FAILED"})).json()
        assert await asyncio.wait_for(service.process.wait(), 30) == 137
    path = f"/api/admin/bulk/{begun['id']}"
    async with serving(environ, headers, tmp_path / "1") as one, serving(environ, headers, tmp_path / "2") as other:
        async with asyncio.timeout(60):
            while (work := (await one.http.get(path)).json())["waiting"]:  # noqa: ASYNC110  what others write
                await asyncio.sleep(0.05)
        assert (work["selected"], work["done"], work["left"]) == (450, 450, {})
        made = {run["made"] for run in (await other.http.get(f"{path}/run", params={"limit": 1000})).json()}
    last = await stream.log.last(subjects.trigger(JOB, subjects.ADMIN))
    assert last
    stored = [await stream.log.get(sequence) for sequence in range(ids[-1], last.sequence + 1)]
    reruns = {one.sequence: one.data.rerun_of for one in stored if one and isinstance(one.data, Triggered)}
    assert sorted(of for of in reruns.values() if of) == ids
    assert made == {sequence for sequence, of in reruns.items() if of}


async def test_sigterm_without_anybody_listening_is_as_quick(service: Service) -> None:
    assert (await service.http.get("/health/live")).json() == {"status": "ok"}
    assert await service.stop() < 2
    assert service.process.returncode == 0


async def test_it_serves_without_nats_and_postgres_and_says_what_is_missing(tmp_path: Path) -> None:
    environ = {"KRONIK_NATS_URL": "nats://127.0.0.1:1", "KRONIK_DATABASE_URL": "postgres://x@127.0.0.1:1/x"}
    async with serving(environ, {"Authorization": "Bearer x"}, tmp_path / "port") as service:
        assert (await service.http.get("/health/live")).status_code == 200
        ready = await service.http.get("/health/ready")
        assert (ready.status_code, ready.json()["nats"], ready.json()["postgres"]) == (503, False, False)
        answer = await service.http.get("/api/admin/job-run")
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:kronik:problem:history-unavailable")
        assert await service.stop() < 2
        assert service.process.returncode == 0


async def test_bad_settings_end_it_with_all_of_them_named() -> None:
    process = await asyncio.create_subprocess_exec(
        *(KRONIK, "api"),
        env={**os.environ, "KRONIK_NATS_URL": "http://x", "KRONIK_DATABASE_URL": "", "KRONIK_PORT": "99999"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, error = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    for name in (b"KRONIK_NATS_URL", b"KRONIK_DATABASE_URL", b"KRONIK_PORT"):
        assert name in error
