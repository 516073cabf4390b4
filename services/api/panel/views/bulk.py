"""Work on many runs, in words. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from kronik.events import JobDefined
from msgspec import Struct

from services.api.commands.bulk import Bulk, BulkRun
from services.api.panel.views.signs import title
from services.words.language import marked
from services.words.moments import When
from services.words.voice import Voice

_WHY: Final = {
    "running": marked("it has not finished"),
    "unreadable": marked("its trigger could not be read"),
    "succeeded_since": marked("the same has succeeded since"),
    "job_retired": marked("its job is retired"),
    "job_unknown": marked("no runner has announced its job"),
    "run_again_since": marked("it was run again already"),
    "params_refused": marked("its job does not take its parameters any more"),
    "finished": marked("it has finished"),
    "cancel_asked_already": marked("somebody has asked it to stop already"),
    "busy": marked("it changes faster than it can be asked to stop"),
    "gone": marked("its events are not in the stream any more"),
    "stopped": marked("the work was stopped before it came to it"),
}


class Work(Struct, frozen=True, kw_only=True):
    id: str
    heading: str
    state: str
    who: str
    asked: When
    selected: int
    done: int
    waiting: int
    left: tuple[tuple[str, int], ...]


class Pair(Struct, frozen=True):
    """A run, and what repeats it."""

    run_id: int
    made: int | None
    text: str


def why(reason: str | None, voice: Voice) -> str:
    return voice.text(_WHY[reason]) if reason in _WHY else reason or ""


def questions(job_types: Iterable[str], definitions: Mapping[str, JobDefined], voice: Voice) -> list[tuple[str, str]]:
    """What the jobs want to be asked before they run by hand: each job's title and its question."""
    asking = {one: definitions[one] for one in job_types if one in definitions and definitions[one].confirm}
    return [(title(one, job, voice), voice.pick(job.confirm or {})) for one, job in asking.items()]


def work(found: Bulk, voice: Voice) -> Work:
    return Work(
        id=found.id,
        heading=voice.text("Runs that are run again")
        if found.command == "rerun"
        else voice.text("Runs that are cancelled"),
        state=_state(found, voice),
        who=voice.who(found.asked_by),
        asked=voice.when(found.asked_at),
        selected=found.selected,
        done=found.done,
        waiting=found.waiting,
        left=tuple((why(reason, voice), count) for reason, count in found.left.items()),
    )


def _state(found: Bulk, voice: Voice) -> str:
    match found.status:
        case "working":
            return voice.text("at work")
        case "stopped":
            return voice.text("stopped by %(who)s", who=voice.who(found.stopped_by or ""))
    return voice.text("done")


def pair(one: BulkRun, voice: Voice) -> Pair:
    match one.outcome:
        case "waiting":
            return Pair(one.run_id, None, voice.text("waits"))
        case "done":
            return Pair(one.run_id, one.made, "" if one.made else voice.text("asked to stop"))
    return Pair(one.run_id, one.made, why(one.why, voice))
