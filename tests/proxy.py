"""A TCP proxy in front of a nats-server, in the test's own process: what a network can do to a connection.

It knows the frames of the NATS protocol on their way from the server, so that a message can be lost without tearing
what comes after it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

Choose = Callable[[str], bool]
"""By the subject of a message on its way to the client."""


def _none(subject: str) -> bool:
    return False


@dataclass
class Proxy:
    """url: what clients connect to. Everything passes until told otherwise.

    lost: how many messages were dropped; `dropped` is set at each of them. delay_s: what each frame
    from the server is kept back, in order.
    """

    server_port: int
    port: int = 0
    lost: int = 0
    delay_s: float = 0.0
    dropped: asyncio.Event = field(default_factory=asyncio.Event)
    _drop: Choose = _none
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def drop(self, choose: Choose) -> None:
        """Lose the messages to the client whose subject is chosen, until `drop_nothing`. Pings still pass."""
        self._drop = choose

    def drop_answers(self) -> None:
        """Lose every answer: what is asked arrives and is done, and nobody hears of it."""
        self.drop(lambda subject: subject.startswith("_INBOX"))

    def drop_nothing(self) -> None:
        self._drop = _none
        self.dropped.clear()

    def hold(self) -> None:
        """A partition: nothing passes in either direction, and no connection ends, until `release`."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def cut(self) -> None:
        """End every connection. Clients may connect again."""
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def go_away(self) -> None:
        """End every connection and refuse new ones, until `come_back`."""
        if self._server:
            self._server.close()
        await self.cut()

    async def come_back(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=2**26)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        try:
            await self._join(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # either side is gone, or we were told to cut
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self.server_port)
        ways = [
            asyncio.create_task(self._pass_on(reader, to_server)),
            asyncio.create_task(self._pass_frames(from_server, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_server.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._open.wait()
            writer.write(data)
            await writer.drain()

    async def _pass_frames(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            subject, body = await _rest(line, reader)
            await self._open.wait()
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            if subject is not None and self._drop(subject):
                self.lost += 1
                self.dropped.set()
                continue
            writer.write(line + body)
            await writer.drain()


async def _rest(line: bytes, reader: asyncio.StreamReader) -> tuple[str | None, bytes]:
    """The subject and the payload of a message; no subject for the protocol's other lines, which have no payload."""
    words = line.split()
    if not words or words[0].upper() not in (b"MSG", b"HMSG"):
        return None, b""
    return words[1].decode(), await reader.readexactly(int(words[-1]) + 2)


@contextlib.asynccontextmanager
async def proxy(server_port: int) -> AsyncIterator[Proxy]:
    """A proxy in front of the server on this port."""
    made = Proxy(server_port)
    made.release()
    await made.come_back()
    try:
        yield made
    finally:
        made.release()
        await made.go_away()
