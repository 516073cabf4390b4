"""Where a job's deliveries begin when its consumer is made: at its first run without an end.

A consumer that was deleted, or that a restored backup does not have, would deliver every trigger there ever was
before the first new one, and each would be read only to find it finished.
"""

from kronik import subjects
from kronik.errors import InvalidName
from nats.aio.client import Client

from services.log import jetstream

_BATCH = 1000


async def first_open(connection: Client, job_type: str) -> int:
    """The sequence of the job's first trigger whose run has not ended; where all have, behind the last event seen.

    Not behind the stream's end: the replica that is read may lag behind the one that would say where that is. Reads
    the job's events once, some ten thousand a second. Raises LogUnavailable.
    """
    events, position = f"jobs.*.{subjects.check_job_type(job_type)}.>", 1
    open: dict[int, None] = {}
    while batch := await jetstream.get(connection, {"seq": position, "next_by_subj": events, "batch": _BATCH}):
        for stored in filter(lambda each: each.counts, batch):
            _note(open, stored.subject, stored.sequence)
        position = batch[-1].sequence + 1
    return next(iter(open), position)


def _note(open: dict[int, None], subject: str, sequence: int) -> None:
    try:
        place = subjects.parse(subject)
    except InvalidName:
        return
    match place:
        case subjects.TriggerSubject():
            open[sequence] = None
        case subjects.RunSubject(event=event, run_id=run_id) if event in subjects.TERMINAL:
            open.pop(run_id, None)
