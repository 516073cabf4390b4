"""What the panel's buttons do: the same as the API's calls, answered with a way back to the page."""

import uuid
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import URLEncodedBody
from litestar.response import Redirect
from msgspec import Struct

from services.api.access.gate import needs
from services.api.access.store import Identity
from services.api.commands import cancel as cancelling
from services.api.commands import rerun as rerunning
from services.api.history import queries
from services.api.panel.pages.asking import HOME, Asked, RunId, voice_of
from services.api.panel.rendering import render, to
from services.api.panel.views.signs import title
from services.api.past import History, find


class Pressed(Struct, frozen=True):
    """key: made with the page, so that a button pressed twice asks once. confirmed: "1" once the job's question is."""

    key: str
    confirmed: str = ""


@get(f"{HOME}/run/{{run_id:int}}/rerun", guards=[needs("operator")], include_in_schema=False)
async def confirm(request: Asked, run_id: RunId, past: NamedDependency[History]) -> Response[str]:
    """What the job wants to be asked before it is run again."""
    voice = await voice_of(request, past.pool, past.log.clock)
    run = await find(past, run_id)
    job = await queries.job(past.pool, run.job_type)
    question = job.definition.confirm if job else None
    return render(
        request,
        "confirm.html",
        voice,
        tab="history",
        live=False,
        run_id=run.id,
        title=title(run.job_type, job.definition if job else None, voice),
        question=voice.pick(question or {}),
        key=uuid.uuid4().hex,
    )


@post(f"{HOME}/run/{{run_id:int}}/rerun", guards=[needs("operator")], include_in_schema=False)
async def rerun(
    request: Asked,
    run_id: RunId,
    data: URLEncodedBody[Pressed],
    past: NamedDependency[History],
    identity: NamedDependency[Identity],
) -> Redirect:
    """To the new run; to the job's question first, where it has one."""
    run = await find(past, run_id)
    job = await queries.job(past.pool, run.job_type)
    if job and job.definition.confirm and data.confirmed != "1":
        return to(request, f"{HOME}/run/{run_id}/rerun")
    asked = await rerunning.apply(past, identity, run_id, data.key)
    return to(request, f"{HOME}/run/{asked.run.id}")


@post(f"{HOME}/run/{{run_id:int}}/cancel", guards=[needs("operator")], include_in_schema=False)
async def cancel(
    request: Asked, run_id: RunId, past: NamedDependency[History], identity: NamedDependency[Identity]
) -> Redirect:
    """Back to the run."""
    await cancelling.apply(past, identity, run_id)
    return to(request, f"{HOME}/run/{run_id}")


routes: list[Any] = [confirm, rerun, cancel]
