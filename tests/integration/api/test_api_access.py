"""Nothing is open: who comes in, and what each role may do."""

import asyncio
import re

import pytest
from kronik.errors import InvalidName

from services.api.access import store
from services.api.access.gate import COOKIE
from services.api.front.throttle import TRIES
from services.api.history.tables import Connection
from services.api.panel import rendering
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


WRONG_AUTHORIZATIONS = ["Bearer kronik_wrong", "Bearer ", "Basic YWRtaW46YWRtaW4=", "kronik", "Bearer é"]


async def test_a_wrong_authorization_is_401(api: Api, subtests: pytest.Subtests) -> None:
    for authorization in WRONG_AUTHORIZATIONS:
        with subtests.test(authorization=authorization):
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


async def test_a_link_shows_a_button_as_often_as_it_is_looked_at_and_the_button_signs_in_once(
    api: Api, db: Connection
) -> None:
    link = await store.create_sign_in_link(db, await store.ensure_admin(db))
    for method in ("GET", "GET", "HEAD"):
        page = await api.http.request(method, f"/sign-in/{link}")
        assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
        assert "Set-Cookie" not in page.headers
        assert method == "HEAD" or re.search('<form [^>]*method="post"[^>]*><button', page.text)
    first = await api.http.post(f"/sign-in/{link}", headers={"Origin": "http://kronik.test"})
    assert (first.status_code, first.headers["Location"]) == (303, "/admin/system")
    assert first.headers["Cache-Control"] == "no-store"
    cookie = first.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert "secure" not in cookie.lower()
    assert (await api.http.get("/api/admin/job-run")).status_code == 200
    api.http.cookies.clear()
    for method in ("GET", "POST"):
        used = await api.http.request(method, f"/sign-in/{link}")
        assert (used.status_code, used.headers["Cache-Control"]) == (403, "no-store")


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.test"}])
async def test_another_site_signs_nobody_in(api: Api, db: Connection, headers: dict[str, str]) -> None:
    link = await store.create_sign_in_link(db, await store.ensure_admin(db))
    assert (await api.http.post(f"/sign-in/{link}", headers=headers)).status_code == 403
    assert (await api.http.post(f"/sign-in/{link}")).status_code == 303


async def test_who_sends_wrong_secrets_has_to_wait_and_whom_it_knows_does_not(api: Api, db: Connection) -> None:
    assert (await api.get("job-run")).status_code == 200
    link = await store.create_sign_in_link(db, await store.ensure_admin(db))
    wrong = [{"Authorization": f"Bearer kronik_{n}"} for n in range(TRIES + 5)]
    answers = [await api.http.get("/api/admin/job-run", headers=headers) for headers in wrong]
    assert [answer.status_code for answer in answers[:TRIES]] == [401] * TRIES
    assert {answer.status_code for answer in answers[TRIES:]} == {429}
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 7
    assert (await api.http.get(f"/sign-in/{link}")).status_code == 429
    assert (await api.http.get("/api/admin/job-run", headers={"Cookie": f"{COOKIE}=x"})).status_code == 429
    assert (await api.get("job-run")).status_code == 200


async def test_an_event_stream_ends_with_the_session_or_token_that_opened_it(api: Api, db: Connection) -> None:
    account = await store.create_account(db, "leaver", "viewer")
    token = await store.create_token(db, account, "laptop")
    link = await store.create_sign_in_link(db, account)
    session = await store.use_sign_in_link(db, link)
    streams = [
        asyncio.create_task(api.http.get("/api/admin/events", headers=headers, timeout=60))
        for headers in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"{COOKIE}={session}"})
    ]
    await asyncio.sleep(0)
    await store.revoke_tokens(db, account, "laptop")
    await db.execute("UPDATE access.session SET expires_at = now()")
    async with asyncio.timeout(20):
        ended = await asyncio.gather(*streams)
    assert {answer.status_code for answer in ended} <= {200, 401}


UNSEEN_NAMES = ["", " ", "x" * 101, "a\nb", " a", "\u202etxt"]


async def test_what_nobody_can_see_is_no_name(db: Connection, subtests: pytest.Subtests) -> None:
    for name in UNSEEN_NAMES:
        with subtests.test(name=name):
            account = await store.ensure_admin(db)
            with pytest.raises(InvalidName):
                await store.create_token(db, account, name)
            with pytest.raises(InvalidName):
                await store.create_account(db, name, "viewer")


async def test_an_old_link_and_an_old_session_are_refused(api: Api, db: Connection) -> None:
    account = await store.ensure_admin(db)
    link, stale = await store.create_sign_in_link(db, account), await store.create_sign_in_link(db, account)
    session = await store.use_sign_in_link(db, link)
    await db.execute("UPDATE access.sign_in_link SET expires_at = now()")
    assert (await api.http.get(f"/sign-in/{stale}")).status_code == 403
    await db.execute("UPDATE access.session SET expires_at = now()")
    answer = await api.http.get("/api/admin/job-run", headers={"Cookie": f"{COOKIE}={session}"})
    assert answer.status_code == 401


FROM = [
    ({"Sec-Fetch-Site": "same-origin"}, 201),
    ({"Origin": "http://kronik.test"}, 201),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "http://kronik.test"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Origin": "http://evil.test"}, 403),
    ({"Origin": "null"}, 403),
    ({}, 403),
]


async def test_a_cookie_changes_things_from_our_own_pages_alone(
    api: Api, stream: Stream, db: Connection, subtests: pytest.Subtests
) -> None:
    for headers, status in FROM:
        with subtests.test(headers=headers):
            await api.projected(await stream.define())
            link = await store.create_sign_in_link(db, await store.ensure_admin(db))
            cookie = {"Cookie": f"{COOKIE}={await store.use_sign_in_link(db, link)}"}
            answer = await api.http.post(
                "/api/admin/job-run/trigger", json={"jobType": JOB}, headers={**cookie, **headers}
            )
            assert answer.status_code == status


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language": "da"}


PAGES = [
    ("/sign-in/used", 403, "link-used-up", ["Linket logger ikke længere ind", "kronik signin"]),
    ("/admin/system", 401, "not-signed-in", ["Log ind", "kronik signin"]),
    ("/admin/nowhere", 404, "not-found", ["Her er ikke noget", 'href="/admin/system"']),
]


async def test_a_browser_gets_a_page_and_a_program_problem_details(api: Api, subtests: pytest.Subtests) -> None:
    for path, status, type, said in PAGES:
        with subtests.test(path=path):
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
    asset = rendering.asset("panel.js")
    paths = {
        "/health/live": 200,
        "/api/admin/job-run": 401,
        "/nowhere": 404,
        asset: 200,
        "/admin/static/nothing.js": 404,
        "/admin/static/x%00": 404,
        "/admin/static/%2e%2e/app.py": 404,
        f"/admin/static/{'x' * 300}": 404,
        "/sign-in/x": 403,
        f"/{'x' * 9000}": 414,
    }
    for path, status in paths.items():
        for method in ("GET", "HEAD"):
            answer = await api.http.request(method, path)
            assert (path[:40], answer.status_code) == (path[:40], status)
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"], path[:40]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["Referrer-Policy"] == "same-origin"
            assert len(answer.headers["X-Request-Id"]) == 32
            assert method == "GET" or answer.content == b""


async def test_the_documents_are_there_for_who_may_read_and_need_nothing_from_elsewhere(api: Api) -> None:
    for path, type, said in (
        ("/schema", "text/html", "/api/admin/job-run/trigger"),
        ("/schema/openapi.json", "application/vnd.oai.openapi+json", '"openapi":"3.1'),
        ("/schema/openapi.yaml", "application/vnd.oai.openapi", "openapi: 3.1"),
        ("/schema/asyncapi.json", "application/json", '"asyncapi"'),
    ):
        assert (await api.http.get(path)).status_code == 401
        answer = await api.http.get(path, headers=api.viewer)
        assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (200, type)
        assert said in answer.text
        assert "://" not in "".join(re.findall(r'(?:src|href)="([^"]*)"', answer.text))


async def test_who_signed_in_and_what_is_used_is_told_to_admins(api: Api, db: Connection) -> None:
    account = await store.create_account(db, "anna", "operator")
    secret = await store.create_sign_in_link(db, account)
    long_ago = "INSERT INTO access.sign_in (account_id, signed_in_at, address, agent)"
    await db.execute(f"{long_ago} VALUES ($1, now() - interval '2 years', '', '')", int(account))
    await api.http.post(f"/sign-in/{secret}", headers={"User-Agent": "Mozilla/5.0 (X11; Linux) Firefox/140.0"})

    async def told(what: str) -> list[dict[str, str]]:
        answer = await api.http.get(f"/api/admin/access/{what}", headers=api.admin)
        return list(answer.json())

    signed_in = await told("sign-in")
    assert [(one["account"], one["address"]) for one in signed_in] == [("anna", "127.0.0.1")]
    assert "Firefox" in signed_in[0]["agent"]
    assert [one["account"] for one in await told("session")] == ["anna"]
    assert {"name": "anna", "role": "operator"}.items() <= next(
        one for one in await told("account") if one["name"] == "anna"
    ).items()
    async with asyncio.timeout(10):
        while not any(one["usedAt"] and one["usedFrom"] == "127.0.0.1" for one in await told("token")):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    for headers in (api.viewer, api.operator):
        assert (await api.http.get("/api/admin/access/sign-in", headers=headers)).status_code == 403
