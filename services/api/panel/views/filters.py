"""What is looked for in the history: said as chips that can be taken off, and read from a page's address. Pure.

A page's address has short names for some parts, `job=A&by=CRON`; the filter itself is the API's.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from kronik.events import JobDefined
from msgspec import Struct

from services.api.history import run_filter
from services.api.history.run_filter import ALL, BadPart, InvalidFilter, RunFilter
from services.api.panel.views.signs import title
from services.words.voice import Voice

Query = Sequence[tuple[str, str]]

ALIASES: Final = {"job": "jobType", "by": "triggeredBy"}
_SHORT: Final = {long: short for short, long in ALIASES.items()}
_OF_PAGES: Final = frozenset({"before", "after", "asOf", "lang", "command", "key"})
STATUSES: Final = ("RUNNING", "SUCCESS", "PARTIAL", "FAILED")
PHASES: Final = ("queued", "executing", "retrying", "finished")
_TRUE: Final = {"1": "true", "0": "false"}


class Choice(Struct, frozen=True):
    """A list of the form. options: value, text, whether it is chosen; the first chooses nothing."""

    name: str
    label: str
    options: tuple[tuple[str, str, bool], ...]


class Form(Struct, frozen=True, kw_only=True):
    """choices, text, unresolved: what is asked for as a rule; more, since, until: the rest, open where it is used.

    kept: parts that have no field, or several values.
    """

    choices: tuple[Choice, ...]
    text: str
    unresolved: bool
    more: tuple[Choice, ...]
    since: str
    until: str
    is_open: bool
    kept: tuple[tuple[str, str], ...]


class Chip(Struct, frozen=True):
    """A part of the filter in words. without: the address without it."""

    text: str
    without: str


def form(wanted: RunFilter, definitions: Mapping[str, JobDefined], askers: Sequence[str], voice: Voice) -> Form:
    """askers: who has ever asked for a run."""
    jobs = sorted((title(job_type, one, voice), job_type) for job_type, one in definitions.items())
    whos = [(who, voice.who(who)) for who in askers]
    say = voice.text
    choices = (
        _choice("job", say("Job"), say("All jobs"), [(job_type, text) for text, job_type in jobs], wanted.job_types),
        _choice("status", say("Status"), say("All"), [(s, said_status(s, voice)) for s in STATUSES], wanted.statuses),
    )
    more = (
        _choice("phase", say("Phase"), say("All"), [(one, _phase(one, voice)) for one in PHASES], wanted.phases),
        _choice("by", say("Asked for"), say("by anybody"), whos, wanted.triggered_by),
    )
    shown = {one.name for one in (*choices, *more) if any(chosen for _, _, chosen in one.options)}
    return Form(
        choices=choices,
        text=wanted.text or "",
        unresolved=bool(wanted.unresolved),
        more=more,
        since=_local(wanted.since, voice),
        until=_local(wanted.until, voice),
        is_open=bool(wanted.phases or wanted.triggered_by or wanted.since or wanted.until),
        kept=tuple(
            (name, value)
            for name, value in written(wanted)
            if name not in shown | {"text", "from", "to"} and (name, value) != ("unresolved", "true")
        ),
    )


def _choice(name: str, label: str, any_: str, options: Sequence[tuple[str, str]], wanted: Sequence[str]) -> Choice:
    chosen = wanted[0] if len(wanted) == 1 else None
    return Choice(name, label, (("", any_, False), *((value, text, value == chosen) for value, text in options)))


def _local(instant: datetime | None, voice: Voice) -> str:
    """As a browser's field for date and time has it, by the panel's clock."""
    return f"{instant.astimezone(voice.zone):%Y-%m-%dT%H:%M}" if instant else ""


def strange(query: Query, voice: Voice) -> list[str]:
    """Names in the address that are no part of a filter, nor of any page, each in a sentence."""
    return [
        voice.text("“%(name)s” is nothing that can be looked for.", name=name[:80])
        for name, _ in query
        if not run_filter.is_part(ALIASES.get(name, name)) and name not in _OF_PAGES
    ]


def read(query: Query) -> tuple[RunFilter, list[BadPart]]:
    """The filter of what can be read, and the parts that can't be. Empty ones come from a form and say nothing."""
    asked = [
        (ALIASES.get(name, name), _TRUE.get(value, value) if name in ("open", "unresolved") else value)
        for name, value in query
        if value and run_filter.is_part(ALIASES.get(name, name))
    ]
    try:
        return run_filter.read(asked), []
    except InvalidFilter as refused:
        bad = {part.field for part in refused.parts}
        try:
            return run_filter.read([one for one in asked if one[0] not in bad]), refused.parts
        except InvalidFilter:
            return ALL, refused.parts


def written(wanted: RunFilter) -> list[tuple[str, str]]:
    """The filter as the address of a page has it."""
    return [(_SHORT.get(name, name), value) for name, value in run_filter.write(wanted)]


def address(path: str, query: Query) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def chips(path: str, wanted: RunFilter, definitions: Mapping[str, JobDefined], voice: Voice) -> list[Chip]:
    query = written(wanted)
    return [
        Chip(_said(name, value, definitions, voice), address(path, [*query[:place], *query[place + 1 :]]))
        for place, (name, value) in enumerate(query)
    ]


def _said(name: str, value: str, definitions: Mapping[str, JobDefined], voice: Voice) -> str:
    match name:
        case "id":
            return voice.text("run %(id)s", id=value)
        case "job":
            job_type = value.removeprefix("!")
            named = title(job_type, definitions.get(job_type), voice)
            return voice.text("not %(job)s", job=named) if value.startswith("!") else named
        case "status":
            return said_status(value, voice)
        case "phase":
            return _phase(value, voice)
        case "by":
            return voice.text("by %(who)s", who=voice.who(value))
        case "open":
            return voice.text("open") if value == "true" else voice.text("ended")
        case "unresolved":
            return voice.text("not made good since") if value == "true" else voice.text("not unresolved")
        case "text":
            return voice.text("with “%(text)s”", text=value)
        case "from":
            return voice.text("from %(when)s", when=_when(value, voice))
        case "to":
            return voice.text("until %(when)s", when=_when(value, voice))
        case "rerunOf":
            return voice.text("reruns of run %(id)s", id=value)
    return f"{name.removeprefix('param.')} = {value}"


def _when(instant: str, voice: Voice) -> str:
    return voice.moment(datetime.fromisoformat(instant))


def said_status(value: str, voice: Voice) -> str:
    match value:
        case "SUCCESS":
            return voice.text("Completed")
        case "PARTIAL":
            return voice.text("Partial failure")
        case "FAILED":
            return voice.text("Failed")
    return voice.text("Running")


def _phase(value: str, voice: Voice) -> str:
    match value:
        case "queued":
            return voice.text("Queued")
        case "executing":
            return voice.text("Running")
        case "retrying":
            return voice.text("Waiting for the next attempt")
    return voice.text("ended")


_MAY_BE: Final = {
    "id": "4711",
    "status": "RUNNING, SUCCESS, PARTIAL, FAILED",
    "phase": "queued, executing, retrying, finished",
    "open": "true, false",
    "unresolved": "true, false",
    "from": "2026-11-27T06:00:00Z",
    "to": "2026-11-27T06:00:00Z",
    "triggeredBy": "CRON, ADMIN:1, SERVICE:name",
}


def wrong(parts: Sequence[BadPart], given: Query, voice: Voice) -> list[str]:
    """What can't be looked for, each in a sentence; the page says them instead of leaving them out in silence."""
    said = []
    for part in parts:
        name = _SHORT.get(part.field, part.field)
        value = next((value for key, value in given if ALIASES.get(key, key) == part.field), "")
        may_be = _MAY_BE.get(part.field)
        text = voice.text("“%(name)s=%(value)s” can't be looked for, and was left out.", name=name, value=value[:80])
        allowed = voice.text("It may be: %(values)s", values=may_be)
        said.append(f"{text} {allowed}" if may_be else text)
    return said
