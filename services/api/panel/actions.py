"""What the panel's buttons do: the same as the API's calls, answered with a way back to the page."""

from typing import Any

from litestar import post
from litestar.di import NamedDependency
from litestar.params import URLEncodedBody
from litestar.response import Redirect
from msgspec import Struct

from services.api.access.gate import needs
from services.api.access.store import Identity
from services.api.commands import cancel as cancelling
from services.api.commands import rerun as rerunning
from services.api.panel.pages.asking import HOME, Asked, RunId
from services.api.panel.rendering import to
from services.api.past import History


class Pressed(Struct, frozen=True):
    """key: made with the page, so that a button pressed twice asks once."""

    key: str


@post(f"{HOME}/run/{{run_id:int}}/rerun", guards=[needs("operator")], include_in_schema=False)
async def rerun(
    request: Asked,
    run_id: RunId,
    data: URLEncodedBody[Pressed],
    past: NamedDependency[History],
    identity: NamedDependency[Identity],
) -> Redirect:
    """To the new run."""
    asked = await rerunning.apply(past, identity, run_id, data.key)
    return to(request, f"{HOME}/run/{asked.run.id}")


@post(f"{HOME}/run/{{run_id:int}}/cancel", guards=[needs("operator")], include_in_schema=False)
async def cancel(
    request: Asked, run_id: RunId, past: NamedDependency[History], identity: NamedDependency[Identity]
) -> Redirect:
    """Back to the run."""
    await cancelling.apply(past, identity, run_id)
    return to(request, f"{HOME}/run/{run_id}")


routes: list[Any] = [rerun, cancel]
