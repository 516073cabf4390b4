"""Charts as geometry: the templates draw it as SVG, colours are the style sheet's. Pure.

Coordinates have two decimals, so that a chart that did not change stays the same node.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Final

from msgspec import Struct

from services.api.history.overview import WINDOW, Bar
from services.api.history.queries import Slot
from services.api.panel.views.rows import skipped_in_a_line
from services.api.panel.views.signs import Kind, kind_of
from services.words.voice import Voice

BARS: Final = 30
_STEP, _WIDE, _BASE, _TALL, _BELOW = 7, 5, 30, 26, 8
_NARROWEST: Final = 0.15
"""Of a run on a lane, in per cent."""


class Column(Struct, frozen=True):
    """One run of a strip. x, y, height: of its bar; kind: its class. The bar of a failure hangs below the line."""

    kind: Kind
    x: float
    y: float
    height: float


class Strip(Struct, frozen=True):
    """A job's last runs. usual_y: the line of the usual duration; None where nothing completed. label: what it says."""

    columns: tuple[Column, ...]
    width: int
    base: int
    height: int
    usual_y: float | None
    label: str

    @property
    def paths(self) -> list[tuple[Kind, str]]:
        """The bars by kind, each kind as one path: many jobs have thousands of bars."""
        found: dict[Kind, list[str]] = {}
        for one in self.columns:
            found.setdefault(one.kind, []).append(f"M{one.x:g} {one.y:g}h{_WIDE}v{one.height:g}h-{_WIDE}z")
        return [(kind, "".join(bars)) for kind, bars in found.items()]


def usual_ms(bars: Sequence[Bar]) -> int | None:
    """What a run of this job usually takes: the median of those that completed."""
    took = [bar.duration_ms for bar in bars if bar.duration_ms is not None and bar.status in ("SUCCESS", "PARTIAL")]
    return round(median(took)) if took else None


def strip(bars: Sequence[Bar], title: str, voice: Voice) -> Strip:
    last = bars[-BARS:]
    usual = usual_ms(last)
    longest = max([bar.duration_ms or 0 for bar in last if kind_of(bar) != "failed"] + [2 * (usual or 0), 1])
    first = BARS - len(last)
    return Strip(
        columns=tuple(_column(bar, first + place, longest, voice) for place, bar in enumerate(last)),
        width=BARS * _STEP,
        base=_BASE,
        height=_BASE + _BELOW + 2,
        usual_y=round(_BASE - _TALL * usual / longest, 2) if usual else None,
        label=f"{title}: {_counted(last, voice)}",
    )


def _column(bar: Bar, place: int, longest: int, voice: Voice) -> Column:
    kind, x = kind_of(bar), place * _STEP + (_STEP - _WIDE) / 2
    if kind in ("failed", "cancelled"):
        return Column(kind, x, _BASE + 1, _BELOW)
    took = bar.duration_ms if bar.duration_ms is not None else _so_far_ms(bar, voice.now)
    height = round(max(3.0, min(1.0, took / longest) * _TALL), 2)
    return Column(kind, x, round(_BASE - height, 2), height)


def _so_far_ms(bar: Bar, now: datetime) -> float:
    return max(0.0, (now - bar.started_at) / timedelta(milliseconds=1))


def _counted(bars: Sequence[Bar], voice: Voice) -> str:
    """`30 runs, 2 failed, 1 with a partial failure`."""
    kinds = [kind_of(bar) for bar in bars]
    failed, partial = kinds.count("failed") + kinds.count("cancelled"), kinds.count("partial")
    parts = [voice.count("%(n)d run", "%(n)d runs", len(bars))]
    if failed:
        parts.append(voice.count("%(n)d failed", "%(n)d failed", failed))
    if partial:
        parts.append(voice.count("%(n)d in part", "%(n)d in part", partial))
    return ", ".join(parts)


class Block(Struct, frozen=True):
    """A run on a lane, in per cent of its width."""

    kind: Kind
    x: float
    width: float


class Lane(Struct, frozen=True):
    """A job over time, in per cent of the width. earlier: where the runs begin that are drawn; 0 where all of them are.

    rings: slots that were skipped, by place; dots: slots to come.
    """

    job_type: str
    title: str
    earlier: float
    blocks: tuple[Block, ...]
    rings: tuple[tuple[float, str], ...]
    dots: tuple[float, ...]
    label: str

    @property
    def paths(self) -> tuple[tuple[Kind, str], ...]:
        """The blocks as one path an outcome, of which a page of many runs is much lighter. Failures hang lower."""
        found: dict[Kind, list[str]] = {}
        for one in self.blocks:
            y, tall = (12, 9) if one.kind in ("failed", "cancelled") else (5, 12)
            found.setdefault(one.kind, []).append(f"M{one.x:g} {y}h{one.width:g}v{tall}h-{one.width:g}z")
        return tuple((kind, "".join(drawn)) for kind, drawn in found.items())


class Tick(Struct, frozen=True):
    x: float
    text: str


class Lanes(Struct, frozen=True):
    """now: where now is."""

    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]
    now: float


class Span(Struct, frozen=True):
    """The time that lanes show."""

    since: datetime
    now: datetime
    until: datetime

    def at(self, instant: datetime) -> float:
        """In per cent of the width."""
        return self.places()(instant)

    def places(self) -> Callable[[datetime], float]:
        """The same for thousands."""
        since, percent = self.since, 100 / (self.until - self.since).total_seconds()
        return lambda instant: round((instant - since).total_seconds() * percent, 2)


def span(since: datetime, now: datetime) -> Span:
    """From then until now, and a sixth beyond."""
    return Span(since, now, now + max(timedelta(hours=1), (now - since) / 6))


def lane(
    job_type: str,
    title: str,
    bars: Sequence[Bar],
    skipped: Sequence[Slot],
    coming: Sequence[datetime],
    over: Span,
    voice: Voice,
) -> Lane:
    """skipped: the newest first."""
    earlier = max(0.0, over.at(bars[0].started_at)) if len(bars) >= WINDOW else 0.0
    rings = {over.at(one.scheduled_for): skipped_in_a_line(one, voice) for one in skipped[::-1]}
    said = _counted(bars, voice)
    if earlier:
        said += ", " + voice.text("earlier ones are not drawn")
    if skipped:
        said += ", " + voice.count("%(n)d slot skipped", "%(n)d slots skipped", len(skipped))
        said += f": {skipped_in_a_line(skipped[0], voice)}"
    return Lane(
        job_type=job_type,
        title=title,
        earlier=earlier,
        blocks=tuple(_blocks(bars, over)),
        rings=tuple((x, why) for x, why in rings.items() if x >= 0),
        dots=tuple(over.at(one) for one in coming if one <= over.until),
        label=f"{title}: {said}",
    )


def _blocks(bars: Iterable[Bar], over: Span) -> list[Block]:
    """Runs that would be drawn over each other, of one outcome, are one block. A page has thousands of runs."""
    drawn: list[tuple[Kind, float, float]] = []
    at = over.places()
    last: Kind | None = None
    last_start = last_end = 0.0
    for bar in bars:
        kind, start = kind_of(bar), max(0.0, at(bar.started_at))
        end = max(start + _NARROWEST, at(bar.completed_at or over.now))
        if kind == last and start <= last_end:
            start, end = last_start, max(last_end, end)
            drawn.pop()
        drawn.append((kind, start, end))
        last, last_start, last_end = kind, start, end
    return [Block(kind, start, round(end - start, 2)) for kind, start, end in drawn]


_BESIDE_NOW: Final = 11
"""Per cent of the width that the word for now takes, to each side."""
_TICKS: Final = [timedelta(minutes=m) for m in (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880)]


def ticks(over: Span, voice: Voice) -> tuple[Tick, ...]:
    """Five or so round times."""
    step = next((one for one in _TICKS if (over.until - over.since) / one <= 6), _TICKS[-1])
    local = over.since.astimezone(voice.zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + step * (int((local - midnight) / step) + 1)
    found = []
    while first < over.until:
        x = over.at(first)
        if 3 <= x <= 96 and abs(x - over.at(over.now)) > _BESIDE_NOW:
            found.append(Tick(x, _tick(first, step, voice)))
        first += step
    return tuple(found)


def _tick(local: datetime, step: timedelta, voice: Voice) -> str:
    if step >= timedelta(days=1) or (local.hour, local.minute) == (0, 0):
        return voice.day(local)
    return f"{local:%H:%M}"
