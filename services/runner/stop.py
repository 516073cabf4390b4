"""The word that an attempt is to end early."""

from collections.abc import Callable


class Stop:
    """Said once, to whoever wants to be told."""

    __slots__ = ("_tell", "said")

    def __init__(self) -> None:
        self.said = False
        self._tell: Callable[[], object] | None = None

    def say(self) -> None:
        self.said = True
        if self._tell is not None:
            self._tell()

    def tell(self, who: Callable[[], object]) -> None:
        """Call this one when it is said, or now if it was."""
        self._tell = who
        if self.said:
            who()
