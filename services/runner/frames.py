"""What runner, fork server and attempt say to each other: frames with a length in front, over socket pairs."""

import socket
import struct
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from services.runner.outcome import Raised, Returned

_LENGTH = struct.Struct("!I")
LONGEST = 16 * 1024 * 1024


class Start(Struct, frozen=True, tag=True):
    """Runner to fork server, with the three descriptors of the new process: its socket, stdout and stderr."""

    number: int
    memory_limit: int | None = None


class Kill(Struct, frozen=True, tag=True):
    """Runner to fork server: end this process with everything that it started."""

    number: int


class Ready(Struct, frozen=True, tag=True):
    """Fork server to runner: the jobs are loaded."""


class Gone(Struct, frozen=True, tag=True):
    """Fork server to runner: the process is over, and nothing that it started is left.

    status: as os.waitpid tells it. over_memory: it was ended because it used more than its limit.
    """

    number: int
    status: int
    over_memory: bool = False


class Perform(Struct, frozen=True, tag=True):
    """Runner to attempt: what to do. The fields of kronik.RunContext, and the params as JSON."""

    job_type: str
    params: msgspec.Raw
    id: int
    token: int
    attempt: int
    triggered_by: str
    scheduled_for: str | None
    correlation_id: str | None
    traceparent: str | None
    now: str


class Cancel(Struct, frozen=True, tag=True):
    """Runner to attempt."""


class Said(Struct, frozen=True, tag=True):
    """Attempt to runner: a line of the run's log."""

    level: str
    event: str
    fields: dict[str, str]


class Warned(Struct, frozen=True, tag=True):
    text: str
    item: str | None


class Progressed(Struct, frozen=True, tag=True):
    done: int | None
    total: int | None
    text: str


class Ended(Struct, frozen=True, tag=True):
    """Attempt to runner, its last word. saw_its_end: it had been told to stop, and looked."""

    outcome: Returned | Raised | None
    saw_its_end: bool = False


Frame = Start | Kill | Ready | Gone | Perform | Cancel | Said | Warned | Progressed | Ended
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame)


def encode(frame: Frame) -> bytes:
    body = _encoder.encode(frame)
    return _LENGTH.pack(len(body)) + body


def send(to: socket.socket, frame: Frame, descriptors: Sequence[int] = ()) -> None:
    """Raises OSError where nobody listens any more."""
    message = memoryview(encode(frame))
    sent = socket.send_fds(to, [message], list(descriptors)) if descriptors else 0
    to.sendall(message[sent:])


class Reader:
    """Frames out of a stream of bytes."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now. Raises msgspec.MsgspecError or ValueError for what is none."""
        self._bytes += data
        frames: list[Frame] = []
        while len(self._bytes) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._bytes)
            if length > LONGEST:
                raise ValueError(f"a frame of {length} bytes")
            if len(self._bytes) < _LENGTH.size + length:
                break
            body = bytes(self._bytes[_LENGTH.size : _LENGTH.size + length])
            del self._bytes[: _LENGTH.size + length]
            frames.append(_decoder.decode(body))
        return frames
