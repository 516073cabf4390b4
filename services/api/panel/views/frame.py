"""What stands around every page: the tabs, and whether the page can be believed. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from kronik.show import Text
from msgspec import Struct

from services.api.panel.views.signs import title_of
from services.api.pulse import Beat
from services.words.language import marked
from services.words.voice import Voice

_TABS: Final = (
    ("system", "/admin/system", marked("Overview")),
    ("history", "/admin/system/history", marked("History")),
    ("calendar", "/admin/system/calendar", marked("Calendar")),
    ("journal", "/admin/system/journal", marked("Journal")),
    ("truth", "/admin/system/truth", marked("Truth")),
    ("access", "/admin/system/access", marked("Access")),
)


_EARLIER: Final = frozenset({"system", "history", "calendar", "journal", "truth"})
_NAMED: Final = 3


class Tab(Struct, frozen=True):
    """earlier: whether the page can be shown as it was at an earlier moment."""

    href: str
    text: str
    current: bool
    earlier: bool


class Frame(Struct, frozen=True):
    """position: the last event of the history, for people; at: the same, for programs; behind: how far behind it is.

    trouble: what is wrong, for programs; "" for nothing. banner: the same as a sentence; short: for the tab's title.
    """

    tabs: tuple[Tab, ...]
    at: int
    position: str
    behind: str
    trouble: str
    short: str
    banner: str


def frame(beat: Beat, titles: Mapping[str, Text], voice: Voice, tab: str, *, admin: bool = True) -> Frame:
    """titles: of the jobs, by type. admin: whether who reads it may see who has access."""
    short, banner = _trouble(beat, titles, voice)
    late = voice.text("%(span)s behind", span=voice.span(beat.behind_ms))
    return Frame(
        tabs=tuple(
            Tab(href, voice.text(text), name == tab, name in _EARLIER)
            for name, href, text in _TABS
            if admin or name != "access"
        ),
        at=beat.position,
        position=voice.text("event %(n)s", n=voice.number(beat.position)),
        behind=late if beat.behind else voice.text("up to date"),
        trouble=beat.trouble or "",
        short=short,
        banner=banner,
    )


def _trouble(beat: Beat, titles: Mapping[str, Text], voice: Voice) -> tuple[str, str]:
    match beat.trouble:
        case None:
            return "", ""
        case "nats":
            return voice.text("NATS is away"), voice.text(
                "NATS does not answer: nothing runs, nothing can be asked for, and this page does not change."
            )
        case "postgres":
            return voice.text("Postgres is away"), voice.text(
                "Postgres does not answer: the history can't be read. Jobs go on running."
            )
        case "projector":
            return voice.text("The history stands still"), voice.text(
                "The history and the event stream don't belong together any more: the projector has stopped."
            )
        case "runner":
            jobs = _listed([title_of(one, titles.get(one), voice) for one in beat.unserved], voice)
            return voice.text("No runner"), voice.text("No runner serves %(jobs)s: what is asked for waits.", jobs=jobs)
        case "behind":
            return voice.text("The history is behind"), voice.text(
                "The history is %(span)s behind: %(n)s events are not shown yet.",
                span=voice.span(beat.behind_ms),
                n=voice.number(beat.behind),
            )


def _listed(named: Sequence[str], voice: Voice) -> str:
    """The first few by name, the others by number."""
    said = list(named[:_NAMED])
    if len(named) > _NAMED:
        said.append(voice.count("%(n)d more", "%(n)d more", len(named) - _NAMED))
    return ", ".join(said)
