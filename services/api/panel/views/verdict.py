"""Did the night go well? What failed since then, and what was made good. Pure."""

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal
from urllib.parse import urlencode

from kronik.events import JobDefined
from msgspec import Struct

from services.api.history.overview import Failure
from services.api.history.run_filter import State
from services.api.panel.views.signs import in_a_line, title
from services.words.language import marked
from services.words.moments import When
from services.words.sentences import said
from services.words.voice import Voice

Period = Literal["night", "12h", "24h", "7d"]
PERIODS: Final[dict[Period, str]] = {
    "night": marked("Since the last working day"),
    "12h": marked("12 hours"),
    "24h": marked("24 hours"),
    "7d": marked("7 days"),
}
_EVENING: Final = 17
_GROUPS: Final = 8
_ERROR_LIMIT: Final = 140


class Group(Struct, frozen=True):
    """Failures of one job for one reason. newest: the id of the last of them.

    eligible: how many of them can be run again; again: where they alone are, "" for none or more than an address names.
    """

    job_type: str
    title: str
    error: str
    count: int
    newest: int
    eligible: int
    again: str


class Choice(Struct, frozen=True):
    name: str
    text: str
    current: bool


class Verdict(Struct, frozen=True):
    """heading: the answer. since: from when on, exactly. failed: failures not made good; more: groups not shown.

    from_: the same instant for a filter. eligible: how many of the failures can be run again.
    """

    well: bool
    heading: str
    since: When
    from_: str
    failed: int
    eligible: int
    groups: tuple[Group, ...]
    more: int
    notes: tuple[str, ...]
    periods: tuple[Choice, ...]


def since(period: Period, voice: Voice) -> datetime:
    """From when on: for the night from 17:00 of the last working day before today."""
    match period:
        case "12h":
            return voice.now - timedelta(hours=12)
        case "24h":
            return voice.now - timedelta(hours=24)
        case "7d":
            return voice.now - timedelta(days=7)
    local = voice.now.astimezone(voice.zone)
    back = {0: 3, 6: 2}.get(local.weekday(), 1)
    evening = (local - timedelta(days=back)).replace(hour=_EVENING, minute=0, second=0, microsecond=0)
    return evening


def verdict(
    period: Period,
    start: datetime,
    counts: dict[State, int],
    failures: Sequence[Failure],
    skipped: int,
    definitions: dict[str, JobDefined],
    voice: Voice,
    left: Collection[int] = (),
) -> Verdict:
    """left: those of the failures that can't be run again, or have been already."""
    standing = [one for one in failures if not one.made_good]
    left, found = frozenset(left), _grouped(standing)
    return Verdict(
        well=not standing,
        heading=_heading(start, counts, standing, skipped, voice),
        since=voice.when(start),
        from_=voice.when(start).utc,
        failed=len(standing),
        eligible=sum(one.id not in left for one in standing),
        groups=tuple(_group(same, left, definitions, voice) for same in found[:_GROUPS]),
        more=max(0, len(found) - _GROUPS),
        notes=tuple(_notes(counts, len(failures) - len(standing), skipped, bool(standing), voice)),
        periods=tuple(Choice(name, voice.text(text), name == period) for name, text in PERIODS.items()),
    )


def _heading(start: datetime, counts: dict[State, int], standing: Sequence[Failure], skipped: int, voice: Voice) -> str:
    when = voice.moment(start)
    completed = counts.get("succeeded", 0) + counts.get("partial", 0)
    if not standing:
        if not completed:
            return voice.text("Nothing failed since %(when)s.", when=_small(when))
        ran = voice.count("%(n)d run completed", "%(n)d runs completed", completed)
        return voice.text("All is well: %(ran)s since %(when)s.", ran=ran, when=_small(when))
    jobs = len({one.job_type for one in standing})
    parts = [
        voice.count("%(n)d failure", "%(n)d failures", len(standing))
        + " "
        + voice.count("in %(n)d job", "in %(n)d jobs", jobs)
    ]
    if completed:
        parts.append(voice.count("%(n)d completed", "%(n)d completed", completed))
    if skipped:
        parts.append(voice.count("%(n)d slot skipped", "%(n)d slots skipped", skipped))
    return voice.text("Since %(when)s: %(what)s", when=_small(when), what=", ".join(parts))


def _notes(counts: dict[State, int], mended: int, skipped: int, bad: bool, voice: Voice) -> list[str]:
    notes = []
    if mended:
        notes.append(
            voice.count(
                "%(n)d failure was made good by a later run", "%(n)d failures were made good by later runs", mended
            )
        )
    if counts.get("partial"):
        notes.append(voice.count("%(n)d run failed in part", "%(n)d runs failed in part", counts["partial"]))
    if skipped and not bad:
        notes.append(voice.count("%(n)d slot skipped", "%(n)d slots skipped", skipped))
    return notes


def _small(when: str) -> str:
    """In the middle of a sentence."""
    return when[:1].lower() + when[1:]


def _grouped(failures: Sequence[Failure]) -> list[list[Failure]]:
    """By job and reason, the most frequent first."""
    found: dict[tuple[str, str], list[Failure]] = defaultdict(list)
    for one in failures:
        found[one.job_type, normalised(one.error)].append(one)
    return sorted(found.values(), key=lambda same: (-len(same), same[0].job_type))


def _group(same: Sequence[Failure], left: Collection[int], definitions: dict[str, JobDefined], voice: Voice) -> Group:
    job_type = same[0].job_type
    return Group(
        job_type=job_type,
        title=title(job_type, definitions.get(job_type), voice),
        error=in_a_line(said(same[0].error, voice), _ERROR_LIMIT),
        count=len(same),
        newest=max(one.id for one in same),
        eligible=sum(one.id not in left for one in same),
        again=_again([one for one in same if one.id not in left]),
    )


def _again(failures: Sequence[Failure]) -> str:
    if not 0 < len(failures) <= _NAMED:
        return ""
    return f"/admin/system/bulk/new?{urlencode([('id', one.id) for one in failures])}"


_NAMED: Final = 100
_VARIES: Final = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{12,}|\d+(?:[.,:]\d+)*", re.IGNORECASE)


def normalised(error: str) -> str:
    """An error without what differs from run to run: numbers, ids, addresses."""
    return _VARIES.sub("#", in_a_line(error, 300))
