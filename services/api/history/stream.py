"""Places in the stream: the messages of one run, the first one after an instant."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from kronik import subjects
from nats.aio.client import Client

from services.log import jetstream
from services.log.stored import Stored

_BATCH = 1000


async def first_after(connection: Client, instant: datetime) -> int | None:
    """The sequence of the first message that was stored after this instant; None where none was."""
    start = (instant + timedelta(microseconds=1)).isoformat().replace("+00:00", "Z")
    found = await jetstream.get(connection, {"start_time": start, "next_by_subj": ">"})
    return found[0].sequence if found else None


async def stored_of_run(connection: Client, run_id: int) -> AsyncIterator[Stored]:
    """The trigger first; readable or not. Raises LogUnavailable."""
    found = await jetstream.get(connection, {"seq": run_id})
    if not found or not found[0].subject.startswith("jobs.trigger."):
        return
    events = subjects.run_aggregate(found[0].subject.split(".")[2], run_id)
    while found:
        for stored in found:
            yield stored
        found = await jetstream.get(
            connection, {"seq": found[-1].sequence + 1, "next_by_subj": events, "batch": _BATCH}
        )
