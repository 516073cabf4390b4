"""Nothing is open: who comes in, and what each role may do."""

import re

import pytest

from services.api.access import store
from services.api.access.gate import COOKIE
from services.api.history.tables import Connection
from tests.integration.api.conftest import JOB, Api, Stream

OPEN = {"/health/live", "/health/ready"}


async def test_every_path_of_the_schema_wants_an_identity(api: Api) -> None:
    document = (await api.http.get("/schema/openapi.json", headers=api.viewer)).json()
    calls = [(path, method) for path, methods in document["paths"].items() for method in methods if path not in OPEN]
    assert len(calls) > 8
    for path, method in calls:
        answer = await api.http.request(method, re.sub(r"\{\w+\}", "1", path))
        assert (path, answer.status_code) == (path, 401)
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "authorization", ["Bearer kronik_wrong", "Bearer ", "Basic YWRtaW46YWRtaW4=", "kronik", "Bearer é"]
)
async def test_a_wrong_authorization_is_401(api: Api, authorization: str) -> None:
    answer = await api.http.get("/api/admin/job-run", headers={b"Authorization": authorization.encode()})
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:kronik:problem:not-signed-in")
    assert answer.headers["WWW-Authenticate"]


async def test_a_revoked_token_is_401(api: Api, db: Connection) -> None:
    account = await store.create_account(db, "leaver", "admin")
    headers = {"Authorization": f"Bearer {await store.create_token(db, account, 'laptop')}"}
    assert (await api.http.get("/api/admin/job-run", headers=headers)).status_code == 200
    await store.revoke_tokens(db, account, "laptop")
    assert (await api.http.get("/api/admin/job-run", headers=headers)).status_code == 401


async def test_a_role_does_what_it_may_and_no_more(api: Api, stream: Stream) -> None:
    await api.projected(await stream.define())
    calls = {
        "job-run/trigger": ({"jobType": JOB}, {"viewer": 403, "operator": 201, "admin": 201}),
        "job-run/99/rerun": (None, {"viewer": 403, "operator": 404, "admin": 404}),
        "job-run/99/cancel": (None, {"viewer": 403, "operator": 404, "admin": 404}),
        f"job/{JOB}/schedule": ({"paused": True}, {"viewer": 403, "operator": 403, "admin": 200}),
        f"job/{JOB}/pause": (None, {"viewer": 403, "operator": 403, "admin": 200}),
        f"job/{JOB}/resume": (None, {"viewer": 403, "operator": 403, "admin": 200}),
        f"job/{JOB}/retire": (None, {"viewer": 403, "operator": 403, "admin": 200}),
    }
    for path, (body, expected) in calls.items():
        headers = {"viewer": api.viewer, "operator": api.operator, "admin": api.admin}
        for role, status in expected.items():
            answer = await api.http.post(f"/api/admin/{path}", json=body, headers=headers[role])
            assert (path, role, answer.status_code) == (path, role, status), answer.text


async def test_the_bare_address_leads_to_the_panel(api: Api) -> None:
    answer = await api.http.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/system")


async def test_a_link_signs_in_once(api: Api, db: Connection) -> None:
    link = await store.create_sign_in_link(db, await store.ensure_admin(db))
    first = await api.http.get(f"/sign-in/{link}")
    assert (first.status_code, first.headers["Location"]) == (303, "/admin/system")
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert "secure" not in cookie.lower()
    assert (await api.http.get("/api/admin/job-run")).status_code == 200
    api.http.cookies.clear()
    assert (await api.http.get(f"/sign-in/{link}")).status_code == 403


async def test_an_old_link_and_an_old_session_are_refused(api: Api, db: Connection) -> None:
    account = await store.ensure_admin(db)
    link, stale = await store.create_sign_in_link(db, account), await store.create_sign_in_link(db, account)
    session = await store.use_sign_in_link(db, link)
    await db.execute("UPDATE access.sign_in_link SET expires_at = now()")
    assert (await api.http.get(f"/sign-in/{stale}")).status_code == 403
    await db.execute("UPDATE access.session SET expires_at = now()")
    answer = await api.http.get("/api/admin/job-run", headers={"Cookie": f"{COOKIE}={session}"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "http://kronik.test"}, 201),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://kronik.test"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
    ],
)
async def test_a_cookie_changes_things_from_our_own_pages_alone(
    api: Api, stream: Stream, db: Connection, headers: dict[str, str], status: int
) -> None:
    await api.projected(await stream.define())
    link = await store.create_sign_in_link(db, await store.ensure_admin(db))
    cookie = {"Cookie": f"{COOKIE}={await store.use_sign_in_link(db, link)}"}
    answer = await api.http.post("/api/admin/job-run/trigger", json={"jobType": JOB}, headers={**cookie, **headers})
    assert answer.status_code == status


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language": "da"}


@pytest.mark.parametrize(
    ("path", "status", "type", "said"),
    [
        ("/sign-in/used", 403, "link-used-up", ["Linket logger ikke længere ind", "kronik signin"]),
        ("/admin/system", 401, "not-signed-in", ["Log ind", "kronik signin"]),
        ("/admin/nowhere", 404, "not-found", ["Her er ikke noget", 'href="/admin/system"']),
    ],
)
async def test_a_browser_gets_a_page_and_a_program_problem_details(
    api: Api, path: str, status: int, type: str, said: list[str]
) -> None:
    page = await api.http.get(path, headers=BROWSER)
    assert (page.status_code, page.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert [one for one in said if one not in page.text] == []
    english = await api.http.get(path, headers={**BROWSER, "Accept-Language": "en"})
    assert said[0] not in english.text

    for accept in ("*/*", "application/json", "application/json, text/html;q=0.9"):
        answer = await api.http.get(path, headers={"Accept": accept})
        assert (answer.status_code, answer.json()["type"]) == (status, f"urn:kronik:problem:{type}")


async def test_the_api_itself_answers_problem_details_whatever_is_accepted(api: Api) -> None:
    answer = await api.http.get("/api/admin/job-run", headers=BROWSER)
    assert (answer.status_code, answer.headers["Content-Type"]) == (401, "application/problem+json")
    assert answer.headers["WWW-Authenticate"]


async def test_signing_out_ends_the_session(api: Api, db: Connection) -> None:
    link = await store.create_sign_in_link(db, await store.ensure_admin(db))
    cookie = {"Cookie": f"{COOKIE}={await store.use_sign_in_link(db, link)}"}
    answer = await api.http.post("/sign-out", headers={**cookie, "Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 303
    assert (await api.http.get("/api/admin/job-run", headers=cookie)).status_code == 401


async def test_no_secret_is_stored(db: Connection) -> None:
    account = await store.ensure_admin(db)
    token, link = await store.create_token(db, account, "t"), await store.create_sign_in_link(db, account)
    rows = [*await db.fetch("SELECT * FROM access.token"), *await db.fetch("SELECT * FROM access.sign_in_link")]
    assert len(rows) == 2
    assert not any(secret in repr(row) for row in rows for secret in (token, link))


async def test_answers_carry_the_headers_that_keep_browsers_safe(api: Api) -> None:
    for path in ("/health/live", "/api/admin/job-run", "/nowhere"):
        answer = await api.http.get(path)
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"], path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
