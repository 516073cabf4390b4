"""Calls of the HTTP API."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from kronik import KronikError

from services.cli.target import Target

_TIMEOUT_S = 15.0
_SERVER_ERROR = 500


class Unreachable(KronikError):
    """The API, NATS or Postgres does not answer, or answers that it can't."""


class Refused(KronikError):
    """The API said no to what was asked; the message is its own."""


class Api:
    """Calls return decoded JSON. They raise Refused and Unreachable."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **query: object) -> Any:
        params = {name: str(value) for name, value in query.items() if value is not None}
        return self._call("GET", path, params=params)

    def post(self, path: str, body: dict[str, object]) -> Any:
        return self._call("POST", path, json=body)

    def _call(self, method: str, path: str, **request: Any) -> Any:
        try:
            answer = self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise Unreachable(f"{self._client.base_url} does not answer: {error}") from error
        if answer.status_code >= _SERVER_ERROR:
            raise Unreachable(f"{self._client.base_url} answered {answer.status_code}: {_problem(answer)}")
        if not answer.is_success:
            raise Refused(_problem(answer))
        return answer.json()


@contextmanager
def connect(target: Target) -> Iterator[Api]:
    """Raises NotRunning, and Unreachable at the first call."""
    url, token = target.api()
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    with httpx.Client(base_url=url, headers=headers, timeout=_TIMEOUT_S) as client:
        yield Api(client)


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
        for each in problem.get("errors") or []
        if isinstance(each, dict) and (listed := _listed(each.get("allowed"))) and listed not in words
    ]
    return "; ".join([words, *allowed])


def _listed(allowed: object) -> str:
    return ", ".join(map(str, allowed)) if isinstance(allowed, list) else str(allowed or "")
