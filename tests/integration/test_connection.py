"""A service never lives on deaf: it notices that NATS answers nothing, and that another has its name, and ends."""

import asyncio
import contextlib
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from services.infra.clock import monotonic_s
from services.log import connection as nats_connection
from services.log.connection import NO_CONNECTION
from tests import processes, servers


@contextlib.asynccontextmanager
async def connected(url: str, name: str, **more: float) -> AsyncIterator[tuple[Client, asyncio.Event]]:
    lost = asyncio.Event()

    async def on_lost() -> None:
        lost.set()

    client = await nats_connection.connect(url, name, on_lost, alone=True, **more)
    try:
        yield client, lost
    finally:
        await nats_connection.close(client)


async def test_who_closes_has_not_lost_its_connection(nats_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(nats_connection.log, "warning", lambda event, **_: warned.append(event))
    await nats_connection.close(await nats_connection.connect(nats_url, "verify"))
    assert warned == []


async def test_a_server_that_answers_nothing_is_no_connection(nats_server: servers.NatsServer) -> None:
    """It hangs with the connection open: what the client believes of itself says nothing."""
    async with connected(nats_server.url, "api-1", patience_s=4) as (client, lost):
        nats_server.freeze()
        began = monotonic_s()
        async with asyncio.timeout(40):
            await lost.wait()
        nats_server.start()
        assert monotonic_s() - began >= 4
        assert client.last_error is None or not client.is_closed


async def test_the_second_of_one_name_is_told_and_the_first_goes_on(nats_url: str) -> None:
    async with (
        connected(nats_url, "runner-a b.>") as (_, first_lost),
        connected(nats_url, "runner-c") as (_, other_lost),
    ):
        async with connected(nats_url, "runner-a b.>") as (_, second_lost):
            async with asyncio.timeout(20):
                await second_lost.wait()
        assert not first_lost.is_set()
        assert not other_lost.is_set()


def test_wrong_passwords_for_a_while_are_survived() -> None:
    """Ten seconds of them ended all reconnecting, and nobody was told."""
    with servers.nats(users=True) as server:
        accounts = Path(server.command.argv[-1])
        good = accounts.read_text()
        with processes.service("runner", nats_url=server.user("runner"), ready="waiting_for_stream") as runner:
            server.kill()
            accounts.write_text(good.replace("runner-secret", "another-secret"))
            server.start()
            runner.wait_for_log("Authorization Violation", count=3)
            server.kill()
            accounts.write_text(good)
            server.start()
            runner.wait_for_log("nats_reconnected", within_s=30)
            assert runner.running


@pytest.mark.parametrize("service", ["api", "scheduler", "runner"])
def test_who_is_not_let_in_ends_with_a_status_that_says_so(service: str) -> None:
    with servers.nats(users=True) as server:
        done = subprocess.run(
            [processes.KRONIK, service],
            env={
                "PATH": str(Path(sys.executable).parent),
                "KRONIK_NATS_URL": re.sub(":[^:@]+@", ":wrong@", server.user(service)),
                "KRONIK_NATS_PATIENCE_S": "2",
                "KRONIK_DATABASE_URL": "postgres://nobody@127.0.0.1:9/none",
                "KRONIK_PORT": "0",
                "KRONIK_LOG_FORMAT": "json",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == NO_CONNECTION, done.stderr[-2000:]
    assert "nats_silent" in done.stderr
    assert "Authorization Violation" in done.stderr


def test_two_services_with_one_name_are_told_apart_and_one_ends(nats_url: str, nats_client: Client) -> None:
    with processes.runner(nats_url, instance="twin") as first:
        with processes.service("runner", ready="instance_taken", nats_url=nats_url, instance="twin") as second:
            assert second.ended() == NO_CONNECTION
        assert first.running
