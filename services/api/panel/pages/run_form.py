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
from services.api.commands import rerun as rerunning
from services.api.commands import trigger as triggering
from services.api.history import queries
from services.api.panel.pages.asking import HOME, Asked, JobType, defined, voice_of
from services.api.panel.rendering import render, to
from services.api.panel.views import fields
from services.api.panel.views.fields import Misfit
from services.api.panel.views.signs import described, title
from services.api.past import History
from services.api.problems import INVALID, INVALID_PARAMS, FieldError, Problem
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
    from_ = await _repeated(past, job_type, _one(typed, "from"))
    unconfirmed = job.definition.confirm is not None and _one(typed, "confirmed") != "1"
    if not wrong and not unconfirmed:
        try:
            asked = await _ask(past, identity, job_type, params, from_, _key(typed))
        except Problem as problem:
            if problem.kind not in (INVALID, INVALID_PARAMS):
                raise
            wrong = [_misfit(one) for one in problem.errors]
        else:
            back = f"{HOME}#job-{job_type}" if _one(typed, "back") == "system" else f"{HOME}/run/{asked.run.id}"
            return to(request, back)
    return _form(
        request,
        job.definition,
        params,
        typed,
        wrong,
        voice,
        status_code=_BAD_REQUEST,
        from_=from_,
        unconfirmed=unconfirmed,
    )


async def _repeated(past: History, job_type: str, typed: str) -> int | None:
    """The run whose params the form began with, where it is one of this job that can be run again."""
    run = await queries.run(past.pool, int(typed)) if typed.isascii() and typed.isdigit() and len(typed) < 16 else None
    return run.id if run and run.job_type == job_type and run.completed_at is not None else None


async def _ask(
    past: History, identity: Identity, job_type: str, params: dict[str, Any], from_: int | None, key: str | None
) -> triggering.Asked:
    """A run with other params than another one had repeats it all the same."""
    if from_ is not None:
        return await rerunning.apply(past, identity, from_, key, params)
    return await triggering.apply(past, identity, Triggered(params=params, user_id=identity.user_id), job_type, key)


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
    unconfirmed: bool = False,
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
        description=described(definition, voice),
        fields=asked,
        as_json=not asked and fields.takes_params(definition),
        json=_one(typed or {}, "json") or (msgspec.json.format(msgspec.json.encode(given)).decode() if given else ""),
        others=[f"{one.path}: {fields.said(one, voice)}" for one in wrong if one.path.split(".")[0] not in known],
        wrong=[one for one in asked if one.wrong],
        from_=from_,
        unknown=unknown,
        confirm=voice.pick(definition.confirm or {}),
        unconfirmed=unconfirmed,
        confirmed=_one(typed or {}, "confirmed") == "1",
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
