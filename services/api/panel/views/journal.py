"""What people did, newest first. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from kronik.events import JobDefined
from msgspec import Struct

from services.api.access.store import SignIn
from services.api.commands.bulk import Bulk
from services.api.history.overview import Asked, Changed, Stopped
from services.api.panel.views.access import place
from services.api.panel.views.filters import address
from services.api.panel.views.signs import title
from services.words import events
from services.words.moments import When, utc
from services.words.voice import Voice

_SOON: Final = timedelta(minutes=10)


class Entry(Struct, frozen=True):
    """href: where it is seen."""

    when: When
    who: str
    text: str
    detail: str
    href: str


class Batch(Struct, frozen=True):
    """Runs of one job that the same asked for, one soon after the other; oldest first. more: or older ones besides."""

    runs: tuple[Asked, ...]
    more: bool = False


def batches(runs: Sequence[Asked], works: Sequence[Bulk], *, all_read: bool) -> list[Batch]:
    """runs: newest first. What was done to many runs at once is told as that. all_read: there are no older ones."""
    together = {one.id for one in works}
    found: list[list[Asked]] = []
    newest: dict[tuple[str, str, bool], list[Asked]] = {}
    for run in runs:
        if run.correlation_id in together:
            continue
        same = run.triggered_by, run.job_type, run.rerun_of is not None
        batch = newest.get(same)
        if batch is None or batch[-1].triggered_at - run.triggered_at > _SOON:
            batch = newest[same] = []
            found.append(batch)
        batch.append(run)
    return [Batch(tuple(reversed(one)), not all_read and one[-1] is runs[-1]) for one in found]


def entries(
    asked: Sequence[Batch],
    stopped: Sequence[Stopped],
    changed: Sequence[Changed],
    works: Sequence[Bulk],
    sign_ins: Sequence[SignIn],
    definitions: Mapping[str, JobDefined],
    voice: Voice,
    limit: int = 100,
) -> list[Entry]:
    """The newest, in words; those alone are put into words."""
    every: list[tuple[datetime, Callable[[], Entry]]] = [
        *((one.runs[-1].triggered_at, partial(_of_batch, one, definitions, voice)) for one in asked),
        *((one.completed_at, partial(_of_stopped, one, definitions, voice)) for one in stopped),
        *((one.signed_in_at, partial(_of_sign_in, one, voice)) for one in sign_ins),
        *((one.changed_at, partial(_of_change, one, definitions, voice)) for one in changed),
        *((one.asked_at, partial(_of_bulk, one, voice)) for one in works),
    ]
    every.sort(key=lambda one: one[0], reverse=True)
    return [told() for _, told in every[:limit]]


def _of_batch(batch: Batch, definitions: Mapping[str, JobDefined], voice: Voice) -> Entry:
    first, last = batch.runs[0], batch.runs[-1]
    named, when = (
        title(last.job_type, definitions.get(last.job_type), voice),
        voice.when(last.triggered_at, seconds=True),
    )
    who = voice.who(last.triggered_by)
    if len(batch.runs) == 1:
        text = voice.text("ran %(job)s", job=named)
        if last.rerun_of:
            text = voice.text("ran %(job)s again: run %(id)d", job=named, id=last.rerun_of)
        return Entry(when, who, text, "", f"/admin/system/run/{last.id}")
    times = voice.number(len(batch.runs))
    text = (
        voice.text("ran %(job)s again, %(n)s runs", job=named, n=times)
        if last.rerun_of
        else voice.text("ran %(job)s %(n)s times", job=named, n=times)
    )
    if batch.more:
        text = voice.text("%(what)s or more", what=text)
    same_day = voice.day(first.triggered_at) == voice.day(last.triggered_at)
    end = voice.clock(last.triggered_at) if same_day else voice.moment(last.triggered_at, seconds=True)
    span = f"{voice.moment(first.triggered_at, seconds=True)} – {end}"
    return Entry(when, who, text, span, _where(first, last))


def _where(first: Asked, last: Asked) -> str:
    """The same runs in the history."""
    until = last.triggered_at + timedelta(seconds=1)
    query = [("job", last.job_type), ("by", last.triggered_by), ("from", utc(first.triggered_at)), ("to", utc(until))]
    return address("/admin/system/history", query)


def _of_stopped(one: Stopped, definitions: Mapping[str, JobDefined], voice: Voice) -> Entry:
    named = title(one.job_type, definitions.get(one.job_type), voice)
    text, href = voice.text("cancelled run %(id)d of %(job)s", id=one.id, job=named), f"/admin/system/run/{one.id}"
    when = voice.when(one.completed_at, seconds=True)
    return Entry(when, voice.who(one.cancelled_by), text, "", href)


def _of_sign_in(one: SignIn, voice: Voice) -> Entry:
    when, text = voice.when(one.signed_in_at, seconds=True), voice.text("signed in with a link")
    return Entry(when, one.account, text, place(one.address, one.agent), "/admin/system/access")


def _of_change(one: Changed, definitions: Mapping[str, JobDefined], voice: Voice) -> Entry:
    told = events.told(one.change, voice)
    text = f"{title(one.job_type, definitions.get(one.job_type), voice)}: {told.text}"
    when, href = voice.when(one.changed_at, seconds=True), f"/admin/system/job/{one.job_type}"
    return Entry(when, voice.who(one.change.by), text, told.detail, href)


def _of_bulk(one: Bulk, voice: Voice) -> Entry:
    text = (
        voice.count("ran %(n)d run again", "ran %(n)d runs again", one.done)
        if one.command == "rerun"
        else voice.count("cancelled %(n)d run", "cancelled %(n)d runs", one.done)
    )
    href = f"/admin/system/bulk/{one.id}"
    return Entry(voice.when(one.asked_at, seconds=True), voice.who(one.asked_by), text, "", href)
