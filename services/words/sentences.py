"""What Kronik's own services have written into events, in English, said again in the reader's language. Pure.

An event keeps the sentence that its writer made; here each is known by its text, with what varies in it by name. What
is none of them was written by a job, or by somebody else, and is shown as it is.
"""

import re
from functools import cache
from typing import Final

from services.words.language import marked
from services.words.voice import Voice

_FIELDS: Final = (marked("minute"), marked("hour"), marked("day of month"), marked("month"), marked("weekday"))
_VARIES: Final = {
    "field": "|".join(_FIELDS),
    "by": r"[A-Z]+:\S+",
    "span": r"[0-9a-z ]+",
    "allowed": r"[0-9a-z ]+",
    "run": r"\d+",
    "n": r"\d+",
    "most": r"\d+",
    "low": r"\d+",
    "high": r"\d+",
    "seconds": r"[0-9.e+]+",
    "job": r"'?[A-Z][A-Z0-9_]*'?",
}
"""By name; whatever else varies can be any text."""

SLOTS: Final = (
    marked("The schedule was paused when this slot came due."),
    marked("The schedule was paused (%(why)s) when this slot came due."),
    marked("The schedule was paused by %(by)s when this slot came due."),
    marked("The schedule was paused by %(by)s (%(why)s) when this slot came due."),
    marked("Seen %(span)s late, and the schedule had been paused in the meantime."),
    marked("Seen %(span)s late, and the schedule had been paused (%(why)s) in the meantime."),
    marked("Seen %(span)s late, and the schedule had been paused by %(by)s in the meantime."),
    marked("Seen %(span)s late, and the schedule had been paused by %(by)s (%(why)s) in the meantime."),
    marked("Seen %(span)s late; the schedule's deadline is %(allowed)s."),
    marked("Seen %(span)s late, and the schedule does not catch up."),
    marked("No runner serves this job now, and the schedule does not catch up."),
    marked("Run %(run)s of this job was still open."),
    marked("No runner serves this job now; run %(run)s waits for one and runs for this slot."),
    marked("Of the slots that were missed only the newest counts, and newer ones were due."),
    marked("At most %(n)s missed slots are run; there were as many others."),
    marked("The run of the slot of %(when)s had only just been asked for."),
    marked("1 run of this job waits already, as many as may: this slot is left to them."),
    marked("%(n)s runs of this job wait already, as many as may: this slot is left to them."),
    marked("1 run of this job waits already, and no more than %(most)s may."),
    marked("%(n)s runs of this job wait already, and no more than %(most)s may."),
    marked("One run stands for every slot that was missed: that of %(when)s."),
)
"""Why a slot did not become a run: services/scheduler/decisions.py."""

ENDS: Final = (
    marked(
        "The service %(service)s may have %(n)s runs waiting, and had as many: this one was not queued. Ask again"
        " later, or have its quota raised (kronik service)."
    ),
    marked("As many runs of this job as may wait (%(n)s) waited already: this one was not queued. Ask again later."),
    marked("%(job)s was retired by %(by)s. What waited for it was ended."),
    marked("%(job)s was retired by %(by)s: %(why)s. What waited for it was ended."),
    marked(
        "Missed: the run of the slot of %(when)s has waited %(span)s without beginning; the schedule's deadline is"
        " %(allowed)s."
    ),
    marked("Gave up after its only attempt: %(rest)s"),
    marked("Gave up after %(n)s attempts: %(rest)s"),
    marked("each time its runner died, hung or was cut off before the job ended"),
    marked("Unknown job type %(job)s. No runner has announced any job yet."),
    marked("Unknown job type %(job)s. Known job types: %(known)s."),
    marked(
        "No runner takes %(job)s up: its consumer %(consumer)s is gone. Start a runner that has this job and run it"
        " again."
    ),
    marked(
        "The run was lost: its trigger was delivered, will not be delivered again, and no runner has ended the run. Run"
        " it again."
    ),
    marked(
        "The run was lost: its runner %(runner)s stopped answering, the attempt's timeout is long over, and no other"
        " runner has taken the run over. Run it again."
    ),
    marked("Cancelled by %(by)s"),
    marked("timed out after %(seconds)s s"),
    marked("timed out after %(seconds)s s and ignored its cancellation"),
    marked("runner %(runner)s stopped answering"),
    marked("its runner was told to stop"),
    marked("its runner lost the run"),
    marked("the job cancelled itself"),
    marked("its process ended with exit status %(n)s before the job was done"),
    marked("its process was killed by %(signal)s (out of memory?) before the job was done"),
    marked("its process was killed by %(signal)s before the job was done"),
    marked("1 run of this job waits already, and no more than %(most)s may: ask again later."),
    marked("%(n)s runs of this job wait already, and no more than %(most)s may: ask again later."),
)
"""Why a run or an attempt ended: kronik's endings and run, services/scheduler/queues.py, services/runner."""


SCHEDULES: Final = (
    marked("%(n)s characters; at most %(most)s are allowed"),
    marked("%(text)s: only digits, names and * / , - # are allowed; write %(instead)s"),
    marked("%(text)s: only digits, names such as MON or JAN, and * / , - # are allowed"),
    marked("%(text)s has %(n)s fields; exactly five are allowed: minute hour day-of-month month weekday"),
    marked("%(text)s never fires: no month that it names has such a day"),
    marked("%(field)s %(item)s is not valid: %(rest)s"),
    marked("allowed are %(low)s to %(high)s, *, ranges a-b, lists a,b and steps */n"),
    marked("allowed are %(low)s to %(high)s or %(first)s to %(last)s, *, ranges a-b, lists a,b and steps */n"),
    marked("a step must be %(low)s to %(high)s"),
    marked("a range must ascend; write several, separated by commas"),
    marked("a range must ascend; write %(instead)s"),
    marked("weekday %(text)s can't be read: %(item)s can't stand beside plain weekdays"),
    marked("weekday %(text)s can't be combined with a day of month; set the day of month to *"),
)
"""What is wrong with a cron expression: services/infra/cron.py."""


def known(text: str, voice: Voice) -> str | None:
    """The sentence in the reader's language; None for one that Kronik has not made."""
    for template, pattern in _patterns():
        if match := pattern.fullmatch(text):
            varying = {name: _varying(name, value, voice) for name, value in match.groupdict().items()}
            return voice.text(template, **varying)
    return None


def said(text: str, voice: Voice) -> str:
    """The same, and another's text as it is; people by their names."""
    found = known(text, voice)
    return re.sub(r"\bADMIN:\d+\b", lambda by: voice.who(by[0]), text) if found is None else found


def _varying(name: str, value: str, voice: Voice) -> str:
    match name:
        case "by":
            return voice.who(value)
        case "field":
            return voice.text(value)
        case "span" | "allowed":
            return _span(value, voice)
        case "rest":
            return said(value, voice)
    return value


def _span(text: str, voice: Voice) -> str:
    units = {"d": voice.text("d"), "h": voice.text("h")}
    return " ".join(units.get(word, word) for word in text.split(" "))


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((template, _pattern(template)) for template in (*SLOTS, *ENDS, *SCHEDULES))


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"%\((\w+)\)s", template)
    whole = "".join(
        re.escape(part) if place % 2 == 0 else f"(?P<{part}>{_VARIES.get(part, '.+')})"
        for place, part in enumerate(parts)
    )
    return re.compile(whole, re.DOTALL)
