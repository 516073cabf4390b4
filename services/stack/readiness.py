"""When everything answers: the API is ready, and for every job module a runner waits for work."""

import asyncio
from collections import Counter
from collections.abc import Callable

import httpx
from nats.aio.client import Client

from services.log import jetstream

_LOOK_EVERY_S = 0.05
_SAID_WITHIN_S = 1.0


async def until(true: Callable[[], bool]) -> None:
    """Look until it is so; waits as long as it takes."""
    while True:
        if true():
            return
        await asyncio.sleep(_LOOK_EVERY_S)


async def wait_for_api(url: str, token: str) -> None:
    """Return once it says that it is ready and knows jobs; waits as long as it takes."""
    async with _api(url, token) as api:
        await _until_answered(api, "/health/ready")
        await _until_answered(api, "/api/admin/job")


def _api(url: str, token: str) -> httpx.AsyncClient:
    # Plain HTTP on loopback: what would verify certificates is a megabyte, for as long as `up` lives.
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, verify=False)


async def _until_answered(api: httpx.AsyncClient, path: str) -> None:
    while True:
        if await _answers(api, path):
            return
        await asyncio.sleep(_LOOK_EVERY_S)


async def _answers(api: httpx.AsyncClient, path: str) -> bool:
    try:
        answer = await api.get(path, timeout=5)
    except httpx.TransportError:
        return False
    # A list of jobs that is still empty is no answer yet; the health page is never empty.
    return answer.status_code == 200 and answer.content.strip() not in (b"", b"[]")


async def executing(url: str, token: str) -> Counter[str]:
    """How many runs of each job are being worked on; none where nobody says so at once."""
    try:
        async with _api(url, token) as api:
            answer = await api.get("/api/admin/job-run?phase=executing&limit=100", timeout=_SAID_WITHIN_S)
    except httpx.HTTPError:
        return Counter()
    return Counter(run["jobType"] for run in answer.json()) if answer.status_code == httpx.codes.OK else Counter()


async def wait_for_runner(connection: Client, jobs: int) -> None:
    """Return once runners have been seen waiting for triggers of so many jobs; waits as long as it takes."""
    listening: set[str] = set()
    while True:
        listening |= await _listening(connection)
        if len(listening) >= jobs:
            return
        await asyncio.sleep(_LOOK_EVERY_S)


async def _listening(connection: Client) -> set[str]:
    consumers = await jetstream.consumers(connection)
    return {each.name for each in consumers if each.name.startswith("runner-") and each.num_waiting > 0}
