"""What people did, newest first. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from kronik.events import JobDefined
from msgspec import Struct

from services.api.access.store import SignIn
from services.api.commands.bulk import Bulk
from services.api.history.overview import Changed, Stopped
from services.api.history.queries import JobRun
from services.api.panel.views.access import place
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
    stopped: Sequence[Stopped],
    changed: Sequence[Changed],
    works: Sequence[Bulk],
    sign_ins: Sequence[SignIn],
    definitions: Mapping[str, JobDefined],
    voice: Voice,
) -> list[Entry]:
    """What was done to many runs at once is one entry."""
    together = {one.id for one in works}
    every = [
        *(_of_run(run, definitions, voice) for run in runs if run.correlation_id not in together),
        *(_of_stopped(one, definitions, voice) for one in stopped),
        *(_of_sign_in(one, voice) for one in sign_ins),
        *(_of_change(one, definitions, voice) for one in changed),
        *(_of_bulk(one, voice) for one in works),
    ]
    return sorted(every, key=lambda entry: entry.instant, reverse=True)


def _of_run(run: JobRun, definitions: Mapping[str, JobDefined], voice: Voice) -> Entry:
    named, href = title(run.job_type, definitions.get(run.job_type), voice), f"/admin/system/run/{run.id}"
    text = voice.text("ran %(job)s", job=named)
    if run.rerun_of:
        text = voice.text("ran %(job)s again: run %(id)d", job=named, id=run.rerun_of)
    when = voice.when(run.triggered_at, seconds=True)
    return Entry(when, voice.who(run.triggered_by), text, "", href, run.triggered_at)


def _of_stopped(one: Stopped, definitions: Mapping[str, JobDefined], voice: Voice) -> Entry:
    named = title(one.job_type, definitions.get(one.job_type), voice)
    text, href = voice.text("cancelled run %(id)d of %(job)s", id=one.id, job=named), f"/admin/system/run/{one.id}"
    when = voice.when(one.completed_at, seconds=True)
    return Entry(when, voice.who(one.cancelled_by), text, "", href, one.completed_at)


def _of_sign_in(one: SignIn, voice: Voice) -> Entry:
    when, text = voice.when(one.signed_in_at, seconds=True), voice.text("signed in with a link")
    return Entry(when, one.account, text, place(one.address, one.agent), "/admin/system/access", one.signed_in_at)


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
