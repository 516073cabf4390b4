"""Many publishes in one write.

nats-py's publish() takes a connection through all its checks for each message, which is most of what an append costs a
runner under load. Here the protocol's lines are made first, and handed over together.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from nats.aio.client import Client
from nats.errors import BadSubjectError, ConnectionClosedError

_LINE_ENDS: Final = str.maketrans({"\r": None, "\n": " "})


def publication(subject: str, body: bytes, headers: Mapping[str, str] | None = None, reply: str = "") -> bytes:
    """The protocol's lines for one message. Raises BadSubjectError for what would be read as other lines."""
    if not _is_one_word(subject) or (reply and not _is_one_word(reply)):
        raise BadSubjectError
    to = f"{subject} {reply}" if reply else subject
    if headers is None:
        return b"PUB %b %d\r\n%b\r\n" % (to.encode(), len(body), body)
    block = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if not block.count("\r") == block.count("\n") == len(headers):
        block = "".join([f"{name}: {value.translate(_LINE_ENDS)}\r\n" for name, value in headers.items()])
    head = f"NATS/1.0\r\n{block}\r\n".encode()
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (to.encode(), len(head), len(head) + len(body), head, body)


def _is_one_word(subject: str) -> bool:
    return subject.isprintable() and " " not in subject and subject != ""


async def send(connection: Client, publications: Iterable[bytes]) -> None:
    """Write them all, in their order. Raises ConnectionClosedError; without a connection for the moment they wait for
    the next one, as nats-py's own do."""
    if connection.is_closed:
        raise ConnectionClosedError
    await connection._send_command(b"".join(publications))
    await connection._flush_pending()
