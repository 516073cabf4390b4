"""Calls of the HTTP API."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import httpx
from kronik import KronikError

from services.cli import terminal
from services.cli.target import NotRunning, Target, find
from services.cli.usage import BadUsage
from services.infra.clock import monotonic_s

_TIMEOUT_S = 15.0
_AGAIN_AFTER_S = 0.5
_PATIENCE_S = 300.0
_SERVER_ERROR = 500
_CONFLICT = 409

T = TypeVar("T")
Query: TypeAlias = Sequence[tuple[str, object]]


class Unreachable(KronikError):
    """The API, NATS or Postgres does not answer, or answers that it can't."""


class Refused(KronikError):
    """The API said no to what was asked; the message is its own. conflict: it makes sense, but not now."""

    def __init__(self, message: str, *, conflict: bool = False) -> None:
        super().__init__(message)
        self.conflict = conflict


class Api:
    """Calls return decoded JSON. They raise Refused, Unreachable and BadUsage. What is None in a query is left out."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, query: Query = ()) -> Any:
        return self._call("GET", path, params=_given(query)).json()

    def page(self, path: str, query: Query = ()) -> httpx.Response:
        """The whole answer, for who reads its headers as well."""
        return self._call("GET", path, params=_given(query))

    def post(
        self, path: str, body: Mapping[str, object] | None = None, query: Query = (), key: str | None = None
    ) -> Any:
        """key: an Idempotency-Key, with which the same call can be made again."""
        headers = {"Idempotency-Key": key} if key else {}
        return self._call("POST", path, json=body, params=_given(query), headers=headers).json()

    @contextmanager
    def stream(self, path: str, query: Query = ()) -> Iterator[httpx.Response]:
        """An answer that is read as it comes."""
        try:
            with self._client.stream("GET", path, params=_given(query)) as answer:
                if not answer.is_success:
                    answer.read()
                    self._check(answer)
                yield answer
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        except httpx.InvalidURL as error:
            raise _unspeakable(error) from error

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        except httpx.InvalidURL as error:
            raise _unspeakable(error) from error
        self._check(answer)
        return answer

    def _check(self, answer: httpx.Response) -> None:
        if answer.status_code >= _SERVER_ERROR:
            raise Unreachable(f"{self._client.base_url} answered {answer.status_code}: {_problem(answer)}")
        if not answer.is_success:
            raise Refused(_problem(answer), conflict=answer.status_code == _CONFLICT and not _fields(answer))

    def _unreachable(self, error: httpx.HTTPError) -> Unreachable:
        return Unreachable(f"{self._client.base_url} does not answer: {error}")


@contextmanager
def connect(target: Target) -> Iterator[Api]:
    """Raises NotRunning, and Unreachable at the first call."""
    url, token = target.api()
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    with client_of(url, headers, _TIMEOUT_S) as client:
        yield Api(client)


def client_of(url: str, headers: Mapping[str, str], timeout_s: float) -> httpx.Client:
    """A proxy that is set is not asked for what runs on this machine. Raises BadUsage."""
    proxied = urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1")
    try:
        return httpx.Client(base_url=url, headers=headers, timeout=timeout_s, trust_env=proxied)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise BadUsage(f"the proxy that is set (ALL_PROXY, HTTPS_PROXY, …) can't be used: {error}") from error


def insist(work: Callable[[Api], T], patience_s: float = _PATIENCE_S) -> T:
    """Do this work, which can be done again, through every absence of the API; where it is is looked up each time.

    Raises Refused, and NotRunning and Unreachable when it has been away for patience_s.
    """
    give_up = monotonic_s() + patience_s
    told = False
    while True:
        try:
            with connect(find()) as calls:
                return work(calls)
        except (Unreachable, NotRunning) as away:
            if monotonic_s() > give_up:
                raise
            if not told:
                terminal.say(f"{away}; trying again")
            told = True
        time.sleep(_AGAIN_AFTER_S)


def _unspeakable(error: httpx.InvalidURL) -> BadUsage:
    return BadUsage(f"what was asked does not fit into an address: {error}")


def _given(query: Query) -> httpx.QueryParams:
    return httpx.QueryParams([(name, _text(value)) for name, value in query if value is not None])


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _problem(answer: httpx.Response) -> str:
    """The words of an RFC 9457 problem, with the fields that it complains about."""
    try:
        problem = answer.json()
    except ValueError:
        return answer.text[:500] or answer.reason_phrase
    if not isinstance(problem, dict):
        return str(problem)[:500]
    words = str(problem.get("detail") or problem.get("title") or answer.reason_phrase)
    allowed = [
        f"{each['field']} may be {listed}"
        for each in _fields(answer)
        if (listed := _listed(each.get("allowed"))) and listed not in words
    ]
    return "; ".join([words, *allowed])


def _fields(answer: httpx.Response) -> list[dict[str, Any]]:
    """Those that a problem complains about: where there are any, it is what was asked that makes no sense."""
    try:
        return [each for each in answer.json().get("errors") or [] if isinstance(each, dict)]
    except (ValueError, AttributeError):
        return []


def _listed(allowed: object) -> str:
    return ", ".join(map(str, allowed)) if isinstance(allowed, list) else str(allowed or "")
