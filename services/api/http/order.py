"""What somebody asks to be done: planned where it is a dry run, else done, once for an Idempotency-Key."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Request, Response
from litestar.di import NamedDependency
from msgspec import Struct

from services.api.access.store import Identity
from services.api.http.dry_run import DryRun
from services.api.http.once import Key, once
from services.api.past import History


class Order(Struct, frozen=True):
    past: History
    request: Request[Identity, Any, Any]
    key: str | None
    dry: bool

    @property
    def by(self) -> Identity:
        return self.request.user

    async def carry_out(self, plan: Callable[[], Awaitable[Any]], apply: Callable[[], Awaitable[Any]]) -> Response[Any]:
        """Raises Problem, and what either of them raises."""
        if self.dry:
            return Response(await plan(), status_code=200)
        return await once(self.past.pool, self.request, self.key, apply)


async def order(
    request: Request[Identity, Any, Any],
    past: NamedDependency[History],
    idempotency_key: Key = None,
    dry_run: DryRun = False,
) -> Order:
    """A dependency of handlers."""
    return Order(past, request, idempotency_key, dry_run)
