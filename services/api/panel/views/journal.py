"""What people did, newest first. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from kronik.events import JobDefined
from msgspec import Struct

from services.api.commands.bulk import Bulk
from services.api.history.overview import Changed
from services.api.history.queries import JobRun
from services.api.panel.views.signs import title
from services.words import events
from services.words.moments import When
from services.words.voice import Voice


class Entry(Struct, frozen=True):
    """href: where it is seen."""

    when: When
    who: str
    text: str
    detail: str
    href: str
    instant: datetime


def entries(
    runs: Sequence[JobRun],
    changed: Sequence[Changed],
    works: Sequence[Bulk],
    definitions: Mapping[str, JobDefined],
    voice: Voice,
) -> list[Entry]:
    every = [
        *(entry for run in runs for entry in _of_run(run, definitions, voice)),
        *(_of_change(one, definitions, voice) for one in changed),
        *(_of_bulk(one, voice) for one in works),
    ]
    return sorted(every, key=lambda entry: entry.instant, reverse=True)


def _of_run(run: JobRun, definitions: Mapping[str, JobDefined], voice: Voice) -> Iterator[Entry]:
    named, href = title(run.job_type, definitions.get(run.job_type), voice), f"/admin/system/run/{run.id}"
    text = voice.text("ran %(job)s", job=named)
    if run.rerun_of:
        text = voice.text("ran %(job)s again: run %(id)d", job=named, id=run.rerun_of)
    yield Entry(
        voice.when(run.triggered_at, seconds=True), voice.who(run.triggered_by), text, "", href, run.triggered_at
    )
    if run.cancelled_by and run.completed_at:
        stopped = voice.text("cancelled run %(id)d of %(job)s", id=run.id, job=named)
        when = voice.when(run.completed_at, seconds=True)
        yield Entry(when, voice.who(run.cancelled_by), stopped, "", href, run.completed_at)


def _of_change(one: Changed, definitions: Mapping[str, JobDefined], voice: Voice) -> Entry:
    told = events.told(one.change, voice)
    text = f"{title(one.job_type, definitions.get(one.job_type), voice)}: {told.text}"
    when, href = voice.when(one.changed_at, seconds=True), f"/admin/system/job/{one.job_type}"
    return Entry(when, voice.who(one.change.by), text, told.detail, href, one.changed_at)


def _of_bulk(one: Bulk, voice: Voice) -> Entry:
    text = (
        voice.count("ran %(n)d run again", "ran %(n)d runs again", one.done)
        if one.command == "rerun"
        else voice.count("cancelled %(n)d run", "cancelled %(n)d runs", one.done)
    )
    href = f"/admin/system/bulk/{one.id}"
    return Entry(voice.when(one.asked_at, seconds=True), voice.who(one.asked_by), text, "", href, one.asked_at)
