"""Readiness says what is wrong, in words: with this process, and with the others."""

import asyncio
from typing import Any

import msgspec

from services.api.history.tables import Connection
from tests.integration.api.conftest import JOB, Api, Stream


async def said(api: Api) -> tuple[int, str, str]:
    answer = await api.http.get("/health/ready")
    return answer.status_code, answer.json()["status"], "; ".join(answer.json()["reasons"])


async def until(api: Api, word: str) -> tuple[int, str, str]:
    """As soon as the status is this word, or a reason has it in it."""
    async with asyncio.timeout(30):
        while word not in ((found := await said(api))[1], *found[2].split(": "), *found[2].split("; ")):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    return found


async def test_who_does_not_do_their_part_is_named_and_the_api_goes_on(api: Api, stream: Stream) -> None:
    assert await until(api, "ready") == (200, "ready", "")
    assert (await api.http.get("/health/ready", params={"everything": "true"})).status_code == 200
    await api.projected(await stream.define())
    status, word, reasons = await until(api, f"no runner serves {JOB}")
    assert (status, word) == (200, "degraded")
    monitored = await api.http.get("/health/ready", params={"everything": "true"})
    assert (monitored.status_code, monitored.json()["status"]) == (503, "degraded")
    assert "no scheduler follows the stream (schedules)" in reasons


async def test_a_history_that_is_locked_is_not_ready(api: Api, stream: Stream, db: Connection) -> None:
    await api.projected(await stream.run())
    async with db.transaction():
        await db.execute("LOCK TABLE history.run IN ACCESS EXCLUSIVE MODE")
        status, word, reasons = await said(api)
        assert (status, word) == (503, "unready")
        assert "locked" in reasons


async def test_a_stream_at_its_limit_is_not_ready(api: Api, stream: Stream) -> None:
    await stream.run()
    config: dict[str, Any] = await jobs_stream(api)
    await api_call(api, "UPDATE", {**config, "max_msgs": 3})
    status, word, reasons = await said(api)
    assert (status, word) == (503, "unready")
    assert "at its limit" in reasons


async def jobs_stream(api: Api) -> dict[str, Any]:
    config: dict[str, Any] = (await api_call(api, "INFO", None))["config"]
    return config


async def api_call(api: Api, verb: str, body: dict[str, Any] | None) -> dict[str, Any]:
    payload = b"" if body is None else msgspec.json.encode(body)
    answer = await api.app.state.log.connection.request(f"$JS.API.STREAM.{verb}.JOBS", payload, timeout=5)
    decoded: dict[str, Any] = msgspec.json.decode(answer.data)
    assert "error" not in decoded, decoded
    return decoded
