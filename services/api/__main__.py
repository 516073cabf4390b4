"""`python -m services.api`: the HTTP API, the panel and the projector, in one process."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
import uvloop
from kronik import KronikError

from services.api.app import create_app
from services.api.base_path import below
from services.api.front import protocol
from services.infra import logs, misspelt, settings
from services.infra.lifecycle import happens
from services.infra.settings import ApiSettings
from services.log import connection as nats_connection

log = logs.get()

_GRACE_S = 1
_TICK_S = 1.0


class Server(uvicorn.Server):
    """uvicorn, except that a signal first ends the open event streams, which it would wait for, and exits with 0; and
    that it looks once a second, to renew its Date, and at once when told to stop: it would look ten times."""

    def __init__(self, config: uvicorn.Config, stop: asyncio.Event) -> None:
        super().__init__(config)
        self._stop = stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, self.drain)
        yield

    async def main_loop(self) -> None:
        while not await self.on_tick(counter=0):
            await happens(self._stop, _TICK_S)

    def drain(self) -> None:
        self._stop.set()
        self.should_exit = True


def main() -> None:
    """Serve until SIGTERM or SIGINT. Exits with 0 after either, with 1 where it can't go on, 69 without NATS."""
    try:
        wanted = settings.read(ApiSettings)
    except KronikError as error:
        settings.refuse("api", error)
    logs.configure("api", log_format=wanted.log_format, level=wanted.log_level)
    misspelt.warn()
    sys.exit(uvloop.run(_serve(wanted)))


async def _serve(wanted: ApiSettings) -> int:
    stop, broken = asyncio.Event(), asyncio.Event()

    async def on_nats_closed() -> None:
        if not stop.is_set():
            log.error("nats_gave_up")
            broken.set()
            server.drain()

    app = below(wanted.base_path, create_app(wanted, stop=stop, on_nats_closed=on_nats_closed))
    gc.collect()
    gc.freeze()  # what was loaded and made stays: to look at all of it again and again is a pause for every page
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        lifespan="on",
        proxy_headers=bool(wanted.trusted_proxies),
        forwarded_allow_ips=wanted.trusted_proxies or "",
        **protocol.options(),
    )
    server = Server(config, stop)
    listening = _listen(wanted)
    _announce(wanted, listening)
    await server.serve(sockets=[listening])
    log.info("api_stopped")
    if broken.is_set():
        return nats_connection.NO_CONNECTION
    return 0 if server.started else 1


def _listen(wanted: ApiSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    # asyncio turns Nagle's algorithm off (40 ms an answer) only where the protocol is named.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((wanted.host, wanted.port))
    except OSError as error:
        sys.exit(f"kronik api: can't listen on {wanted.host}:{wanted.port}: {error.strerror}")
    listening.listen(1024)
    return listening


def _announce(wanted: ApiSettings, listening: socket.socket) -> None:
    """Connections queue from here on, so who reads this may come at once."""
    port = listening.getsockname()[1]
    host = f"[{wanted.host}]" if ":" in wanted.host else wanted.host
    if wanted.api_port_file is not None:
        wanted.api_port_file.write_text(str(port))
    log.info("api_ready", url=f"http://{host}:{port}", pid=os.getpid())


if __name__ == "__main__":
    main()
