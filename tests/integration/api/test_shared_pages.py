"""Open pages that ask for themselves anew, many at a time."""

import asyncio
import re

from kronik.events import Completed
from litestar.types import Message, Receive, Scope, Send

from services.api.access import store
from services.api.access.gate import COOKIE
from services.api.changes import Changes
from services.api.panel.shared import Key, Page, Shared
from services.api.pulse import FIRST
from services.api.told import Told
from tests.integration.api.conftest import STARTED, Api, Stream, identify
from tests.integration.api.conftest import Connection as Db

KEY = ("", "/admin/system", "", "en", "viewer")


async def refreshed(api: Api, who: dict[str, str], path: str = "/admin/system") -> str:
    answer = await api.http.get(path, headers={**who, "Accept": "text/html", "X-Kronik-Refresh": "1"})
    answer.raise_for_status()
    return answer.text


def form_key(page: str) -> str | None:
    """Each rendering for somebody who may run jobs has one of its own."""
    found = re.search(r'name="key" value="(\w+)"', page)
    return found and found[1]


async def test_many_get_what_was_made_once_and_after_news_what_is_so(api: Api, stream: Stream, db: Db) -> None:
    await api.projected(await stream.define())
    run_id = await stream.trigger()
    await api.projected(run_id)
    async with asyncio.timeout(20):
        while True:  # what is told meanwhile parts them, rightly
            number = api.app.state.told.number
            pages = set(await asyncio.gather(*(refreshed(api, api.admin) for _ in range(50))))
            if number == api.app.state.told.number:
                break
    assert len(pages) < 10  # one, on a machine that is not held up for half a second
    last = await stream.go_on(run_id, STARTED, Completed(1, {}))
    await api.projected(last)
    changes = api.app.state.changes
    with changes.waiting() as news:
        while changes.position < last or api.app.state.told.number == number:
            await news.next(within_s=0.1)
    after = await refreshed(api, api.admin)
    assert f'data-at="{last}"' in after
    assert form_key(after) not in map(form_key, pages)


async def test_a_page_is_shared_by_those_alone_who_see_the_same_and_names_none_of_them(
    api: Api, stream: Stream, db: Db
) -> None:
    await api.projected(await stream.define())
    pages = {role: await refreshed(api, getattr(api, role)) for role in ("admin", "operator", "viewer")}
    assert form_key(pages["admin"])
    assert form_key(pages["viewer"]) is None
    assert "/schedule" not in pages["operator"]
    assert not [role for role, page in pages.items() if f"{role}-name" in page]
    opened = (await api.http.get("/admin/system", headers={**api.viewer, "Accept": "text/html"})).text
    assert "viewer-name" in opened
    await db.execute("UPDATE access.account SET role = 'viewer' WHERE name = 'admin-name'")
    assert form_key(await refreshed(api, api.admin)) is None


async def test_who_is_revoked_gets_nothing_that_was_made_for_others(api: Api, db: Db) -> None:
    await refreshed(api, api.viewer)
    gone = await identify(db, "viewer")
    await refreshed(api, gone)
    token = gone["Authorization"].split()[1]
    await db.execute("UPDATE access.token SET revoked_at = now() WHERE hash = sha256($1::bytea)", token.encode())
    answer = await api.http.get("/admin/system", headers={**gone, "X-Kronik-Refresh": "1"})
    assert answer.status_code == 401


class _Pulse:
    beat = FIRST


class _Maker:
    """An app whose answer comes when it may. made: how often it was asked."""

    def __init__(self, status: int = 200) -> None:
        self.status, self.made, self.may = status, 0, asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.made += 1
        number = self.made
        await self.may.wait()
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"%d" % number, "more_body": False})


async def _never() -> Message:  # type: ignore[return]
    await asyncio.Event().wait()


async def _got(pages: Shared, maker: _Maker, key: Key = KEY) -> bytes:
    page: Page = await pages.get(key) or await pages.make(key, maker, {}, _never)  # type: ignore[arg-type]
    return page.body


def _told() -> Told:
    return Told(Changes(""), _Pulse())  # type: ignore[arg-type]


async def test_what_is_asked_for_while_it_is_made_is_made_once_and_an_error_is_of_one_alone() -> None:
    for maker, made in ((_Maker(), {b"1"}), (_Maker(503), {b"1", b"2", b"3"})):
        pages = Shared(_told())
        asking = [asyncio.create_task(_got(pages, maker)) for _ in range(3)]
        await asyncio.sleep(0)
        maker.may.set()
        assert set(await asyncio.gather(*asking)) == made


async def test_what_was_begun_before_it_was_told_that_something_changed_is_nobody_elses() -> None:
    told = _told()
    pages, maker = Shared(told), _Maker()
    before = asyncio.create_task(_got(pages, maker))
    await asyncio.sleep(0)
    told.number += 1
    after = asyncio.create_task(_got(pages, maker))
    await asyncio.sleep(0)
    maker.may.set()
    assert [await before, await after] == [b"1", b"2"]
    assert await _got(pages, maker) == b"2"


async def test_a_page_that_knows_who_reads_it_is_not_shared(api: Api, db: Db) -> None:
    async def signed_in() -> dict[str, str]:
        link = await store.create_sign_in_link(db, await store.ensure_admin(db, "admin-name"))
        session = await store.use_sign_in_link(db, link)
        return {"Cookie": f"{COOKIE}={session}"}

    people = await signed_in(), await signed_in()
    one, other = await asyncio.gather(*(refreshed(api, who, "/admin/system/access") for who in people))
    assert one != other
