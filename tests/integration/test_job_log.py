"""What jobs said, read back by the API's own NATS user."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from nats.aio.client import Client

from services.api import job_log
from services.api.job_log import Progress
from services.infra.clock import SystemClock
from services.log import connection as nats_connection
from services.log.append import LogUnavailable
from services.log.provision import provision
from tests.servers import NatsServer

NOW = SystemClock().now()


@pytest.fixture
async def runner(nats_with_users: NatsServer) -> AsyncIterator[Client]:
    provisioner = await nats_connection.connect(nats_with_users.user("provisioner"), "provisioner")
    await provision(provisioner, replicas=1)
    await nats_connection.close(provisioner)
    connection = await nats_connection.connect(nats_with_users.user("runner"), "runner")
    yield connection
    await nats_connection.close(connection)


@pytest.fixture
async def api(nats_with_users: NatsServer, runner: Client) -> AsyncIterator[Client]:
    connection = await nats_connection.connect(nats_with_users.user("api"), "api")
    yield connection
    await nats_connection.close(connection)


async def say(runner: Client, run_id: int, *messages: dict[str, object]) -> None:
    """Returns when the stream has stored them all."""
    for message in messages:
        await runner.publish(f"joblog.CLEAN_UP.{run_id}", msgspec.json.encode({"time": NOW, **message}))
    await runner.jetstream().publish("joblog.CLEAN_UP.999", b"the last one")


async def test_the_newest_lines_are_kept_and_the_others_counted(runner: Client, api: Client) -> None:
    await say(runner, 7, *({"event": f"line {number}"} for number in range(2_050)), {"progress": {"done": 1}})
    await say(runner, 8, {"event": "of another run"})
    found = await job_log.read(api, "CLEAN_UP", 7, keep=3)
    assert [line.event for line in found.lines] == ["line 2047", "line 2048", "line 2049"]
    assert found.left_out == 2_047
    assert found.progress == Progress(1)


async def test_a_run_that_said_nothing(runner: Client, api: Client) -> None:
    assert await job_log.read(api, "CLEAN_UP", 7) == job_log.JobLog([], 0, None)
    assert await job_log.latest_progress(api, "CLEAN_UP", 7) is None


async def test_the_latest_progress(runner: Client, api: Client) -> None:
    await say(runner, 7, {"progress": {"done": 1}}, {"event": "x"}, {"progress": {"done": 2, "total": 4, "text": "b"}})
    assert await job_log.latest_progress(api, "CLEAN_UP", 7) == Progress(2, 4, "b")


async def test_what_is_no_line_is_left_out(runner: Client, api: Client) -> None:
    await say(runner, 999, {"event": "readable"}, {"event": 3}, {"nothing": 1})
    found = await job_log.read(api, "CLEAN_UP", 999)
    assert [line.event for line in found.lines] == ["readable"]


async def test_without_nats_it_is_said_at_once(nats_with_users: NatsServer, api: Client) -> None:
    nats_with_users.kill()
    async with asyncio.timeout(5):
        with pytest.raises(LogUnavailable):
            await job_log.read(api, "CLEAN_UP", 7)
