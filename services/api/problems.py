"""Every error that HTTP can answer, as RFC 9457 problem details: one table of kinds, one of exceptions.

Source: https://www.rfc-editor.org/rfc/rfc9457
"""

import re
from typing import Any, Final

import asyncpg
import msgspec
from kronik import KronikError
from kronik.text import clean
from litestar import Request, Response
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ExceptionHandlersMap
from msgspec import UNSET, Struct, UnsetType

from services.api import security
from services.api.history import run_filter
from services.infra import logs
from services.infra.misfit_words import in_words
from services.log.append import LogRefused, LogUnavailable

log = logs.get()

MEDIA_TYPE: Final = "application/problem+json"


class Kind(Struct, frozen=True):
    """type: the last part of `urn:kronik:problem:<type>`, what programs tell problems apart by."""

    type: str
    title: str
    status: int


MALFORMED = Kind("malformed-body", "The body is not valid JSON", 400)
INVALID = Kind("invalid-request", "The request is not valid", 400)
INVALID_PARAMS = Kind("invalid-params", "The params do not fit the job", 409)
UNKNOWN_JOB_TYPE = Kind("unknown-job-type", "There is no such job type", 404)
NOT_SIGNED_IN = Kind("not-signed-in", "Sign in or send a token", 401)
NOT_ALLOWED = Kind("not-allowed", "This account may not do that", 403)
CROSS_SITE = Kind("cross-site", "The request came from another site", 403)
LINK_USED_UP = Kind("link-used-up", "This link does not sign in any more", 403)
UNKNOWN_RUN = Kind("unknown-run", "There is no such run", 404)
UNKNOWN_BULK = Kind("unknown-bulk", "There is no such work", 404)
TOO_MANY_DAYS = Kind("too-many-days", "Too many days at once", 409)
TOO_MANY_RUNS = Kind("too-many-runs", "The filter selects too many runs", 409)
BULK_ENDED = Kind("bulk-ended", "The work has ended", 409)
NOT_FOUND = Kind("not-found", "There is nothing here", 404)
WRONG_METHOD = Kind("wrong-method", "This can't be done here", 405)
RUN_FINISHED = Kind("run-finished", "The run is finished", 409)
RUN_NOT_FINISHED = Kind("run-not-finished", "The run is not finished", 409)
JOB_RETIRED = Kind("job-retired", "The job is out of use", 409)
QUEUE_FULL = Kind("queue-full", "As many runs of the job wait as may", 409)
UNFIT_SCHEDULE = Kind("unfit-schedule", "This can't be a schedule", 409)
NOT_NOW = Kind("not-now", "This can't be done now", 409)
NO_SCHEDULE = Kind("no-schedule", "The job has no schedule", 409)
PARAMS_UNKNOWN = Kind("params-unknown", "The run's params are not known", 409)
BUSY = Kind("busy", "Somebody else is changing this", 409)
KEY_REUSED = Kind("key-reused", "The Idempotency-Key belongs to another request", 409)
NOT_HTTP = Kind("not-http", "This is not HTTP", 400)
REQUEST_TOO_SLOW = Kind("too-slow", "The request took too long", 408)
TOO_LARGE = Kind("too-large", "The body is too large", 413)
NOT_JSON = Kind("not-json", "The body is not JSON", 415)
ADDRESS_TOO_LONG = Kind("address-too-long", "The address is too long", 414)
TOO_MANY_TRIES = Kind("too-many-tries", "Too many wrong tokens or links came from this address", 429)
HEADER_TOO_LARGE = Kind("header-too-large", "The header is too large", 431)
BROKEN = Kind("broken", "Something is wrong in Kronik", 500)
TOO_MANY_CONNECTIONS = Kind("too-many-connections", "There are too many connections", 503)
STREAM_AWAY = Kind("stream-unavailable", "The event stream does not answer", 503)
REPLAY_RUNNING = Kind("replay-running", "One is running already", 409)
NOT_RUNNING = Kind("not-running", "None is running", 409)
EXPORTS_BUSY = Kind("exports-busy", "Too many exports at once", 503)
TOO_SLOW = Kind("query-too-slow", "The question takes too long", 503)
BEFORE_HISTORY = Kind("before-history", "The history begins later", 404)
TO_COME = Kind("to-come", "The history has not come so far", 404)
HISTORY_AWAY = Kind("history-unavailable", "The history can't be read", 503)

_BY_STATUS: Final = {kind.status: kind for kind in (INVALID, NOT_SIGNED_IN, NOT_FOUND, WRONG_METHOD, TOO_LARGE)}
_GARBLED: Final = ("JSON is malformed", "Input data was truncated")
_MAYBE_HALF: Final = re.compile("surrogate|truncated")
_HALF: Final = ": it ends before it is complete, or has a lone surrogate (half of a pair, \\ud800 to \\udfff) in a text"
_AWAY: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

ALLOWED: Final = {
    **{name: part.allowed for name, part in run_filter.PARTS.items()},
    "body": "a JSON object",
    "jobType": "a job type, like DAILY_MAINTENANCE",
    "limit": "an integer from 1 to 100",
    "kind": "rebuild or verify",
    "format": "csv or jsonl",
    "before": "a run's id; the Link header has the page's",
    "after": "a run's id; the Link header has the page's",
    "asOf": "an instant with its offset, like 2026-11-27T06:00:00Z, or the sequence of an event",
    "id": "an integer from 1 to 9007199254740991",
    "params": "a JSON object",
    "Idempotency-Key": "1 to 200 characters",
    "paused": "true or false",
    "reason": "at most 200 characters",
    "until": "an instant with its offset, like 2026-12-01T08:00:00+01:00, or null",
    "pauseReason": "at most 200 characters",
    "pausedUntil": "an instant with its offset, like 2026-12-01T08:00:00+01:00, or null",
    "catchUp": "latest, all or none; null leaves it to the code",
    "overlap": "queue or skip; null leaves it to the code",
    "deadlineMs": "milliseconds, 0 for no limit; null leaves it to the code",
    "maxQueued": "a number of runs, 0 for no limit; null leaves it to the code",
    "whenFull": "refuse or coalesce; null leaves it to the code",
    "dryRun": "true or false",
    "ask": "true or false",
    "everything": "true or false",
    "first": "a day, like 2026-11-27",
    "last": "a day, like 2026-11-27",
    "outcome": "waiting, done or left",
    "wait": "an integer from 0 to 60, in seconds",
    "cron": "five cron fields, at most 128 characters",
    "tz": "an IANA time zone, like Europe/Copenhagen",
}
"""What the fields of requests may be, said in every problem about them."""


NUL_FREE: Final = "text without the character NUL (\\u0000)"

_CALLED: Final = {
    "job_type": "jobType",
    "triggered_by": "triggeredBy",
    "as_of": "asOf",
    "idempotency_key": "Idempotency-Key",
    "dry_run": "dryRun",
    "first": "from",
    "last": "to",
    "data": "body",
}
"""Handlers' arguments, as requests name them."""

_NAMED_FIELD: Final = re.compile(r"Object (?:missing required|contains unknown) field `(.+?)`(?: - at `\$\.(.+)`)?")


class FieldError(Struct, frozen=True, omit_defaults=True):
    """One field that is wrong. allowed: what it may be; several values as an array."""

    field: str
    problem: str
    allowed: str | list[Any] | UnsetType = UNSET


class ProblemDetails(Struct, frozen=True):
    """The body of every answer with status 400 and above."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | UnsetType = UNSET


class Problem(KronikError):
    """Raised by handlers to answer with a problem of this kind. headers: to send along."""

    def __init__(
        self, kind: Kind, detail: str, errors: list[FieldError] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = errors or []
        self.headers = headers or {}


def invalid(field: str, problem: str, kind: Kind = INVALID, allowed: str | list[Any] | None = None) -> Problem:
    """One field of the request is wrong."""
    error = FieldError(field, problem, allowed if allowed is not None else ALLOWED.get(field, UNSET))
    return Problem(kind, f"{field}: {problem}", [error])


def nul_in(field: str, given: Any) -> list[FieldError]:
    """Where NUL stands in what is to be stored, which nothing can read back; one error a field."""
    found, left = list[FieldError](), [(field, given)]
    while left:
        place, value = left.pop()
        match value:
            case str() if "\0" in value:
                found.append(FieldError(place, "has a NUL character (\\u0000), which can't be stored", NUL_FREE))
            case dict():
                if any("\0" in name for name in value):
                    problem = "has a name with a NUL character (\\u0000) in it, which can't be stored"
                    found.append(FieldError(place, problem, NUL_FREE))
                left += [(f"{place}.{clean(name, 200)}", one) for name, one in reversed(value.items())]
            case list():
                left += [(f"{place}.{at}", one) for at, one in reversed(list(enumerate(value)))]
    return found


def refuse(errors: list[FieldError], kind: Kind = INVALID, said: str = "") -> None:
    """Raises the problem that these fields are, if there are any."""
    if errors:
        raise Problem(kind, said + "; ".join(f"{one.field}: {one.problem}" for one in errors[:10]), errors)


def problem_of(error: Exception) -> Problem:
    """The problem that this exception is answered with."""
    match error:
        case Problem():
            return error
        case LogUnavailable():
            return Problem(STREAM_AWAY, _stream_away(error), headers={"Retry-After": "5"})
        case LogRefused():
            return Problem(STREAM_AWAY, str(error), headers={"Retry-After": "30"})
        case asyncpg.QueryCanceledError():
            return Problem(TOO_SLOW, _TOO_SLOW)
        case asyncpg.UndefinedTableError() | asyncpg.InvalidSchemaNameError():
            detail = "The history's tables are not there: run `kronik rebuild`."
            return Problem(HISTORY_AWAY, detail, headers={"Retry-After": "10"})
        case SerializationException() | RecursionError() | UnicodeDecodeError():
            return Problem(MALFORMED, "The body must be one JSON document, nested no deeper than a few hundred levels.")
        case ValidationException():
            return _invalid_fields(error) if error.extra else _of_http(error)
        case HTTPException():
            return _of_http(error)
        case _ if isinstance(error, _AWAY) and not isinstance(error, asyncpg.DataError):
            return Problem(HISTORY_AWAY, "Postgres does not answer.", headers={"Retry-After": "5"})
    return Problem(BROKEN, "The error is in the service's log.")


_TOO_SLOW: Final = (
    "This can't be answered in time, though Postgres is there: narrow it by job (jobType) or by time (from, to)."
)


def _stream_away(error: LogUnavailable) -> str:
    return (
        f"{error}. What you asked for may have been stored all the same: look at the history before you"
        " ask again, or ask with an Idempotency-Key, which makes asking again safe."
    )


def _invalid_fields(error: ValidationException) -> Problem:
    found = error.extra if isinstance(error.extra, list) else []
    errors = [_field_error(one) for one in found if isinstance(one, dict)]
    return Problem(INVALID, "; ".join(f"{one.field}: {one.problem}" for one in errors) or error.detail, errors)


def _field_error(found: dict[str, Any]) -> FieldError:
    field, message = str(found.get("key") or "body"), str(found.get("message", ""))
    asked, field = field, _CALLED.get(field, field)
    if field == "body" and message == "'data'":
        message = "there is none"
    if named := _NAMED_FIELD.match(message):
        field, message = named[1], "is missing" if "missing" in message else "is no field of this call"
    return FieldError(field, in_words(message), ALLOWED.get(asked, ALLOWED.get(field.split(".")[0], UNSET)))


def _of_http(error: HTTPException) -> Problem:
    if error.detail.startswith(_GARBLED):
        return Problem(MALFORMED, f"{error.detail}{_HALF if _MAYBE_HALF.search(error.detail) else ''}")
    if error.status_code == TOO_LARGE.status:
        return Problem(TOO_LARGE, "A body may have 512 KiB.")
    kind = _BY_STATUS.get(error.status_code)
    if kind is None:
        kind = Kind(f"status-{error.status_code}", error.__class__.__name__, error.status_code)
    return Problem(kind, error.detail, headers=dict(error.headers or {}))


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The answer to a request that ended with this exception; what nobody expected is logged with its traceback."""
    problem = problem_of(error)
    if problem.kind is BROKEN:
        log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
    headers = {**security.HEADERS, **problem.headers}
    body = msgspec.json.encode(details(problem))
    return Response(body, status_code=problem.kind.status, media_type=MEDIA_TYPE, headers=headers)


def details(problem: Problem) -> ProblemDetails:
    return ProblemDetails(
        type=f"urn:kronik:problem:{problem.kind.type}",
        title=problem.kind.title,
        status=problem.kind.status,
        detail=problem.detail,
        errors=problem.errors or UNSET,
    )


HANDLERS: Final[ExceptionHandlersMap] = {Exception: respond, HTTPException: respond}


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """For a handler's OpenAPI: these statuses are answered with problem details."""
    titles = {
        400: "Something in the request is wrong; `errors` names the fields and what they may be",
        401: "No session and no token",
        403: "The account's role does not allow it, or the request came from another site",
        404: "There is no such run, job type or moment of the history",
        409: "It can't be done in the present state, or the job does not take it",
        413: "The body is too large",
        429: "Too many wrong tokens came from this address: `Retry-After` says when to try again",
        503: "NATS or Postgres is away",
    }
    return {
        status: ResponseSpec(ProblemDetails, description=titles[status], media_type=MEDIA_TYPE, generate_examples=False)
        for status in statuses
    }
