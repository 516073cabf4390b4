"""Changing when a job runs: words and the next slots before it holds, pause with a reason and an end, retire."""

from datetime import UTC, datetime
from typing import Any, Final

from kronik import in_force
from litestar import Response, get, post
from litestar.di import NamedDependency
from msgspec import UNSET

from services.api.access.gate import needs
from services.api.access.store import Identity
from services.api.commands import retire as retiring
from services.api.commands import schedule as scheduling
from services.api.commands.schedule import ScheduleRequest
from services.api.history.queries import DefinedJob
from services.api.panel.pages.asking import HOME, Asked, JobType, defined, voice_of
from services.api.panel.rendering import ZONE, render, to
from services.api.panel.views import schedule as views
from services.api.panel.views.signs import title
from services.api.past import History
from services.api.problems import NO_SCHEDULE, Problem
from services.infra import slots
from services.words.voice import Voice

_BAD_REQUEST: Final = 400
Typed = dict[str, str]


@get(f"{HOME}/job/{{job_type:str}}/schedule", guards=[needs("admin")], include_in_schema=False)
async def schedule(request: Asked, job_type: JobType, past: NamedDependency[History]) -> Response[str]:
    """The form as things are; with `?preview=1&cron=…` what would follow from a change."""
    voice = await voice_of(request, past.pool, past.log.clock)
    job = await defined(past.pool, job_type)
    typed = {str(name): str(value) for name, value in request.query_params.items()}
    return await _form(request, past, job, typed if typed.get("preview") else {}, voice)


@post(f"{HOME}/job/{{job_type:str}}/schedule", guards=[needs("admin")], include_in_schema=False)
async def change(
    request: Asked, job_type: JobType, past: NamedDependency[History], identity: NamedDependency[Identity]
) -> Response[Any]:
    """Pause, resume, retire or change; then the job's page. What can't work comes back with why."""
    voice = await voice_of(request, past.pool, past.log.clock)
    job = await defined(past.pool, job_type)
    typed = {str(name): str(value) for name, value in (await request.form()).multi_items()}
    if typed.get("do") == "preview":
        return await _form(request, past, job, typed, voice)
    try:
        if typed.get("do") == "retire":
            await retiring.apply(past, job, identity, typed.get("reason") or None)
        else:
            await scheduling.apply(past, job, _request(typed), identity)
    except (Problem, ValueError) as problem:
        if isinstance(problem, Problem) and not (problem.errors or problem.kind is NO_SCHEDULE):
            raise
        return await _form(request, past, job, typed, voice, wrong=views.said(problem, voice))
    return to(request, f"{HOME}/job/{job_type}")


async def _form(
    request: Asked, past: History, job: DefinedJob, typed: Typed, voice: Voice, wrong: str = ""
) -> Response[str]:
    now, definition = past.log.clock.now(), job.definition
    preview = None
    if typed and not wrong:
        try:
            plan = await scheduling.plan(past, job, _request(typed), request.user.by)
            preview = views.preview(job, typed, plan.next_slots or [], plan.skips or [], voice)
        except (Problem, ValueError) as problem:
            if isinstance(problem, Problem) and not (problem.errors or problem.kind is NO_SCHEDULE):
                raise
            wrong = views.said(problem, voice)
    held = in_force.pause(job.change, now)
    return render(
        request,
        "schedule.html",
        voice,
        tab="system",
        live=False,
        status_code=_BAD_REQUEST if wrong and request.method == "POST" else 200,
        job_type=definition.job_type,
        title=title(definition.job_type, definition, voice),
        cron=typed.get("cron", job.schedule.expression if job.schedule else ""),
        tz=typed.get("tz", job.schedule.tz if job.schedule else str(ZONE)),
        zones=sorted(slots.zones()),
        own=definition.schedule.expression if definition.schedule else "",
        changed=bool(job.change and job.change.expression),
        present=views.preview(job, {}, scheduling.next_slots(definition, job.change, now), [], voice),
        preview=preview,
        held=views.paused(held, voice) if held else "",
        reason=typed.get("reason", ""),
        until=typed.get("until", ""),
        retired=job.retired,
        wrong=wrong,
    )


def _request(typed: Typed) -> ScheduleRequest:
    """What was typed, as the API takes it. Raises ValueError for an instant that is none."""
    match typed.get("do"):
        case "pause":
            reason, until = typed.get("reason", "")[:200] or None, _until(typed.get("until", ""))
            return ScheduleRequest(paused=True, pause_reason=reason, paused_until=until)
        case "resume":
            return ScheduleRequest(paused=False)
        case "own":
            return ScheduleRequest(cron=None, tz=None)
    tz = typed.get("tz", "")
    return ScheduleRequest(cron=typed.get("cron", "").strip(), tz=tz or UNSET)


def _until(text: str) -> datetime | None:
    """By the panel's clock, as a browser's field for it sends: `2026-12-01T06:00`."""
    if not text:
        return None
    instant = datetime.fromisoformat(text)
    return (instant if instant.tzinfo else instant.replace(tzinfo=ZONE)).astimezone(UTC)


routes: list[Any] = [schedule, change]
