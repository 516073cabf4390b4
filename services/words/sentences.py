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
_UNITS: Final = (marked("characters"), marked("items"), marked("fields"), marked("parts"))
_VARIES: Final = {
    "unit": "|".join(_UNITS),
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
    "kind": r"[a-z0-9_| ]+",
    "got": r"[a-z0-9_| ]+",
    "bound": r"[0-9.e+-]+",
    "subject": r"jobs\.\S+",
    "name": r"\S+",
    "place": r"[\w.\[\]]+",
    "words": r"[a-z ]+",
    "other_words": r"[a-z ]+",
    "detail": r"[a-z][a-z ':,]*",
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


TRIGGERS: Final = (
    marked("params: %(rest)s (allowed: %(allowed_names)s)"),
    marked("the trigger's body has %(n)s bytes; at most %(most)s are allowed"),
    marked("the trigger's body is nested too deeply; at most %(most)s levels are allowed"),
    marked("the trigger's body is not valid JSON: %(rest)s"),
    marked("the trigger's body has a NUL character (\\u0000), which can't be stored; leave it out"),
    marked("the trigger's body must be a JSON object (the params), got %(kind)s"),
    marked("specversion: must be the string '1.0', got %(text)s"),
    marked("data_base64: not supported; send the params as JSON in 'data'"),
    marked("data: must be a JSON object (the params), got %(kind)s"),
    marked("data.params: must be a JSON object, got %(kind)s"),
    marked("data.%(name)s: only Kronik itself may set it; send params alone"),
    marked("%(name)s: can't be set in the payload; who triggered is the last token of jobs.trigger.<JOB>.<origin>"),
)
"""Why a trigger could not be read, or its params were not taken: kronik's codec, services/runner/attempt.py."""

MESSAGES: Final = (
    marked("%(subject)s: %(rest)s"),
    marked("written without an expectation of what stood there before, and therefore no event (docs/events.md)"),
    marked("type %(text)s is not known to this version of Kronik"),
    marked("%(name)s does not belong on %(subject)s"),
    marked("a trigger does not belong on %(subject)s"),
    marked("an event of type %(name)s does not belong on a subject of %(text)s"),
    marked("data is not that of %(name)s: %(text)s"),
    marked("subject %(text)s is not one of Kronik's; see docs/events.md"),
    marked("run %(run)s is not in the history: no trigger stands at sequence %(n)s"),
    marked("run %(run)s is one of %(job)s"),
)
"""Why a message is no event: kronik's codec and subjects, services/log/stored, services/api/history/projections."""

VALUES: Final = (
    marked("Expected `%(kind)s`, got `%(got)s`"),
    marked("Expected `%(kind)s` >= %(bound)s"),
    marked("Expected `%(kind)s` <= %(bound)s"),
    marked("Expected `%(kind)s` > %(bound)s"),
    marked("Expected `%(kind)s` < %(bound)s"),
    marked("Expected `%(kind)s` that's a multiple of %(bound)s"),
    marked("Expected `%(kind)s` of length >= %(bound)s"),
    marked("Expected `%(kind)s` of length <= %(bound)s"),
    marked("Expected `%(kind)s` of length %(bound)s"),
    marked("Expected `%(kind)s` matching regex %(text)s"),
    marked("Expected `%(kind)s` with a timezone component"),
    marked("Object missing required field `%(text)s`"),
    marked("Object contains unknown field `%(text)s`"),
    marked("Invalid enum value %(text)s"),
    marked("Invalid RFC3339 encoded datetime"),
    marked("Invalid RFC3339 encoded date"),
    marked("Invalid RFC3339 encoded time"),
    marked("Invalid ISO8601 duration"),
    marked("Invalid UUID"),
    marked("Invalid decimal string"),
    marked("Invalid base64 encoded string"),
    marked("Integer value out of range"),
    marked("Input data was truncated"),
    marked("JSON is malformed: %(detail)s (byte %(n)s)"),
)
"""What is wrong with a value: msgspec's words, which the sentences above hold."""

MISFITS: Final = (
    marked("%(place)s must be at least %(bound)s"),
    marked("%(place)s must be at most %(bound)s"),
    marked("%(place)s must be more than %(bound)s"),
    marked("%(place)s must be less than %(bound)s"),
    marked("%(place)s must not be empty"),
    marked("%(place)s must have at least %(n)s %(unit)s"),
    marked("%(place)s must have at most %(n)s %(unit)s"),
    marked("%(place)s must have more than %(n)s %(unit)s"),
    marked("%(place)s must have less than %(n)s %(unit)s"),
    marked("%(place)s must be %(words)s, not %(other_words)s"),
    marked("%(place)s does not have the form that is allowed"),
    marked("%(place)s has no offset from UTC"),
    marked("%(place)s %(text)s is not one of those that are allowed"),
    marked("%(place)s is no instant"),
    marked("%(place)s is no day"),
    marked("%(place)s is too large a number"),
)
"""The same in the words of services/infra/misfit_words.py."""

PROOFS: Final = (
    marked("its process was stopped"),
    marked("the history was made by another version of Kronik: run `kronik rebuild`"),
    marked("another rebuild is running; wait for it, or end it"),
    marked(
        "event %(n)s (%(id)s) was read, but the stream has another one there (%(name)s). It was restored, truncated or"
        " lost its tail: find out which, then run `kronik rebuild`."
    ),
    marked(
        "event %(n)s (%(id)s) was read, but the stream has none there: it holds %(low)s to %(high)s. It was restored,"
        " truncated or lost its tail: find out which, then run `kronik rebuild`."
    ),
    marked("NATS was reconnected"),
    marked("consumer %(name)s has been silent for %(seconds)s s"),
)
"""Why a rebuild or a verify ended, or history stands still: services/api/history, services/log."""

ALL: Final = (*SLOTS, *ENDS, *SCHEDULES, *TRIGGERS, *VALUES, *MISFITS, *PROOFS, *MESSAGES)

_KINDS: Final = (
    *(marked("str"), marked("int"), marked("float"), marked("bool"), marked("array"), marked("object")),
    *(marked("datetime"), marked("date"), marked("null"), marked("a string"), marked("a number"), marked("a boolean")),
    *(marked("an array"), marked("an object")),
)
_WORDS: Final = (
    *(marked("a whole number"), marked("a number"), marked("true or false"), marked("an instant"), marked("a day")),
    *(marked("an array"), marked("an object"), marked("null"), marked("text"), marked("or")),
)
_DETAILS: Final = (
    marked("invalid character"),
    marked("trailing characters"),
    marked("object keys must be strings"),
    marked("invalid number"),
    marked("invalid escape character in string"),
    marked("invalid character in unicode escape"),
)
_PLACED: Final = re.compile(r"(?P<what>.*) - at `(?:key` in `)?(?P<place>\$[^`]*)`", re.DOTALL)


def known(text: str, voice: Voice) -> str | None:
    """The sentence in the reader's language; None for one that Kronik has not made."""
    if (placed := _PLACED.fullmatch(text)) and (what := known(placed["what"], voice)) is not None:
        return voice.text("%(what)s - at `%(place)s`", what=what, place=placed["place"])
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
        case "kind" | "got":
            return " | ".join(voice.text(one) if one in _KINDS else one for one in value.split(" | "))
        case "words" | "other_words":
            return re.sub(rf"\b(?:{'|'.join(_WORDS)})\b", lambda word: voice.text(word[0]), value)
        case "unit":
            return voice.text(value)
        case "detail":
            return voice.text(value) if value in _DETAILS else value
        case "allowed_names" if value == "none":
            return voice.text("none")
    return value


def _span(text: str, voice: Voice) -> str:
    units = {"d": voice.text("d"), "h": voice.text("h")}
    return " ".join(units.get(word, word) for word in text.split(" "))


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((template, _pattern(template)) for template in ALL)


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"%\((\w+)\)s", template)
    whole = "".join(
        re.escape(part) if place % 2 == 0 else f"(?P<{part}>{_VARIES.get(part, '.+')})"
        for place, part in enumerate(parts)
    )
    return re.compile(whole, re.DOTALL)
