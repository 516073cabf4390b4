"""Ports on the loopback interface: whether one is free, and finding one."""

import errno
import random
import socket
from collections.abc import Container

LOOPBACK = "127.0.0.1"

# Below the ports that systems hand to outgoing connections, so that one chosen today is still free tomorrow.
_RANGE = range(20_000, 30_000)


def is_free(port: int) -> bool:
    """Whether a server could listen on it now."""
    return refusal(port) is None


def refusal(port: int) -> str | None:
    """Why no server can listen on it now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except PermissionError:
            return "is root's"
        except OSError as error:
            return "is taken" if error.errno == errno.EADDRINUSE else f"can't be used: {error.strerror}"
    return None


def find_free(avoid: Container[int] = ()) -> int:
    """A free port that is not among those to avoid. Raises OSError when there is none."""
    for candidate in random.sample(_RANGE, len(_RANGE)):
        if candidate not in avoid and is_free(candidate):
            return candidate
    raise OSError(f"no free port on {LOOPBACK} between {_RANGE.start} and {_RANGE.stop}")
