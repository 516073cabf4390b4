"""One connection of a client: who says much, or little, or nothing, costs others nothing.

h11 alone bounds nothing but a header that has not ended. Here each stage of a request has its time, counted from its
first byte and not from the last one, so that a byte now and then buys nothing; and connections are counted, all of
them and those of one address.
"""

import sys
from asyncio import TimerHandle, Transport
from contextlib import suppress
from typing import Any, Final, Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from services.api.front.refusals import body_of, head_of
from services.api.problems import HEADER_TOO_LARGE, NOT_HTTP, REQUEST_TOO_SLOW, TOO_MANY_CONNECTIONS, Problem

HEADER_BYTES: Final = 16 * 1024
"""Of the request line and all headers together."""

HEADER_S: Final = 10.0
BODY_S: Final = 30.0
READING_S: Final = 60.0
"""How long a client may take to read what it was sent, once no more fits into the buffers."""

CONNECTIONS: Final = 800
CONNECTIONS_OF_ONE: Final = 400
"""Behind a proxy all connections are one address's; a proxy that may be busier than this should be several."""

_LARGE: Final = Problem(HEADER_TOO_LARGE, f"Request line and headers may have {HEADER_BYTES} bytes together.")
_GARBLED: Final = Problem(NOT_HTTP, "The request could not be read.")
_SLOW: Final = Problem(REQUEST_TOO_SLOW, f"The header may take {HEADER_S:g} s, the body {BODY_S:g} s.")
_FULL: Final = Problem(TOO_MANY_CONNECTIONS, "Try again in a moment.", headers={"Retry-After": "5"})

_Stage = Literal["header", "body"] | None
_TIMES: Final[dict[_Stage, float]] = {"header": HEADER_S, "body": BODY_S}


class Connection(H11Protocol):
    """uvicorn's h11 connection with limits. What exceeds one is answered where that is still possible, and cut."""

    _stage: _Stage = None
    _deadline: TimerHandle | None = None
    _stalled: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self._is_one_too_many():
            self._refuse(_FULL)
        else:
            self._enter("header")

    def _is_one_too_many(self) -> bool:
        if len(self.connections) > CONNECTIONS:
            return True
        own = self.client and self.client[0]
        of_one = sum(1 for other in self.connections if isinstance(other, Connection) and other.client_is(own))
        return of_one > CONNECTIONS_OF_ONE

    def client_is(self, address: str | None) -> bool:
        return (self.client and self.client[0]) == address

    def handle_events(self) -> None:
        super().handle_events()
        self._enter(None if self.transport.is_closing() else self._where())

    def _where(self) -> _Stage:
        """In the middle of what the client is. Between requests it is nowhere: the keep-alive timer runs then."""
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        waiting = self.conn.their_state is h11.IDLE
        return "header" if waiting and (self.cycle is None or self.conn.trailing_data[0]) else None

    def _enter(self, stage: _Stage) -> None:
        if stage == self._stage:
            return
        self._stage = stage
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(_TIMES[stage], self._refuse, _SLOW) if stage else None

    def send_400_response(self, msg: str) -> None:
        """Called while h11's exception is handled, which knows what was wrong."""
        error = sys.exc_info()[1]
        self._refuse(_LARGE if getattr(error, "error_status_hint", 400) == 431 else _GARBLED)

    def _refuse(self, problem: Problem) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        with suppress(h11.LocalProtocolError):  # an answer is under way, or over: there is nothing left to say
            self._say(problem)
        self.transport.close()

    def _say(self, problem: Problem) -> None:
        for event in (
            h11.Response(status_code=problem.kind.status, headers=head_of(problem)),
            h11.Data(data=body_of(problem)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(READING_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._read_on()

    def _read_on(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._enter(None)
        self._read_on()
        super().connection_lost(exc)


def options() -> dict[str, Any]:
    """For uvicorn.Config."""
    return {"http": Connection, "ws": "none", "h11_max_incomplete_event_size": HEADER_BYTES, "timeout_keep_alive": 15}
