"""The sandbox's HTTP API: Heynabo's three calls, and switches for faults."""

import asyncio
import json
import secrets
from typing import Any

from litestar import Litestar, Request, Response, get, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException, NotAuthorizedException
from litestar.openapi.config import OpenAPIConfig
from litestar.params import JSONBody
from msgspec import Struct

from services.dining.sandbox.community import Community
from services.dining.sandbox.faults import DESCRIPTIONS, Fault, Mode, Switch, distort, malformed


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


class Sandbox:
    """One running sandbox: its people, its tokens, its fault."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.switch = Switch(options.fault)
        self.tokens: set[str] = set()
        self.broken = malformed(options.community)[1]

    async def answer(self) -> Community:
        """The community as the present fault tells it, for one request. Raises the fault, if it is one."""
        mode = self.switch.take()
        if mode == "500":
            raise HTTPException(status_code=500, detail="a fault that was asked for")
        if mode == "unauthorized":
            raise NotAuthorizedException("a fault that was asked for")
        if mode == "slow":
            await self._dawdle()
        return distort(self.options.community, mode)

    async def _dawdle(self) -> None:
        try:
            await asyncio.sleep(self.options.slow_s)
        except asyncio.CancelledError:  # the server stops: let the client go
            raise HTTPException(status_code=503, detail="the sandbox is stopping") from None

    def sign_in(self, credentials: Credentials) -> str:
        """A token. Raises NotAuthorizedException."""
        if (credentials.email, credentials.password) != (self.options.email, self.options.password):
            raise NotAuthorizedException("wrong email or password")
        token = secrets.token_urlsafe(24)
        self.tokens.add(token)
        return token

    def check(self, request: Request[Any, Any, State]) -> None:
        """Raises NotAuthorizedException for a request without a token of ours."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or token not in self.tokens:
            raise NotAuthorizedException("a Bearer token from /login is required")

    def report(self) -> FaultReport:
        fault = self.switch.fault
        broken = self.broken if fault.mode == "malformed" else []
        return FaultReport(fault.mode, fault.times, DESCRIPTIONS[fault.mode], broken)


def create_app(options: Options) -> Litestar:
    """The application; one Sandbox is its only state."""
    return Litestar(
        [login, locations, users, read_fault, set_fault, healthz],
        state=State({"sandbox": Sandbox(options)}),
        openapi_config=OpenAPIConfig("Heynabo sandbox", "1"),
    )


@post("/login", status_code=200)
async def login(data: JSONBody[Credentials], state: State) -> Response[bytes]:
    sandbox: Sandbox = state.sandbox
    await sandbox.answer()
    token = sandbox.sign_in(data)
    return _json({"id": 1, "type": "user", "email": data.email, "role": "admin", "locationId": None, "token": token})


@get("/members/locations/")
async def locations(request: Request[Any, Any, State], state: State) -> Response[bytes]:
    sandbox: Sandbox = state.sandbox
    community = await sandbox.answer()
    sandbox.check(request)
    return _json(community.locations)


@get("/admin/users/")
async def users(request: Request[Any, Any, State], state: State) -> Response[bytes]:
    sandbox: Sandbox = state.sandbox
    community = await sandbox.answer()
    sandbox.check(request)
    return _json({"list": community.users})


@get("/sandbox/faults")
async def read_fault(state: State) -> FaultReport:
    sandbox: Sandbox = state.sandbox
    return sandbox.report()


@post("/sandbox/faults", status_code=200)
async def set_fault(data: JSONBody[Fault], state: State) -> FaultReport:
    sandbox: Sandbox = state.sandbox
    sandbox.switch.fault = data
    return sandbox.report()


@get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


def _json(value: object) -> Response[bytes]:
    # json, not msgspec: a broken record may hold half of a surrogate pair, which msgspec refuses to write.
    return Response(json.dumps(value).encode(), media_type="application/json")
