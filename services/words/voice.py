"""How one page, or one command, speaks: its language, its zone, its time, and the names it knows. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from kronik.show import Show
from msgspec import Struct
from msgspec.structs import replace

from services.words import figures, moments
from services.words.figures import Figure
from services.words.language import Language
from services.words.moments import When


class Voice(Struct, frozen=True, kw_only=True):
    """zone: None is the machine's own. names: of accounts, by their ids.

    read_at: when it is read, where it tells of an earlier moment: today is the reader's, spans end with that `now`.
    """

    language: Language
    zone: tzinfo | None
    now: datetime
    names: Mapping[str, str] = {}
    read_at: datetime | None = None

    def as_of(self, moment: datetime) -> "Voice":
        """The same, telling how things were then."""
        return replace(self, now=moment, read_at=self.read_at or self.now)

    @property
    def today(self) -> datetime:
        return self.read_at or self.now

    def text(self, message: str, **values: Any) -> str:
        said = self.language.text(message)
        return said % values if values else said

    def count(self, one: str, many: str, count: int) -> str:
        return self.language.count(one, many, count)

    def pick(self, texts: dict[str, str], otherwise: str = "") -> str:
        return self.language.pick(texts, otherwise)

    def when(self, instant: datetime, *, seconds: bool = False) -> When:
        return moments.when(instant, self.today, self.zone, self.language, seconds=seconds)

    def moment(self, instant: datetime, *, seconds: bool = False) -> str:
        return moments.moment(instant, self.today, self.zone, self.language, seconds=seconds)

    def day(self, instant: datetime) -> str:
        return moments.day(instant, self.today, self.zone, self.language)

    def about(self, passed: timedelta) -> str:
        """A span in one unit: `4 min`."""
        return moments.about(passed, self.language)

    def clock(self, instant: datetime) -> str:
        """The time of day to the second."""
        return f"{instant.astimezone(self.zone):%H:%M:%S}"

    def span(self, ms: float | None) -> str:
        return moments.span(ms, self.language)

    def number(self, value: float) -> str:
        return figures.number(value, "number", self.language)

    def summary(self, result: Any, show: tuple[Show, ...]) -> str:
        return figures.summary(result, show, self.language)

    def short(self, result: Any, show: tuple[Show, ...]) -> str:
        return figures.short(result, show, self.language)

    def figures(self, result: Any, show: tuple[Show, ...]) -> list[Figure]:
        return figures.figures(result, show, self.language)

    def who(self, by: str) -> str:
        """`CRON`, `ADMIN:<userId>`, `SERVICE:<name>` and `RUN:<id>` for people, an account by its name."""
        kind, _, name = by.partition(":")
        match kind:
            case "CRON":
                return self.text("the schedule")
            case "ADMIN":
                return self.names.get(name) or self.text("account %(name)s", name=name)
            case "SERVICE":
                return self.text("the service %(name)s", name=name)
            case "RUN":
                return self.text("run %(id)s", id=name)
        return by
