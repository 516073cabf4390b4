"""Writing to the log as it stands: what tests do in the place of runners, schedulers and admins."""

import uuid

from kronik import subjects
from kronik.events import AnyEvent

from services.log.append import Appended, EventLog, Expected


async def append_next(log: EventLog, subject: str, event: AnyEvent) -> Appended:
    """The event, after whatever stands in its aggregate."""
    answer = await log.append(subject, event, id=f"test-{uuid.uuid4().hex}", expected=await expected_now(log, subject))
    assert isinstance(answer, Appended)
    return answer


async def expected_now(log: EventLog, subject: str) -> Expected | None:
    aggregate = subjects.aggregate(subject)
    if aggregate is None:
        return None
    last = await log.last(aggregate)
    return Expected(aggregate, last.sequence if last else 0)
