"""Where the panel stands in the API: its pages behind the gate, its static files before it."""

from typing import Any, Final

from litestar import Router
from litestar.datastructures import CacheControlHeader
from litestar.static_files import create_static_files_router

from services.api.panel import actions
from services.api.panel.pages import (
    access,
    bulk,
    calendar,
    history,
    job,
    journal,
    run,
    run_form,
    schedule,
    system,
    truth,
)
from services.api.panel.rendering import STATIC, STATIC_PATH, before_page

_handlers: list[Any] = [
    *system.routes,
    *history.routes,
    *job.routes,
    *run.routes,
    *run_form.routes,
    *schedule.routes,
    *bulk.routes,
    *calendar.routes,
    *journal.routes,
    *truth.routes,
    *access.routes,
    *actions.routes,
]
_pages = Router("/", route_handlers=_handlers, before_request=before_page)
_static = create_static_files_router(
    STATIC_PATH,
    directories=[STATIC],
    name="panel-static",
    cache_control=CacheControlHeader(max_age=365 * 24 * 3600, public=True, immutable=True),
    opt={"exclude_from_auth": True},
)

panel_router: Final = Router("/", route_handlers=[_pages, _static])
"""To stand behind the gate (of which the static files are excepted)."""
