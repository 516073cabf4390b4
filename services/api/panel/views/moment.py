"""A page as it was at an earlier moment: when that was, the steps from there, and a field to choose another. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from services.api.history.selection import Moment
from services.api.panel.views.filters import Query, address
from services.words.language import marked
from services.words.moments import When, utc
from services.words.voice import Voice

AS_OF: Final = "asOf"
_STEPS: Final = (
    (-timedelta(days=1), marked("a day earlier")),
    (-timedelta(hours=1), marked("an hour earlier")),
    (timedelta(hours=1), marked("an hour later")),
    (timedelta(days=1), marked("a day later")),
)


class Then(Struct, frozen=True):
    """The moment, and how the address says it."""

    moment: Moment
    asked: str


class Step(Struct, frozen=True):
    href: str
    text: str


class Shown(Struct, frozen=True, kw_only=True):
    """when: the moment; asked: as the address says it. event: the last that had happened. now: to the page of now."""

    when: When
    asked: str
    heading: str
    event: str
    steps: tuple[Step, ...]
    now: str


class Chooser(Struct, frozen=True, kw_only=True):
    """The form. kept: what else the address says. first, last: events; chosen: the one that is shown."""

    path: str
    kept: tuple[tuple[str, str], ...]
    first: int
    last: int
    chosen: int
    local: str
    latest: str


def shown(then: Then, path: str, query: Query, last: int, voice: Voice) -> Shown:
    """path, query: of this page. last: the newest event there is."""
    at, sequence = then.moment.time, then.moment.sequence
    when = voice.when(at, seconds=True)
    steps = [Step(_at(path, query, str(sequence - 1)), voice.text("the event before"))] if sequence > 1 else []
    steps += [Step(_at(path, query, utc(at + by)), voice.text(text)) for by, text in _STEPS if at + by < voice.today]
    if sequence < last:
        steps.append(Step(_at(path, query, str(sequence + 1)), voice.text("the event after")))
    return Shown(
        when=when,
        asked=then.asked,
        heading=voice.text("As it was: %(when)s", when=when.text),
        event=voice.text("after event %(n)s", n=voice.number(sequence)),
        steps=tuple(steps),
        now=address(path, _without(query)),
    )


def chooser(then: Then | None, path: str, query: Query, first: int, last: int, voice: Voice) -> Chooser:
    local = (then.moment.time if then else voice.today).astimezone(voice.zone)
    return Chooser(
        path=path,
        kept=tuple(_without(query)),
        first=min(max(first, 1), max(last, 1)),
        last=max(last, 1),
        chosen=then.moment.sequence if then else max(last, 1),
        local=f"{local:%Y-%m-%dT%H:%M:%S}",
        latest=f"{voice.today.astimezone(voice.zone):%Y-%m-%dT%H:%M:%S}",
    )


def read(asked: str, voice: Voice) -> str:
    """As the API takes it: a browser's field for date and time goes by the panel's clock and names no zone."""
    try:
        local = datetime.fromisoformat(asked)
    except ValueError:
        return asked
    if local.tzinfo is not None or not set("T ") & set(asked):
        return asked
    return utc(local.replace(tzinfo=voice.zone).astimezone(UTC))


def refused(asked: str, *, too_early: bool, first: datetime | None, last: int, voice: Voice) -> str:
    """Why the moment can't be shown. first: when the first event was stored."""
    asked = asked[:80]
    if too_early and first is None:
        return voice.text("Nothing has happened yet.")
    if too_early and first is not None:
        began = voice.moment(first, seconds=True)
        return voice.text("“%(asked)s” is before the first event (%(when)s).", asked=asked, when=began)
    if asked.isdigit():
        return voice.text(
            "There is no event %(asked)s yet: the history stands at event %(n)s.", asked=asked, n=voice.number(last)
        )
    try:
        datetime.fromisoformat(asked.replace(" ", "+"))
    except ValueError:
        return voice.text("“%(asked)s” is neither a date and time nor the number of an event.", asked=asked)
    return voice.text("“%(asked)s” is still to come.", asked=asked)


def _at(path: str, query: Query, asked: str) -> str:
    return address(path, [*_without(query), (AS_OF, asked)])


def _without(query: Query) -> Sequence[tuple[str, str]]:
    """Places in the history's pages are of the moment they were made at."""
    return [(name, value) for name, value in query if name not in (AS_OF, "before", "after")]
