"""Running a job by hand: at once, or with a form for its params."""

import uuid
from typing import Annotated, Any, Final

import msgspec
from kronik.events import JobDefined, Triggered
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from services.api.access.gate import needs
from services.api.access.store import Identity
from services.api.commands import trigger as triggering
from services.api.history import queries
from services.api.panel.pages.asking import HOME, Asked, JobType, defined, voice_of
from services.api.panel.rendering import render, to
from services.api.panel.views import fields
from services.api.panel.views.fields import Misfit
from services.api.panel.views.signs import title
from services.api.past import History
from services.api.problems import INVALID_PARAMS, FieldError, Problem
from services.words.voice import Voice

_BAD_REQUEST: Final = 400


@get(f"{HOME}/job/{{job_type:str}}/run", guards=[needs("operator")], include_in_schema=False)
async def run_form(
    request: Asked,
    job_type: JobType,
    past: NamedDependency[History],
    from_: Annotated[int | None, QueryParameter(name="from", ge=1, le=2**53 - 1)] = None,
) -> Response[str]:
    """The form, empty or with the params of a run."""
    voice = await voice_of(request, past.pool, past.log.clock)
    job = await defined(past.pool, job_type)
    given, unknown = {}, False
    if from_ is not None:
        run = await queries.run(past.pool, from_)
        given = _params_of(bytes(run.params)) if run and run.job_type == job_type else {}
        unknown = run is None or run.job_type != job_type
    return _form(request, job.definition, given, None, [], voice, from_=from_, unknown=unknown)


@post(f"{HOME}/job/{{job_type:str}}/run", guards=[needs("operator")], include_in_schema=False)
async def run_now(
    request: Asked, job_type: JobType, past: NamedDependency[History], identity: NamedDependency[Identity]
) -> Response[Any]:
    """To the new run, or back to the form with what was typed and what is wrong with it."""
    voice = await voice_of(request, past.pool, past.log.clock)
    job = await defined(past.pool, job_type)
    sent = await request.form()
    typed = {str(name): [str(value) for value in sent.getall(name)] for name in sent}
    params, wrong = _typed(job.definition, typed)
    if not wrong:
        try:
            wanted = Triggered(params=params, user_id=identity.user_id)
            asked = await triggering.apply(past, identity, wanted, job_type, _key(typed))
        except Problem as problem:
            if problem.kind is not INVALID_PARAMS:
                raise
            wrong = [_misfit(one) for one in problem.errors]
        else:
            back = f"{HOME}#job-{job_type}" if _one(typed, "back") == "system" else f"{HOME}/run/{asked.run.id}"
            return to(request, back)
    return _form(request, job.definition, params, typed, wrong, voice, status_code=_BAD_REQUEST)


def _form(
    request: Asked,
    definition: JobDefined,
    given: dict[str, Any],
    typed: dict[str, list[str]] | None,
    wrong: list[Misfit],
    voice: Voice,
    *,
    status_code: int = 200,
    from_: int | None = None,
    unknown: bool = False,
) -> Response[str]:
    asked = fields.form(definition, given, typed, wrong, voice)
    known = {one.path for one in asked}
    return render(
        request,
        "run_form.html",
        voice,
        tab="system",
        status_code=status_code,
        live=False,
        job_type=definition.job_type,
        title=title(definition.job_type, definition, voice),
        description=definition.description,
        fields=asked,
        as_json=not asked and fields.takes_params(definition),
        json=_one(typed or {}, "json") or (msgspec.json.format(msgspec.json.encode(given)).decode() if given else ""),
        others=[f"{one.path}: {fields.said(one, voice)}" for one in wrong if one.path.split(".")[0] not in known],
        wrong=[one for one in asked if one.wrong],
        from_=from_,
        unknown=unknown,
        key=uuid.uuid4().hex,
    )


def _typed(definition: JobDefined, typed: dict[str, list[str]]) -> tuple[dict[str, Any], list[Misfit]]:
    """As fields, or, for a job whose schema has none, as one JSON object."""
    text = _one(typed, "json")
    if not text.strip():
        return fields.params_of(definition, typed)
    try:
        return msgspec.json.decode(text, type=dict[str, Any]), []
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        return {}, [Misfit("json", "unreadable", "json")]


def _misfit(error: FieldError) -> Misfit:
    """A missing field is an error of the object that lacks it: it is named in the words alone."""
    path = error.field.removeprefix("params").removeprefix(".")
    if "is a required property" in error.problem:
        missing = error.problem.split("'")[1] if "'" in error.problem else ""
        path = f"{path}.{missing}".strip(".")
    return Misfit(path, error.problem, None if error.allowed is msgspec.UNSET else error.allowed)


def _params_of(json: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(json, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        return {}


def _key(typed: dict[str, list[str]]) -> str | None:
    return _one(typed, "key")[:200] or None


def _one(typed: dict[str, list[str]], name: str) -> str:
    return next(iter(typed.get(name, [])), "")


routes: list[Any] = [run_form, run_now]
