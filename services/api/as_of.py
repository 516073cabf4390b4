"""`asOf=`: every read can be answered as it would have been at an earlier moment."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar.params import QueryParameter
from msgspec import Meta

from services.api.history import queries, stream
from services.api.history.queries import JobRun
from services.api.history.selection import Moment
from services.api.past import History, unknown
from services.api.problems import BEFORE_HISTORY, TO_COME, Problem, invalid
from services.log import jetstream

AsOf = Annotated[
    str | None,
    QueryParameter(
        name="asOf",
        max_length=40,
        description="Answer as it was then: an instant with its offset, or the sequence of an event",
    ),
]

_Instant = Annotated[datetime, Meta(tz=True)]


async def moment_of(past: History, as_of: str | None) -> Moment | None:
    """The moment that is meant; None: now. Raises Problem for one before the first event or to come, LogUnavailable."""
    if as_of is None:
        return None
    if as_of.isascii() and as_of.isdigit() and len(as_of) <= 16:
        return await _at_sequence(past, int(as_of))
    try:
        instant = msgspec.convert(as_of.replace(" ", "+"), _Instant).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError) as error:
        raise invalid("asOf", f"{as_of[:80]!r} is neither an instant nor a sequence") from error
    return await _at_instant(past, instant)


async def find_then(past: History, run_id: int, moment: Moment) -> JobRun:
    """The run as it was. Raises Problem where there was none."""
    found = await queries.run(past.pool, run_id, moment)
    if found is None:
        raise unknown(run_id)
    return found


async def _at_sequence(past: History, sequence: int) -> Moment:
    position = (await queries.position(past.pool)).sequence
    if sequence > position:
        detail = f"event {sequence} is not in the history, which stands at event {position}"
        raise invalid("asOf", detail, TO_COME)
    stored = await jetstream.stored_at(past.log.connection, sequence) if sequence else None
    if stored is not None:
        return Moment(sequence, stored.time)
    before = await queries.asked_before(past.pool, sequence)
    if before is None:
        raise await _too_early(past, f"event {sequence}")
    return Moment(sequence, before)


async def _at_instant(past: History, instant: datetime) -> Moment:
    if instant > past.log.clock.now():
        raise invalid("asOf", f"{instant.isoformat()} is still to come", TO_COME)
    position = (await queries.position(past.pool)).sequence
    following = await stream.first_after(past.log.connection, instant)
    sequence = position if following is None else min(position, following - 1)
    first = await first_event(past)
    if first is None or instant < first:
        raise await _too_early(past, instant.isoformat())
    return Moment(sequence, instant)


async def first_event(past: History) -> datetime | None:
    """When the first event was stored that anything is known of."""
    there = await jetstream.stream_info(past.log.connection)
    stored = await jetstream.stored_at(past.log.connection, there.state.first)
    known = [stored.time if stored else None, await queries.first_asked(past.pool)]
    return min((time for time in known if time), default=None)


async def _too_early(past: History, asked: str) -> Problem:
    first = await first_event(past)
    begins = f"it begins with the first event, at {first.isoformat()}" if first else "nothing has happened yet"
    return invalid("asOf", f"{asked} is before the history: {begins}", BEFORE_HISTORY)
