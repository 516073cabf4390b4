"""The API as one Litestar app. Nothing connects before its lifespan begins, and nothing that is away stops it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, Reference, SecurityScheme
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from nats.aio.client import Client

from services.api import events, health, panel, problems, security
from services.api.access import pages
from services.api.access.gate import COOKIE, gate, provide_identity
from services.api.access.lookups import Lookups
from services.api.access.uses import Uses
from services.api.changes import Changes
from services.api.commands.bulk_work import BulkWork
from services.api.front.reception import reception
from services.api.front.strict import rules_of, strict
from services.api.front.throttle import Throttle
from services.api.history import queries
from services.api.history.projector import Projector
from services.api.history.renewal import renew
from services.api.history.work import Workshop
from services.api.http.access import AccessController
from services.api.http.bulk import bulk_router
from services.api.http.history import history_router
from services.api.http.jobs import JobController
from services.api.http.ledger import ledger_router
from services.api.http.order import order
from services.api.http.replay import ReplayController
from services.api.http.runs import RunController
from services.api.http.wanted import wanted
from services.api.job_log import Tails
from services.api.openapi import served
from services.api.panel.away import told_at_once
from services.api.panel.shared import Shared, shared
from services.api.past import History
from services.api.pool import create_pool
from services.api.pulse import Pulse
from services.api.request_schemas import ClosedStructs
from services.api.surroundings import Surroundings
from services.api.told import Told
from services.infra import logs
from services.infra.clock import SystemClock
from services.infra.lifecycle import end
from services.infra.settings import ApiSettings
from services.log import connection as nats_connection
from services.log.append import EventLog
from services.log.protocol import harden

log = logs.get()

BODY_LIMIT: Final = 512 * 1024
"""Bytes of a request's body; params may take half of it."""


def create_app(
    settings: ApiSettings,
    *,
    stop: asyncio.Event | None = None,
    on_nats_closed: Callable[[], Awaitable[None]] | None = None,
) -> Litestar:
    """The app. stop: set it to end open event streams, before the server is told to stop.

    on_nats_closed: called when the NATS client has given up for good, after which the process should be started anew.
    """
    stop = stop or asyncio.Event()

    @asynccontextmanager
    async def resources(app: Litestar) -> AsyncIterator[None]:
        client, pool = harden(Client()), create_pool(settings.database_url)
        changes = Changes(settings.database_url)
        projector = Projector(client, settings.database_url, settings.instance)
        workshop = Workshop(settings)
        event_log = EventLog(client, SystemClock(settings.clock_file), f"/kronik/api/{settings.instance}")
        past = History(event_log, pool, changes)
        pulse = Pulse(past, projector)
        surroundings = Surroundings(past)
        app.state.update(throttle=Throttle(), pulse=pulse, tails=Tails(), surroundings=surroundings)
        app.state.uses = uses = Uses()
        app.state.update(told=(told := Told(changes, pulse)), shared=Shared(told), lookups=Lookups(pool))
        app.state.update(
            pool=pool, log=event_log, changes=changes, projector=projector, past=past, stop=stop, workshop=workshop
        )
        connecting = nats_connection.connect(
            settings.nats_url,
            f"api-{settings.instance}",
            on_nats_closed,
            patience_s=settings.nats_patience_s,
            client=client,
            alone=True,
        )
        work, renewing = BulkWork(past), renew(settings.database_url, workshop)
        running = (connecting, changes.run(), projector.run(), past.presence.listen(client), work.run(), renewing)
        tasks = [asyncio.ensure_future(one) for one in running]
        try:
            await pool
            tasks += [asyncio.create_task(one) for one in (pulse.run(), surroundings.run(), told.run())]
            yield
        finally:
            stop.set()
            await end([*tasks, *uses.writing])
            await workshop.close()
            await nats_connection.close(client)
            pool.terminate()

    app = Litestar(
        route_handlers=[_admin_api(), *health.routes, *pages.routes, _panel()],
        lifespan=[resources],
        dependencies=_dependencies(),
        exception_handlers=panel.HANDLERS,
        response_headers=security.HEADERS,
        request_max_body_size=BODY_LIMIT,
        openapi_config=_openapi(),
        plugins=[ClosedStructs()],
        logging_config=None,
        debug=False,
    )
    app.state.openapi = served.document_of(app)
    app.state.rules = rules_of(app.state.openapi)
    app.asgi_handler = reception(app.asgi_handler)
    return app


def _dependencies() -> dict[str, Provide]:
    def from_state(name: str) -> Provide:
        def provide(state: State) -> Any:
            return state[name]

        return Provide(provide, sync_to_thread=False)

    names = ("pool", "log", "changes", "past", "stop", "workshop", "pulse", "tails", "told")
    provided = {name: from_state(name) for name in names}
    asked = {"wanted": Provide(wanted), "order": Provide(order)}
    return {**provided, **asked, "identity": Provide(provide_identity, sync_to_thread=False)}


def _admin_api() -> Router:
    return Router(
        "/api/admin",
        route_handlers=[
            *(history_router, ReplayController, RunController, JobController),
            *(bulk_router, ledger_router, events.events, AccessController),
        ],
        middleware=[_position, gate, strict],
        exception_handlers=problems.HANDLERS,
        security=[{"token": []}, {"session": []}],
    )


def _position(app: ASGIApp) -> ASGIApp:
    """Every answer says at which event of the stream the history stood when it was asked, or a later one."""

    async def with_position(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            position = str((await queries.position(scope["litestar_app"].state.pool)).sequence)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            position = ""

        async def send_on(message: Message) -> None:
            if position and message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"kronik-position", position.encode())]
            await send(message)

        await app(scope, receive, send_on)

    return with_position


def _panel() -> Router:
    return Router("/", route_handlers=[panel.panel_router], middleware=[told_at_once, gate, shared])


def _openapi() -> OpenAPIConfig:
    schemes: dict[str, SecurityScheme | Reference] = {
        "token": SecurityScheme(type="http", scheme="bearer", description="A token of an account: `kronik_…`"),
        "session": SecurityScheme(type="apiKey", name=COOKIE, security_scheme_in="cookie"),
    }
    return OpenAPIConfig(
        title="Kronik",
        version="1",
        openapi_router=served.router(),
        description="Runs of jobs: their history, and running them. Errors are problem details (RFC 9457).",
        components=Components(security_schemes=schemes),
        use_handler_docstrings=True,
        render_plugins=served.plugins,
    )
