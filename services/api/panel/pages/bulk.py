"""Many runs at once: what would be done, then what became of it."""

import uuid
from typing import Annotated, Any, Final, Literal

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from services.api.access.gate import needs
from services.api.access.store import Identity
from services.api.commands import bulk
from services.api.commands.bulk import Command
from services.api.history import queries
from services.api.history.queries import Pool
from services.api.history.run_filter import ALL
from services.api.panel.pages.asking import HOME, Asked, definitions_of, voice_of
from services.api.panel.rendering import render, to
from services.api.panel.said import Said
from services.api.panel.views import bulk as views
from services.api.panel.views import filters, rows
from services.api.problems import INVALID
from services.log.append import EventLog

_SHOWN: Final = 100

Id = Annotated[str, PathParameter(max_length=64)]
Verb = Annotated[Literal["rerun", "cancel"], QueryParameter()]


@get(f"{HOME}/bulk/new", guards=[needs("operator")], include_in_schema=False)
async def new(
    request: Asked, pool: NamedDependency[Pool], log: NamedDependency[EventLog], command: Verb = "rerun"
) -> Response[str]:
    """Which of the runs that a filter selects would be run again or cancelled, which not, and why."""
    voice = await voice_of(request, pool, log.clock)
    definitions = definitions_of(await queries.jobs(pool))
    given = list(request.query_params.multi_items())
    wanted, bad = filters.read(given)
    if wanted == ALL:
        raise Said(INVALID, voice.text("No runs are chosen: choose some in the history, or filter it."))
    plan = await bulk.plan(pool, command, wanted)
    shown = await queries.history(pool, wanted, limit=_SHOWN)
    return render(
        request,
        "bulk_new.html",
        voice,
        tab="history",
        live=False,
        plan=plan,
        left=[(views.why(one.why, voice), one.count, one.run_ids) for one in plan.left],
        chips=filters.chips(f"{HOME}/bulk/new", wanted, definitions, voice),
        query=filters.written(wanted),
        history=filters.address(f"{HOME}/history", filters.written(wanted)),
        wrong=filters.wrong(bad, given, voice),
        rows=rows.rows(shown, definitions, voice),
        questions=views.questions([run.job_type for run in shown], definitions, voice) if command == "rerun" else [],
        key=uuid.uuid4().hex,
    )


@post(f"{HOME}/bulk", guards=[needs("operator")], include_in_schema=False)
async def begin(request: Asked, pool: NamedDependency[Pool], identity: NamedDependency[Identity]) -> Response[Any]:
    """To what becomes of it."""
    sent = await request.form()
    typed = [(str(name), str(value)) for name, value in sent.multi_items()]
    command: Command = "cancel" if ("command", "cancel") in typed else "rerun"
    wanted, _ = filters.read(typed)
    key = next((value for name, value in typed if name == "key"), None)
    work = await bulk.apply(pool, identity, command, wanted, key)
    return to(request, f"{HOME}/bulk/{work.id}")


@get(f"{HOME}/bulk/{{id:str}}", include_in_schema=False)
async def one(request: Asked, id: Id, pool: NamedDependency[Pool], log: NamedDependency[EventLog]) -> Response[str]:
    """How far it has come, and what became of each of its runs."""
    voice = await voice_of(request, pool, log.clock)
    work = await bulk.find(pool, id)
    found = await bulk.runs(pool, id, limit=_SHOWN)
    return render(
        request,
        "bulk.html",
        voice,
        tab="history",
        every_ms=1_000 if work.status == "working" else None,
        work=views.work(work, voice),
        pairs=[views.pair(one, voice) for one in found],
        more=max(0, work.selected - len(found)),
        may_stop=work.status == "working" and request.user.may("operator"),
    )


@post(f"{HOME}/bulk/{{id:str}}/stop", guards=[needs("operator")], include_in_schema=False)
async def stop(
    request: Asked, id: Id, pool: NamedDependency[Pool], identity: NamedDependency[Identity]
) -> Response[Any]:
    await bulk.stop(pool, identity, id)
    return to(request, f"{HOME}/bulk/{id}")


routes: list[Any] = [new, begin, one, stop]
