"""What the panel's buttons do: the same as the API's calls, answered with a way back to the page."""

from typing import Annotated, Any

import msgspec
from kronik.events import Triggered
from litestar import post
from litestar.di import NamedDependency
from litestar.params import PathParameter, URLEncodedBody
from litestar.response import Redirect
from msgspec import Struct

from services.api.access.gate import needs
from services.api.access.store import Identity
from services.api.commands import cancel as cancelling
from services.api.commands import rerun as rerunning
from services.api.commands import trigger as triggering
from services.api.panel.pages import HOME, RunId
from services.api.past import History
from services.api.problems import INVALID_PARAMS, invalid


class Form(Struct, frozen=True):
    """key: made with the page, so that a button pressed twice asks once. params: a JSON object."""

    key: str
    params: str = ""


@post(f"{HOME}/job/{{job_type:str}}/run", guards=[needs("operator")], include_in_schema=False)
async def run_now(
    job_type: Annotated[str, PathParameter()],
    data: URLEncodedBody[Form],
    past: NamedDependency[History],
    identity: NamedDependency[Identity],
) -> Redirect:
    """Back to the job's own card."""
    wanted = Triggered(params=_params(data.params), user_id=identity.user_id)
    await triggering.apply(past, identity, wanted, job_type, data.key)
    return _to(f"{HOME}#job-{job_type}")


@post(f"{HOME}/run/{{run_id:int}}/rerun", guards=[needs("operator")], include_in_schema=False)
async def rerun(
    run_id: RunId, data: URLEncodedBody[Form], past: NamedDependency[History], identity: NamedDependency[Identity]
) -> Redirect:
    """To the new run."""
    asked = await rerunning.apply(past, identity, run_id, data.key)
    return _to(f"{HOME}/run/{asked.run.id}")


@post(f"{HOME}/run/{{run_id:int}}/cancel", guards=[needs("operator")], include_in_schema=False)
async def cancel(run_id: RunId, past: NamedDependency[History], identity: NamedDependency[Identity]) -> Redirect:
    """Back to the run."""
    await cancelling.apply(past, identity, run_id)
    return _to(f"{HOME}/run/{run_id}")


def _to(url: str) -> Redirect:
    return Redirect(url, status_code=303)


def _params(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        raise invalid("params", str(error)[:300], INVALID_PARAMS) from None
