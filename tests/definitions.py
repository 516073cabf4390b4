"""A job's definition, as plain as can be."""

from typing import Any

from kronik.events import JobDefined, RetryPolicy


def plain_job(job_type: str, **given: Any) -> JobDefined:
    """given: the fields that matter to who asks for it."""
    plain: dict[str, Any] = {
        "title": {},
        "description": "",
        "params_schema": {},
        "result_schema": {},
        "schedule": None,
        "timeout_ms": 1000,
        "retry": RetryPolicy(attempts=1, wait_ms=1, max_wait_ms=1),
        "concurrency": 1,
    }
    return JobDefined(job_type=job_type, **{**plain, **given})
