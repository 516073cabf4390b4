"""Heynabo's HTTP API, as much of it as the import needs."""

import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx
import stamina
from kronik import KronikError, PermanentError
from msgspec import Struct

SETTINGS = ("KRONIK_HEYNABO_URL", "KRONIK_HEYNABO_USERNAME", "KRONIK_HEYNABO_PASSWORD")
TRIES = 5
TIMEOUT_S = 30.0


class HeynaboUnavailable(KronikError):
    """Heynabo could not be reached, failed (5xx), or answered what is not JSON. Trying again may help."""


class Access(Struct, frozen=True):
    """Where Heynabo is and who signs in there. timeout_s: for each step of one request."""

    url: str
    username: str
    password: str
    timeout_s: float = TIMEOUT_S


class Answer(Struct, frozen=True):
    """What Heynabo told: records as they came, of whatever kind."""

    locations: list[Any]
    users: list[Any]


def access(environ: Mapping[str, str] = os.environ) -> Access:
    """Access by the settings. Raises PermanentError that names exactly those that are missing."""
    values = [environ.get(name, "").strip() for name in SETTINGS]
    missing = [name for name, value in zip(SETTINGS, values, strict=True) if not value]
    if missing:
        raise PermanentError(f"Heynabo is not configured: set {', '.join(missing)}")
    url, username, password = values
    if not url.startswith(("http://", "https://")):
        raise PermanentError(f"{SETTINGS[0]} must begin with http:// or https://")
    return Access(url.rstrip("/"), username, password)


async def fetch(access: Access) -> Answer:
    """All locations and users.

    Raises HeynaboUnavailable when five tries of a call did not help, PermanentError where no try would: refused
    credentials, a wrong address, an answer of another shape.
    """
    sandbox = urlsplit(access.url).hostname in ("127.0.0.1", "localhost")  # of this machine, which no proxy reaches
    async with httpx.AsyncClient(timeout=access.timeout_s, trust_env=not sandbox) as client:
        credentials = {"email": access.username, "password": access.password}
        token = _token(await _call(client, "POST", f"{access.url}/login", json=credentials))
        headers = {"Authorization": f"Bearer {token}"}
        locations = await _call(client, "GET", f"{access.url}/members/locations/", headers=headers)
        users = await _call(client, "GET", f"{access.url}/admin/users/", headers=headers)
    return Answer(_records("locations", locations), _records("users", users))


async def _call(client: httpx.AsyncClient, method: str, url: str, **request: Any) -> Any:
    async for attempt in stamina.retry_context(
        on=HeynaboUnavailable, attempts=TRIES, timeout=None, wait_initial=0.2, wait_max=5.0, wait_jitter=0.2
    ):
        with attempt:
            return await _try(client, method, url, **request)
    raise AssertionError("stamina returns or raises")


async def _try(client: httpx.AsyncClient, method: str, url: str, **request: Any) -> Any:
    try:
        response = await client.request(method, url, **request)
    except httpx.TransportError as error:
        raise HeynaboUnavailable(f"{method} {url}: {type(error).__name__} {error}".rstrip()) from error
    except httpx.InvalidURL as error:
        raise PermanentError(f"{SETTINGS[0]} is not an address: {error}") from error
    except httpx.HTTPError as error:
        # What is left is a body that can't be unpacked.
        raise HeynaboUnavailable(f"{method} {url}: {type(error).__name__} {error}".rstrip()) from error
    _check_status(f"{method} {url}", response)
    return _json(f"{method} {url}", response.content)


def _check_status(call: str, response: httpx.Response) -> None:
    status = response.status_code
    if status >= 500:
        raise HeynaboUnavailable(f"{call} answered {status}")
    if status in (401, 403):
        raise PermanentError(f"{call} answered {status}: Heynabo refuses {SETTINGS[1]} and {SETTINGS[2]}")
    if not 200 <= status < 300:
        raise PermanentError(f"{call} answered {status}: is {SETTINGS[0]} right?")


def _json(call: str, body: bytes) -> Any:
    # json, not msgspec, and bytes that are no UTF-8 let through as halves of surrogates: it reads records that
    # have unusable text in them, so that only those are lost.
    try:
        return json.loads(body.decode("utf-8", errors="surrogateescape"), parse_int=_number)
    except (ValueError, RecursionError) as error:
        raise HeynaboUnavailable(f"{call} answered with something that is not JSON: {error}") from error


def _number(digits: str) -> int | str:
    """Python refuses numbers of thousands of digits; as text they are only a wrong field."""
    return int(digits) if len(digits) < 100 else digits


def _token(user: object) -> str:
    token = user.get("token") if isinstance(user, dict) else None
    if not (isinstance(token, str) and token.isascii() and token.isprintable() and token.strip()):
        raise PermanentError("Heynabo's /login answered without a token")
    return token.strip()


def _records(what: str, answer: object) -> list[Any]:
    records = answer.get("list") if isinstance(answer, dict) else answer
    if not isinstance(records, list):
        raise PermanentError(f'Heynabo answered {what} that are neither an array nor {{"list": [...]}}')
    return records
