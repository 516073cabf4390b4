"""Asking for a run: params checked against the job's schema, one trigger appended, the run read back."""

import hashlib
import uuid
from typing import Any, Final

import msgspec
from jsonschema.exceptions import ValidationError
from kronik import codec, in_force, subjects
from kronik.errors import InvalidTrigger
from kronik.events import JobDefined, Recorded, Triggered, TriggerRefused
from kronik.run import Run, begin
from kronik.text import clean
from msgspec import Struct

from services.api.access.store import Identity
from services.api.commands.plan import Plan
from services.api.history import queries
from services.api.history.projections import IDEMPOTENT
from services.api.history.queries import DefinedJob, JobRun, Pool
from services.api.history.run_filter import RunFilter
from services.api.past import History
from services.api.problems import (
    INVALID_PARAMS,
    JOB_RETIRED,
    KEY_REUSED,
    QUEUE_FULL,
    TOO_LARGE,
    UNKNOWN_JOB_TYPE,
    FieldError,
    Problem,
    invalid,
    nul_in,
    refuse,
)
from services.infra import logs
from services.infra import params as judge
from services.log.append import Appended, Conflict, Entry, EventLog, LogRefused, LogUnavailable

logger = logs.get()

PARAMS_BYTES = codec.PARAMS_LIMIT - 8 * 1024
"""What params may take as JSON, so that their envelope fits as well."""

_PATIENCE_S = 5.0


class Together(Struct, frozen=True):
    """What the run belongs to: both go with every event of it, and to the job."""

    correlation_id: str | None = None
    traceparent: str | None = None


ALONE: Final = Together()


class Asked(Struct, frozen=True):
    """The run that was asked for. created: it did not exist before."""

    run: JobRun
    created: bool


async def plan(history: History, job_type: str, params: dict[str, Any]) -> Plan:
    """Raises Problem as apply() does."""
    job = await _defined(history.pool, job_type)
    check_params(job.definition, params)
    if (full := await _full(history.pool, job)) and await _waiting_with(history.pool, full, job_type, params) is None:
        raise full.problem
    does, notes = f"asks for a run of {job_type}", await _notes(history, job)
    question = job.definition.confirm
    return Plan(command="trigger", does=does, job_type=job_type, params=params, notes=notes, confirm=question)


async def _notes(history: History, job: DefinedJob) -> list[str]:
    """What who asks for a run would like to know before."""
    job_type, notes = job.definition.job_type, []
    unfinished = (await queries.count(history.pool, RunFilter(job_types=(job_type,), open=True))).count
    if unfinished:
        are = f"{unfinished} runs of it have" if unfinished > 1 else "1 run of it has"
        notes.append(f"{are} not finished; {job.definition.concurrency} at a time may execute.")
    if not history.presence.runners(job.definition):
        notes.append("No runner serves it now: the run waits until one does.")
    return notes


async def apply(
    history: History,
    identity: Identity,
    wanted: Triggered,
    job_type: str,
    key: str | None,
    together: Together = ALONE,
) -> Asked:
    """Append a trigger of this job by this account and answer its run.

    key: an Idempotency-Key: the same account's same key for the same job is the same run. Raises Problem for
    what the job does not take or where as many of its runs wait as may, LogUnavailable where it is not known whether
    the trigger was stored.
    """
    job = await _defined(history.pool, job_type)
    check_params(job.definition, wanted.params)
    event_id = f"admin-{uuid.uuid4().hex}" if key is None else _event_id(identity, job_type, key)
    if key is not None and (known := await queries.run_of_key(history.pool, event_id)):
        return await _same(history, known, wanted)
    if full := await _full(history.pool, job):
        if waiting := await _waiting_with(history.pool, full, job_type, wanted.params):
            return Asked(waiting, created=False)
        await _tell_refused(history.log, identity, job_type, full)
        raise full.problem
    appended = await append(history.log, job_type, wanted, id=event_id, together=together)
    if appended.duplicate and key is not None:
        return await _same(history, appended.sequence, wanted)
    return Asked(await _read_back(history, appended.sequence, event_id, wanted, job_type), created=True)


async def append(log: EventLog, job_type: str, wanted: Triggered, *, id: str, together: Together = ALONE) -> Appended:
    """Store the trigger; with an id that stands in the stream already, where it stands. Raises LogUnavailable."""
    subject = subjects.trigger(job_type, subjects.ADMIN)
    entry = Entry(
        subject=subject,
        event=wanted,
        id=id,
        correlation_id=together.correlation_id,
        traceparent=together.traceparent,
    )
    appended = await log.append_unit((entry,), patience_s=_PATIENCE_S)
    assert not isinstance(appended, Conflict), "without an expectation there is no conflict"
    return appended[0]


class _Full(Struct, frozen=True):
    """As many runs of the job wait as may."""

    queued: int
    limit: in_force.QueueLimit

    @property
    def problem(self) -> Problem:
        are = f"{self.queued} runs of this job wait" if self.queued != 1 else "1 run of this job waits"
        return Problem(QUEUE_FULL, f"{are} already, and no more than {self.limit.runs} may: ask again later.")


def _waiting(job_type: str) -> RunFilter:
    return RunFilter(job_types=(job_type,), phases=("queued",))


async def _full(pool: Pool, job: DefinedJob) -> _Full | None:
    limit = in_force.queue_limit(job.definition, job.change)
    if limit is None:
        return None
    queued = (await queries.count(pool, _waiting(job.definition.job_type))).count
    return _Full(queued, limit) if queued >= limit.runs else None


async def _waiting_with(pool: Pool, full: _Full, job_type: str, params: dict[str, Any]) -> JobRun | None:
    """The newest run that waits with these params, where the job says that those that wait stand for one more."""
    if full.limit.when_full != "coalesce":
        return None
    waiting = await queries.history(pool, _waiting(job_type), limit=100)
    return next((run for run in waiting if msgspec.json.decode(run.params) == params), None)


async def _tell_refused(log: EventLog, identity: Identity, job_type: str, full: _Full) -> None:
    """Best effort: whoever asked is told anyway."""
    refused = TriggerRefused(by=identity.by, reason=full.problem.detail, queued=full.queued, limit=full.limit.runs)
    try:
        subject = subjects.refused(job_type, subjects.ADMIN)
        await log.append(subject, refused, id=f"refused-{uuid.uuid4().hex}", about=job_type, patience_s=1)
    except (LogUnavailable, LogRefused) as away:
        logger.warning("refusal_not_told", job=job_type, error=str(away))


async def _defined(pool: Pool, job_type: str) -> DefinedJob:
    job = await queries.job(pool, clean(job_type, 200))
    if job is None:
        raise await unknown_job_type(pool, job_type)
    if job.retired:
        raise Problem(JOB_RETIRED, f"{job_type} is retired: a runner that announces it anew brings it back.")
    return job


async def unknown_job_type(pool: Pool, job_type: str) -> Problem:
    known = await queries.known_job_types(pool)
    listed = ", ".join(known) or "none yet: a runner announces them when it starts"
    return invalid("jobType", f"{job_type[:80]!r} is not known; known: {listed}", UNKNOWN_JOB_TYPE, list(known))


def check_params(definition: JobDefined, params: dict[str, Any]) -> None:
    """Raises a problem that names every field which can't be stored, or which the job's schema refuses."""
    size = len(msgspec.json.encode(params))
    if size > PARAMS_BYTES:
        raise invalid("params", f"{size} bytes of JSON", TOO_LARGE, f"at most {PARAMS_BYTES} bytes")
    refuse(nul_in("params", params))
    try:
        codec.check_params(params)
    except InvalidTrigger as error:
        raise invalid("params", str(error), allowed="params that a trigger can carry") from error
    refuse(_misfits(definition, params), INVALID_PARAMS, f"{definition.job_type} does not take these params: ")


def _misfits(definition: JobDefined, params: dict[str, Any]) -> list[FieldError]:
    """What the schema refuses. One that is no schema refuses nothing: the runner checks the params too."""
    try:
        return [_field_error(error) for error in judge.misfits(definition.params_schema, params)]
    except Exception as error:
        logger.warning("params_schema_unusable", job=definition.job_type, error=repr(error)[:300])
        return []


def _field_error(error: ValidationError) -> FieldError:
    error = _of_what_is_not_null(error)
    field = ".".join(("params", *(str(step) for step in error.absolute_path)))
    return FieldError(field, _problem(error)[:500], _allowed(error))


def _problem(error: ValidationError) -> str:
    """As the judge says it, but for names that are not taken: which are, also where there are none."""
    if error.validator != "additionalProperties" or error.validator_value is not False:
        return error.message
    known = _allowed(error)
    given = error.instance if isinstance(error.instance, dict) else {}
    unknown = ", ".join(repr(name) for name in given if name not in known)
    return f"there is no {unknown}; there is {', '.join(known) or 'nothing that can be given'}"


def _of_what_is_not_null(error: ValidationError) -> ValidationError:
    """A field that may be null and holds something else: what is wrong with that, not that it is not null."""
    if error.validator != "anyOf":
        return error
    others = [one for one in error.context or [] if one.validator_value != "null"]
    branches = {one.schema_path[0] for one in others}
    return others[0] if len(branches) == 1 else error


def _allowed(error: ValidationError) -> str | list[Any]:
    match error.validator:
        case "enum":
            return list(error.schema["enum"]) if isinstance(error.schema, dict) else []
        case "additionalProperties" | "unevaluatedProperties":
            return sorted(error.schema.get("properties", {})) if isinstance(error.schema, dict) else []
        case "type":
            return str(error.validator_value)
        case _:
            return f"{error.validator}: {error.validator_value}"[:500]


def _event_id(identity: Identity, job_type: str, key: str) -> str:
    whole = "\0".join((identity.user_id, job_type, key))
    return IDEMPOTENT + hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()


async def _same(history: History, run_id: int, wanted: Triggered) -> Asked:
    """The run that this key asked for earlier."""
    run = await history.read_back(run_id, run_id)
    assert run is not None, f"a trigger stands at {run_id}"
    if msgspec.json.decode(run.params) != wanted.params or run.rerun_of != wanted.rerun_of:
        raise Problem(KEY_REUSED, f"This Idempotency-Key has already asked for run {run_id}, with other params.")
    return Asked(run, created=False)


async def _read_back(history: History, run_id: int, event_id: str, wanted: Triggered, job_type: str) -> JobRun:
    """A trigger that is stored is answered, even where nothing can be read back any more."""
    try:
        if run := await history.read_back(run_id, run_id):
            return run
    except LogUnavailable as away:
        logger.warning("read_back_failed", run_id=run_id, error=str(away))
    return queries.job_run_of(_just_triggered(history.log, run_id, event_id, wanted, job_type))


def _just_triggered(log: EventLog, run_id: int, event_id: str, wanted: Triggered, job_type: str) -> Run:
    place = subjects.TriggerSubject(job_type, subjects.ADMIN)
    subject = subjects.trigger(job_type, subjects.ADMIN)
    return begin(Recorded(run_id, subject, log.clock.now(), event_id, wanted), place)
