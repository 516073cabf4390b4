"""Deliveries just as Kronik had them stored, which is nearly all of a stream, known by sight: one pattern each.

What the pattern takes it has also checked: that a run's event expected its run, that a trigger expected nothing,
and that no other header stands there. Whatever looks otherwise is taken apart word by word (`stored.py`).
"""

import re
from typing import Final

from kronik import subjects

from services.log.stored import Stored, time_of

_FRAME: Final = re.compile(
    rb"HMSG (jobs\.(?:run\.(%(job)b)\.([1-9][0-9]{0,17})\.(%(event)b)|trigger\.%(job)b\.%(origin)b))"
    rb" ([0-9]+) \$JS\.ACK\.[^. ]+\.[^. ]+\.[0-9]+\.([0-9]+)\.([0-9]+)\.([0-9]+)\.([0-9]+) ([0-9]+) ([0-9]+)\r\n"
    rb"NATS/1\.0\r\n(?:Nats-Expected-Stream: JOBS\r\n)?"
    rb"(?(2)Nats-Expected-Last-Subject-Sequence: [0-9]+\r\n"
    rb"Nats-Expected-Last-Subject-Sequence-Subject: jobs\.run\.\2\.\3\.>\r\n)"
    rb"(?:Nats-Msg-Id: ([!-~]+)\r\n)?"
    rb"(?:Nats-Batch-Id: [!-~]+\r\nNats-Batch-Sequence: [0-9]+\r\n(?:Nats-Batch-Commit: 1\r\n)?)?\r\n"
    % {
        b"job": subjects.JOB_TYPE_RULE.encode(),
        b"event": "|".join(subjects.RUN_EVENTS).encode(),
        b"origin": subjects.ORIGIN_RULE.encode(),
    }
)


def take_known(chunk: bytes, begin: int, sid: bytes, last: int, into: list[Stored]) -> int:
    """Append the deliveries of this subscription that stand here one behind the other, as long as they are known, whole
    and in order. last: the number of the delivery before them. Where the next message begins.
    """
    while found := _FRAME.match(chunk, begin):
        subject, job_type, run_id, event, to, sequence, delivery, stamp, behind, headers, size, msg_id = found.groups()
        last += 1
        body, length = found.end(), int(headers)
        end = body + int(size) - length
        told_alike = to == sid and length == body - found.end(11) - 2 and int(delivery) == last
        if not told_alike or len(chunk) < end + 2:
            break
        run = subjects.RunSubject(job_type.decode(), int(run_id), event.decode()) if job_type else None
        id = None if msg_id is None else msg_id.decode()
        time = time_of(int(stamp))
        into.append(Stored(int(sequence), subject.decode(), time, chunk[body:end], id, int(behind), None, None, run))
        begin = end + 2
    return begin
