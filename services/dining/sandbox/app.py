"""What the sandbox answers: Heynabo's three calls, and switches for faults."""

import json
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from threading import Lock
from typing import TypeVar

import msgspec
from msgspec import Struct

from services.dining.sandbox.community import Community
from services.dining.sandbox.faults import DESCRIPTIONS, Fault, Mode, Switch, distort, malformed
from services.dining.sandbox.server import Answer, Request


class Options(Struct, frozen=True, kw_only=True):
    """slow_s: how late an answer is in the mode `slow`."""

    community: Community
    email: str
    password: str
    fault: Fault
    slow_s: float


class Credentials(Struct, frozen=True):
    email: str
    password: str


class FaultReport(Struct, frozen=True):
    """The fault that is on, and the records that `malformed` breaks."""

    mode: Mode
    times: int | None
    meaning: str
    broken: list[str]


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, detail: str) -> None:
        self.status, self.detail = status, detail


class Sandbox:
    """One running sandbox: its people, its tokens, its fault. respond() may be called by any number of threads."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.switch = Switch(options.fault)
        self._tokens: set[str] = set()
        self._one_at_a_time = Lock()
        self._broken = malformed(options.community)[1]
        self._calls: dict[tuple[str, str], Callable[[Request], object]] = {
            ("POST", "/login"): self._login,
            ("GET", "/members/locations/"): lambda request: self._community(request).locations,
            ("GET", "/admin/users/"): lambda request: {"list": self._community(request).users},
            ("GET", "/sandbox/faults"): lambda _: self._report(),
            ("POST", "/sandbox/faults"): self._set_fault,
            ("GET", "/healthz"): lambda _: {"status": "ok"},
        }

    def respond(self, request: Request) -> Answer:
        try:
            call = self._calls.get((request.method, request.path))
            if call is None:
                raise _Refused(HTTPStatus.NOT_FOUND, "there is no such call")
            return Answer(HTTPStatus.OK, _json(call(request)))
        except _Refused as refused:
            return Answer(refused.status, _json({"status_code": refused.status, "detail": refused.detail}))

    def _login(self, request: Request) -> object:
        self._told()
        given = _decode(request.body, Credentials)
        if (given.email, given.password) != (self.options.email, self.options.password):
            raise _Refused(HTTPStatus.UNAUTHORIZED, "wrong email or password")
        token = secrets.token_urlsafe(24)
        self._tokens.add(token)
        return {"id": 1, "type": "user", "email": given.email, "role": "admin", "locationId": None, "token": token}

    def _community(self, request: Request) -> Community:
        told = self._told()
        scheme, _, token = request.authorization.partition(" ")
        if scheme.lower() != "bearer" or token not in self._tokens:
            raise _Refused(HTTPStatus.UNAUTHORIZED, "a Bearer token from /login is required")
        return told

    def _told(self) -> Community:
        """The community as the present fault tells it, for one request. Raises the fault, if it is one."""
        with self._one_at_a_time:
            mode = self.switch.take()
        if mode == "500":
            raise _Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault that was asked for")
        if mode == "unauthorized":
            raise _Refused(HTTPStatus.UNAUTHORIZED, "a fault that was asked for")
        if mode == "slow":
            time.sleep(self.options.slow_s)
        return distort(self.options.community, mode)

    def _set_fault(self, request: Request) -> object:
        self.switch.fault = _decode(request.body, Fault)
        return self._report()

    def _report(self) -> object:
        fault = self.switch.fault
        broken = self._broken if fault.mode == "malformed" else []
        return msgspec.to_builtins(FaultReport(fault.mode, fault.times, DESCRIPTIONS[fault.mode], broken))


_T = TypeVar("_T")


def _decode(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Refused(HTTPStatus.BAD_REQUEST, str(error)) from None


def _json(value: object) -> bytes:
    # json, not msgspec: a broken record may hold half of a surrogate pair, which msgspec refuses to write.
    return json.dumps(value).encode()
