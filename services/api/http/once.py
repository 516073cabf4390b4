"""An `Idempotency-Key` on any POST: asked again within a week, the same request is answered as then, not done again.

Trigger and rerun need none of this: their key is the event's id, and holds for ever.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response
from litestar.params import HeaderParameter

from services.api.access.store import Identity
from services.api.history.queries import Pool
from services.api.problems import BUSY, KEY_REUSED, Problem
from services.infra import sql

Key = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="Makes asking again safe: the same account's same key is the same request, done once",
    ),
]

_JSON: Final = "application/json"


async def once(
    pool: Pool, request: Request[Identity, Any, Any], key: str | None, work: Callable[[], Awaitable[Any]]
) -> Response[Any]:
    """What `work` answers; with a key, what it answered the first time. Raises Problem, and what `work` raises."""
    if key is None:
        return Response(await work(), status_code=200)
    account, asked = int(request.user.user_id), await _request(request)
    key = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    if not await pool.fetchval(_sql("claim_answer"), account, key, asked):
        return await _known(pool, account, key, asked)
    try:
        body = msgspec.json.encode(await work())
    except BaseException:
        await pool.execute(_sql("forget_answer"), account, key)
        raise
    await pool.execute(_sql("keep_answer"), account, key, 200, body)
    await pool.execute(_sql("forget_old_answers"))
    return Response(body, status_code=200, media_type=_JSON)


async def _known(pool: Pool, account: int, key: str, asked: bytes) -> Response[Any]:
    row = await pool.fetchrow(_sql("answer"), account, key)
    if row is not None and row["request"] != asked:
        raise Problem(KEY_REUSED, "This Idempotency-Key belongs to another request of this account.")
    if row is None or row["status"] is None:
        detail = "The first request with this Idempotency-Key is still being worked on: try again."
        raise Problem(BUSY, detail, headers={"Retry-After": "1"})
    return Response(row["body"], status_code=row["status"], media_type=_JSON)


async def _request(request: Request[Identity, Any, Any]) -> bytes:
    """Two requests are the same when they would do the same."""
    head = f"{request.method} {request.url.path}?{request.url.query}\0".encode()
    return hashlib.sha256(head + await request.body()).digest()


def _sql(name: str) -> str:
    return sql.load("services.api.http", f"sql/{name}.sql")
