"""Every event as it could be written, and JSON as it could be sent."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from kronik.events import (
    Abandoned,
    Cancelled,
    CancelRequested,
    Completed,
    Failed,
    JobDefined,
    Pause,
    Retirement,
    Retrying,
    RetryPolicy,
    Schedule,
    ScheduleChanged,
    ServiceChanged,
    SlotFired,
    SlotSkipped,
    Started,
    Triggered,
    TriggerRefused,
    Warning,
)
from kronik.show import Show

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
counts = st.integers(0, 2**31 - 1)
milliseconds = st.integers(0, 2**53)
instants = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
names = text.filter(lambda name: name.replace("_", "").replace("-", "").lower() != "triggeredby")
objects = st.dictionaries(names, json, max_size=4)
by_language = st.dictionaries(st.sampled_from(["da", "en"]), text)
schedules = st.none() | st.builds(Schedule, expression=text, tz=text, deadline_ms=st.none() | milliseconds)

triggered = st.builds(
    Triggered,
    params=objects,
    user_id=st.none() | text,
    scheduled_for=st.none() | instants,
    rerun_of=st.none() | st.integers(1, 10**18 - 1),
)
started = st.builds(Started, attempt=counts, incarnation=text, timeout_ms=milliseconds)
retrying = st.builds(Retrying, attempt=counts, error=text, error_type=text, retry_at=instants)
abandoned = st.builds(Abandoned, attempt=counts, detail=text)
cancel_requested = st.builds(CancelRequested, by=text)
warnings = st.lists(st.builds(Warning, text=text, item=st.none() | text), max_size=3).map(tuple)
completed = st.builds(Completed, attempt=counts, result=st.none() | objects, warnings=warnings, warning_count=counts)
failed = st.builds(Failed, attempt=counts, error=text, error_type=text)
cancelled = st.builds(Cancelled, attempt=counts, by=text)
slots = st.builds(SlotSkipped, scheduled_for=instants, reason=text)
shows = st.builds(Show, path=text, label=by_language, short=by_language)
definitions = st.builds(
    JobDefined,
    job_type=st.just("DAILY_MAINTENANCE"),
    title=by_language,
    description=text,
    params_schema=objects,
    result_schema=objects,
    schedule=schedules,
    timeout_ms=milliseconds,
    retry=st.builds(RetryPolicy, attempts=counts, wait_ms=milliseconds, max_wait_ms=milliseconds),
    concurrency=counts,
    show=st.lists(shows, max_size=2).map(tuple),
    confirm=st.none() | by_language,
)
service_changes = st.builds(ServiceChanged, queue=st.none() | counts, removed=st.booleans())
fired = st.builds(SlotFired, scheduled_for=instants)
refusals = st.builds(TriggerRefused, by=text, reason=text, queued=counts, limit=counts)
pauses = st.none() | st.builds(Pause, by=st.none() | text, reason=st.none() | text, until=st.none() | instants)
schedule_changes = st.builds(
    ScheduleChanged,
    by=text,
    expression=st.none() | text,
    tz=st.none() | text,
    catch_up=st.none() | st.sampled_from(["latest", "all", "none"]),
    overlap=st.none() | st.sampled_from(["queue", "skip"]),
    deadline_ms=st.none() | milliseconds,
    max_queued=st.none() | counts,
    when_full=st.none() | st.sampled_from(["refuse", "coalesce"]),
    given_by=st.dictionaries(text, text, max_size=3),
    pause=pauses,
    retired=st.none() | st.builds(Retirement, by=text, reason=st.none() | text),
)

run_events = started | retrying | abandoned | cancel_requested | completed | failed | cancelled
events = triggered | run_events | slots | fired | refusals | definitions | schedule_changes | service_changes
