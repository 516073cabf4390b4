"""What OpenAPI says of things that many calls share: query parameters, fields, statuses."""

from typing import Any, Final

_DAY: Final = r"(0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|[12]\d)"
_TIME: Final = r"([01]\d|2[0-3]):[0-5]\d"
_INSTANT: Final = rf"^[1-9]\d{{3}}-({_DAY})T{_TIME}:[0-5]\d(\.\d+)?(Z|[+-]{_TIME})$"
_TEXT: Final[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[^\\x00]*$"}
_WHO: Final[dict[str, Any]] = {
    "type": "string",
    "maxLength": 200,
    "pattern": "^(CRON|(ADMIN|SERVICE):[^\\x00]+)$",
    "examples": ["CRON", "ADMIN:1", "SERVICE:crm"],
}
_RUN_ID: Final[dict[str, Any]] = {"type": "integer", "minimum": 1, "maximum": 2**53 - 1}
_TRUTH: Final[dict[str, Any]] = {"type": "string", "enum": ["true", "false", "1", "0"]}

PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "limit": {"description": "How many at most"},
    "before": {"description": "Runs older than this one, newest first: from the Link header"},
    "after": {"description": "Runs newer than this one: from the Link header"},
    "asOf": {"examples": ["4711"], "schema": {"pattern": rf"^([0-9]{{1,16}}|{_INSTANT[1:-1]})$"}},
    "rerunOf": {"schema": _RUN_ID},
    "correlationId": {"schema": _TEXT},
    "text": {"schema": _TEXT},
    "triggeredBy": {"items": _WHO},
    "open": {"schema": _TRUTH},
    "unresolved": {"schema": _TRUTH},
    "format": {"description": "CSV for spreadsheets, JSON Lines for programs"},
    "job_type": {"examples": ["HEYNABO_IMPORT"]},
    "jobType": {"examples": ["HEYNABO_IMPORT"], "description": "Only of this job", "schema": _TEXT, "items": _TEXT},
    "traceparent": {"examples": ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"]},
    "Idempotency-Key": {"examples": ["import-2026-11-27"]},
    "id": {"examples": [4711, "c0ffee" * 10 + "feed"], "items": _RUN_ID},
}
"""By name, what their declarations leave out."""

INSTANTS: Final = {"from", "to"}
INSTANT: Final[dict[str, Any]] = {"type": "string", "format": "date-time", "pattern": _INSTANT}

VALUES: Final[dict[str, Any]] = {
    "jobType": "HEYNABO_IMPORT",
    "id": 4711,
    "runId": 4711,
    "rerunOf": 4700,
    "title": {"da": "Heynabo import", "en": "Heynabo import"},
    "description": "Syncs households and inhabitants.",
    "status": "SUCCESS",
    "phase": "finished",
    "triggeredBy": "ADMIN:1",
    "triggeredByName": "admin",
    "resultSummary": '{"householdsCreated":2}',
    "errorMessage": None,
    "traceback": None,
    "durationMs": 2300,
    "startedAt": "2026-11-27T13:30:00.120000Z",
    "completedAt": "2026-11-27T13:30:02.420000Z",
    "triggeredAt": "2026-11-27T13:30:00.050000Z",
    "cron": "30 3 * * *",
    "expression": "0 2 * * *",
    "tz": "Europe/Copenhagen",
    "month": "2026-10",
    "params": {"month": "2026-10"},
    "subject": "jobs.trigger.HEYNABO_IMPORT.crm",
    "type": "kronik.run.started.v1",
    "outcome": "overlapped",
    "reason": "the run of the slot before was still going on",
    "pauseReason": "the supplier's system is being moved",
    "date": "2026-11-27",
}
"""Of examples, by the field's name."""

FIELDS: Final[dict[str, str]] = {
    "id": "The run: the sequence of its trigger in the stream",
    "jobType": "The job's type",
    "status": "RUNNING: not finished. PARTIAL: finished, some items failed. FAILED: failed, or cancelled",
    "phase": "Where the run is",
    "startedAt": "When the first attempt started; until one has, when the run was triggered",
    "completedAt": "When it ended; null while it has not",
    "durationMs": "From start to end, in milliseconds",
    "resultSummary": "JSON text; its shape is the job's",
    "errorMessage": "Of a failed run; of one that is retrying, the last attempt's",
    "traceback": "Of the error, bounded",
    "triggeredBy": "CRON, ADMIN:<userId> or SERVICE:<name>",
    "triggeredAt": "When it was asked for",
    "attempt": "The attempt that it is at, from 1; 0 before the first",
    "failures": "How many attempts have failed",
    "retryAt": "When a retrying run goes on",
    "scheduledFor": "The slot of a run that the schedule asked for",
    "rerunOf": "The run that this one repeats",
    "params": "What the job was asked to do it with",
    "warnings": "What failed in part: the first hundred",
    "warningCount": "How many warnings there are",
    "cancelRequestedBy": "Who asked for it to stop",
    "cancelledBy": "Who made it stop",
    "correlationId": "Of the trigger's envelope: what belongs together",
    "ignored": "Events that came after the run's end; anything but 0 is a defect",
    "detail": "What was wrong, and what to do",
    "errors": "The fields that were wrong",
    "type": "What it is, for programs",
    "sequence": "In the stream",
    "time": "When it was stored",
    "reason": "Why",
    "description": "In the words of who wrote the job",
    "tz": "An IANA time zone",
    "cron": "minute hour day-of-month month weekday",
}
"""What fields mean that are not explained where they are declared."""

STATUSES: Final[dict[str, str]] = {
    "400": "Something in the request is wrong; `errors` names the fields and what they may be",
    "429": "Too many wrong tokens came from this address: `Retry-After` says when to try again",
    "default": "Anything else that went wrong",
}
