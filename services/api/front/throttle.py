"""Who guesses at secrets has to wait: different wrong ones are counted by address, with the time as an argument."""

import ipaddress
from collections import OrderedDict
from typing import Final, TypeVar

T = TypeVar("T")

TRIES: Final = 20
"""Wrong ones that an address may send at once."""

BACK_AFTER_S: Final = 6.0
"""When one more try comes back: ten a minute."""

_ADDRESSES: Final = 10_000
_SECRETS: Final = 1_000


class Throttle:
    """Remembers which addresses sent wrong secrets, and which secrets were right lately: those are never held up.

    So a wrong token in somebody's loop behind a shared address does not lock out who works there already.
    """

    def __init__(self) -> None:
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """How long until this address may try an unknown secret; 0 where it may now."""
        return max(0.0, (self._tries_used(network(address), now_s) - TRIES + 1) * BACK_AFTER_S)

    def was_wrong(self, address: str, secret: bytes, now_s: float) -> bool:
        """Whether that is news. secret: its hash.

        The same one again is no guess: some program has not heard yet that it was revoked.
        """
        self._right.pop(secret, None)
        place = network(address)
        if self.was_sent_before(address, secret):
            return False
        _remember(self._wrong, (place, secret))
        self._used[place] = (self._tries_used(place, now_s) + 1, now_s)
        self._used.move_to_end(place)
        if len(self._used) > _ADDRESSES:
            self._used.popitem(last=False)
        return True

    def was_right(self, secret: bytes) -> None:
        _remember(self._right, secret)

    def is_known(self, secret: bytes) -> bool:
        """Whether it was right when it was last looked up: it may have been revoked since."""
        return secret in self._right

    def was_sent_before(self, address: str, secret: bytes) -> bool:
        """Whether this address has had its answer to this wrong secret already."""
        return (network(address), secret) in self._wrong

    def _tries_used(self, place: str, now_s: float) -> float:
        used, at_s = self._used.get(place, (0.0, now_s))
        return max(0.0, used - (now_s - at_s) / BACK_AFTER_S)


def _remember(memory: OrderedDict[T, None], one: T) -> None:
    memory[one] = None
    memory.move_to_end(one)
    if len(memory) > _SECRETS:
        memory.popitem(last=False)


def network(address: str) -> str:
    """Who has an IPv6 address has 2^64 of them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
