"""The sandbox's HTTP server: the standard library's. It runs beside every `kronik up` and is asked once a day, and a
web framework would be the larger part of its memory."""

from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Final

from msgspec import Struct

_LARGEST_BODY: Final = 64 * 1024


class Request(Struct, frozen=True):
    """authorization: the header, or nothing."""

    method: str
    path: str
    authorization: str
    body: bytes


class Answer(Struct, frozen=True):
    """body: JSON, or what is to pass for it."""

    status: HTTPStatus
    body: bytes


Respond = Callable[[Request], Answer]


class Server(ThreadingHTTPServer):
    """Serves on a socket that listens already. A request that is being slow on purpose holds up nobody's end."""

    daemon_threads = True

    def __init__(self, listener: socket, respond: Respond) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.respond = respond


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 60
    wbufsize = -1  # head and body in one packet
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > _LARGEST_BODY:
            self.close_connection = True
            return self._send(Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"{}"))
        body = self.rfile.read(int(length))
        asked = Request(self.command, self.path.partition("?")[0], self.headers.get("Authorization", ""), body)
        self._send(self.server.respond(asked))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: who wants to know looks at the import's run."""
