"""What HTTP itself promises, whatever is asked for."""

import gzip
from typing import Any

import httpx
import pytest

from tests.integration.api.conftest import JOB, Api, Stream

RUNS = "/api/admin/job-run"


@pytest.fixture
async def client(api: Api, stream: Stream) -> httpx.AsyncClient:
    """A viewer's, with some history to read."""
    await stream.define()
    await api.projected([await stream.run() for _ in range(12)][-1] + 2)
    api.http.headers.update(api.viewer)
    return api.http


async def test_head_is_get_without_its_body(client: httpx.AsyncClient) -> None:
    for path in (f"{RUNS}?limit=3", f"{RUNS}/{2}", "/api/admin/job", f"{RUNS}/export", "/health/ready", f"{RUNS}/none"):
        got, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        for name in ("Content-Type", "ETag", "Link", "Kronik-Position"):
            assert head.headers.get(name) == got.headers.get(name), (path, name)


async def test_every_path_tells_its_methods_to_who_may_come_in(client: httpx.AsyncClient, api: Api) -> None:
    expected = {
        RUNS: "GET, HEAD, OPTIONS",
        f"{RUNS}/1/cancel": "OPTIONS, POST",
        f"/api/admin/job/{JOB}": "GET, HEAD, OPTIONS",
    }
    history = ("/api/admin/history/rebuild", "DELETE, GET, HEAD, OPTIONS, POST")
    for path, methods in [*expected.items(), history]:
        told = await client.options(path, headers=api.admin)
        assert (told.status_code, told.headers["Allow"]) == (204, methods), path
        refused = await client.patch(path, headers=api.admin)
        assert (refused.status_code, refused.headers["Allow"]) == (405, methods), path
        assert refused.json()["type"] == "urn:kronik:problem:wrong-method"
    client.headers.clear()
    assert {(await client.options(path)).status_code for path in expected} == {401}


async def test_an_answer_that_is_known_already_is_not_sent_again(client: httpx.AsyncClient, stream: Stream) -> None:
    first = await client.get(RUNS)
    for known in (first.headers["ETag"], f'"other", {first.headers["ETag"]}', "*"):
        again = await client.get(RUNS, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        assert "Content-Type" not in again.headers
    assert (await client.get(RUNS, headers={"If-None-Match": '"other"'})).content == first.content
    assert (await client.get(RUNS, params={"limit": 3})).headers["ETag"] != first.headers["ETag"]
    await stream.run()
    newest = await client.get(f"{RUNS}/{int(first.headers['Kronik-Position']) + 1}", params={"wait": 10})
    assert newest.status_code == 200
    assert (await client.get(RUNS, headers={"If-None-Match": first.headers["ETag"]})).status_code == 200


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("*", True), ("identity", False), ("gzip;q=0", False), ("br", False)],
)
async def test_an_answer_is_compressed_for_who_takes_it(
    client: httpx.AsyncClient, accepted: str, compressed: bool
) -> None:
    plain = await client.get(RUNS, headers={"Accept-Encoding": "identity"})
    async with client.stream("GET", RUNS, headers={"Accept-Encoding": accepted}) as answer:
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers.get("Content-Encoding") == ("gzip" if compressed else None)
    assert (gzip.decompress(raw) if compressed else raw) == plain.content
    assert len(raw) < len(plain.content) or not compressed
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert int(answer.headers["Content-Length"]) == len(raw)
    known = {"Accept-Encoding": accepted, "If-None-Match": plain.headers["ETag"]}
    assert (await client.get(RUNS, headers=known)).status_code == 304


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=UTF-8", 200),
        (None, 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json; charset=utf-16", 415),
    ],
)
async def test_a_body_is_json(client: httpx.AsyncClient, api: Api, kind: str | None, status: int) -> None:
    headers = {**api.operator, **({"Content-Type": kind} if kind else {})}
    path, body = "/api/admin/job-run/trigger?dryRun=true", f'{{"jobType":"{JOB}"}}'
    assert (await client.post(path, content=body, headers=headers)).status_code == status
    large = await client.post(path, content=b" " * 600_000, headers=headers)
    assert (large.status_code, "512 KiB" in large.text) == (413, True)


@pytest.mark.parametrize(("sent", "taken"), [("order-17", True), ("a" * 129, False), ("a b", False), ("", False)])
async def test_a_request_has_an_id_in_its_answer_and_in_the_log(
    client: httpx.AsyncClient, sent: str, taken: bool
) -> None:
    for path in (RUNS, f"{RUNS}/999999", "/nowhere", f"{RUNS}?limit=0"):
        id = (await client.get(path, headers={"X-Request-Id": sent})).headers["X-Request-Id"]
        assert (id == sent) == taken, path
        assert id


async def test_a_document_says_what_is_answered(client: httpx.AsyncClient) -> None:
    document: dict[str, Any] = (await client.get("/schema/openapi.json")).json()
    exported = document["paths"][f"{RUNS}/export"]["get"]["responses"]["200"]["content"]
    for format in ("csv", "jsonl"):
        answer = await client.get(f"{RUNS}/export", params={"format": format})
        assert answer.headers["Content-Type"].partition(";")[0] in exported
    wrong = await client.get("/health/ready", params={"everything": "perhaps"})
    ready = document["paths"]["/health/ready"]["get"]["responses"]
    assert (wrong.status_code, [*ready["400"]["content"]]) == (400, [wrong.headers["Content-Type"]])
    job = document["paths"]["/api/admin/job/{job_type}/pause"]["post"]
    assert job["requestBody"]["required"] is False
    schedule = document["paths"]["/api/admin/job/{job_type}/schedule"]["post"]
    assert schedule["requestBody"]["required"] is True
