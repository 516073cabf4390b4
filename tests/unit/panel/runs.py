"""Runs and jobs to show, with only what a test is about spelled out."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from kronik.events import JobDefined, RetryPolicy, Schedule, ScheduleChanged
from kronik.show import Show

from services.api.history.queries import DefinedJob, JobRun


def copenhagen(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """That wall-clock time, as the UTC instant that the read model would hold."""
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo("Europe/Copenhagen")).astimezone(UTC)


NOW = copenhagen(2025, 12, 10, 15, 0)


def a_run(**fields: Any) -> JobRun:
    started_at = fields.get("started_at", copenhagen(2025, 12, 9, 2, 0))
    plain = JobRun(
        id=7,
        job_type="DAILY_MAINTENANCE",
        status="SUCCESS",
        started_at=started_at,
        completed_at=started_at,
        duration_ms=2_300,
        result_summary=None,
        error_message=None,
        triggered_by="CRON",
        phase="finished",
        attempt=1,
        failures=0,
        triggered_at=started_at,
        retry_at=None,
        scheduled_for=None,
        rerun_of=None,
        params=msgspec.Raw(b"{}"),
        warnings=[],
        warning_count=0,
        cancel_requested_by=None,
        cancelled_by=None,
        ignored=0,
        traceback=None,
        correlation_id=None,
    )
    return msgspec.structs.replace(plain, **fields)


def definition(job_type: str = "DAILY_MAINTENANCE", **fields: Any) -> JobDefined:
    plain = JobDefined(
        job_type=job_type,
        title={"da": "Daglig vedligeholdelse", "en": "Daily maintenance"},
        description="",
        params_schema={},
        result_schema={},
        schedule=None,
        timeout_ms=60_000,
        retry=RetryPolicy(attempts=1, wait_ms=0, max_wait_ms=0),
        concurrency=1,
        show=(),
    )
    return msgspec.structs.replace(plain, **fields)


def job(job_type: str, change: ScheduleChanged | None = None, **fields: Any) -> DefinedJob:
    return DefinedJob(definition(job_type, **fields), change)


NIGHTLY = Schedule(expression="0 2 * * *", tz="Europe/Copenhagen")

DAILY_SHOW = (
    Show("consume.consumed", {"da": "Dinners consumed"}),
    Show("close.closed", {"da": "Orders closed"}),
    Show("transact.created", {"da": "Transactions"}, short={"da": "trans"}),
)
BILLING_SHOW = (
    Show("invoicesGenerated", {"da": "Invoices generated"}, short={"da": "fakturaer", "en": "invoices"}),
    Show("totalAmount", {"da": "Total amount"}, format="money"),
)
IMPORT_SHOW = (
    Show("householdsCreated", {"da": "Households"}, format="plus"),
    Show("inhabitantsCreated", {"da": "Inhabitants"}, format="plus", short={"da": "inhab"}),
    Show("usersCreated", {"da": "Users"}, format="plus"),
)
