"""HEYNABO_IMPORT and a Heynabo that fails, refuses, is slow or answers nonsense; the sandbox can do all of it."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from kronik import PermanentError

from services.dining.database import Connection
from services.dining.heynabo import api
from services.dining.sandbox.community import community
from services.dining.sandbox.faults import malformed
from services.dining.sandbox.server import Answer, Request
from tests.heynabo import EMAIL, NOW, PASSWORD, configure, location, serving, sync, tally, user
from tests.run_context import Run
from tests.village import Village

SMALL = 12  # households


@pytest.fixture
def village(db: Connection) -> Village:
    return Village(db)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    """The address of `python -m services.dining.sandbox`, as `kronik up` starts it."""
    command = [
        sys.executable,
        "-m",
        "services.dining.sandbox",
        "--port",
        "0",
        "--households",
        str(SMALL),
        "--slow-s",
        "0.3",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip().removeprefix("Heynabo sandbox: ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=3) in (0, -signal.SIGTERM)


@pytest.fixture
def configured(sandbox: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    configure(monkeypatch, sandbox)
    yield sandbox
    set_fault(sandbox, "none")


def set_fault(sandbox: str, mode: str, times: int | None = None) -> dict[str, Any]:
    report: dict[str, Any] = httpx.post(f"{sandbox}/sandbox/faults", json={"mode": mode, "times": times}).json()
    return report


def fault(sandbox: str) -> dict[str, Any]:
    report: dict[str, Any] = httpx.get(f"{sandbox}/sandbox/faults").json()
    return report


async def test_two_answers_of_500_are_tried_again(configured: str, village: Village) -> None:
    assert set_fault(configured, "500", 2)["times"] == 2
    run = Run(now=NOW)
    assert (await sync(run)).households_created == SMALL
    assert run.warnings == []
    assert fault(configured)["mode"] == "none"


async def test_a_server_that_goes_on_failing_is_unavailable_not_permanently(
    configured: str, village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "TRIES", 2)
    set_fault(configured, "500")
    with pytest.raises(api.HeynaboUnavailable, match="/login answered 500"):
        await sync()


async def test_a_server_that_is_not_there_is_unavailable(village: Village, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "TRIES", 2)
    configure(monkeypatch, "http://127.0.0.1:1")
    with pytest.raises(api.HeynaboUnavailable, match=r"/login: ConnectError"):
        await sync()


async def test_a_slow_server_is_waited_for(configured: str, village: Village) -> None:
    set_fault(configured, "slow")
    assert (await sync()).households_created == SMALL


async def test_a_server_that_is_too_slow_is_unavailable(configured: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "TRIES", 1)
    set_fault(configured, "slow")
    with pytest.raises(api.HeynaboUnavailable, match="ReadTimeout"):
        await api.fetch(api.Access(configured, EMAIL, PASSWORD, timeout_s=0.1))


async def test_a_refusal_is_not_tried_again(configured: str, village: Village) -> None:
    set_fault(configured, "unauthorized", 2)
    with pytest.raises(PermanentError, match=r"401.*KRONIK_HEYNABO_USERNAME and KRONIK_HEYNABO_PASSWORD"):
        await sync()
    assert fault(configured)["times"] == 1


async def test_wrong_credentials_are_refused_and_the_password_is_not_told(
    configured: str, village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRONIK_HEYNABO_PASSWORD", "hunter2")
    with pytest.raises(PermanentError, match="401") as refusal:
        await sync()
    assert "hunter2" not in str(refusal.value)


async def test_a_wrong_address_is_permanent(configured: str, village: Village, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRONIK_HEYNABO_URL", f"{configured}/elsewhere/")
    with pytest.raises(PermanentError, match="404: is KRONIK_HEYNABO_URL right"):
        await sync()


async def test_malformed_records_are_named_and_the_others_imported(configured: str, village: Village) -> None:
    await sync()
    before = await village.count("inhabitant")
    names = set_fault(configured, "malformed")["broken"]
    assert names == malformed(community(7, SMALL))[1]
    run = Run(now=NOW)
    result = await sync(run)
    assert set(run.warned_of()) == set(names)
    assert tally(result).keys() <= {"inhabitantsUpdated", "usersUpdated"}
    assert await village.count("inhabitant") == before


async def test_a_first_import_of_malformed_records_goes_through(configured: str, village: Village) -> None:
    set_fault(configured, "malformed")
    run = Run(now=NOW)
    result = await sync(run)
    assert result.households_created == SMALL - 2
    assert result.inhabitants_created > 0
    assert run.warnings


@pytest.mark.parametrize("mode", ["empty", "shrunk"])
async def test_empty_and_shrunk_answers_change_nothing(configured: str, village: Village, mode: str) -> None:
    await sync()
    before = await village.rows("SELECT * FROM dining.inhabitant ORDER BY id")
    set_fault(configured, mode)
    with pytest.raises(PermanentError, match="Refused, nothing was changed"):
        await sync()
    assert await village.count("household") == SMALL
    assert await village.rows("SELECT * FROM dining.inhabitant ORDER BY id") == before


class Bodies:
    """Signs anybody in and answers with the bytes it was given."""

    def __init__(self, locations: bytes, users: bytes, login: bytes = b'{"token": "t"}') -> None:
        self.bodies = {"/login": login, "/members/locations/": locations, "/admin/users/": users}

    def respond(self, request: Request) -> Answer:
        return Answer(HTTPStatus.OK, self.bodies[request.path])


LOCATIONS_BODY = json.dumps([location(1)]).encode()
USERS_BODY = json.dumps([user(5, 1)]).encode()


async def sync_bodies(bodies: Bodies, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(api, "TRIES", 1)
    run = Run(now=NOW)
    with serving(bodies.respond) as url:
        configure(monkeypatch, url + "/")
        await sync(run)
    return run


@pytest.mark.parametrize("wrapped", [False, True])
async def test_both_lists_are_accepted_in_either_shape(
    village: Village, monkeypatch: pytest.MonkeyPatch, wrapped: bool
) -> None:
    bodies = (LOCATIONS_BODY, USERS_BODY)
    if wrapped:
        bodies = (b'{"list": ' + LOCATIONS_BODY + b"}", b'{"list": ' + USERS_BODY + b"}")
    run = await sync_bodies(Bodies(*bodies), monkeypatch)
    assert run.warnings == []
    assert await village.count("inhabitant") == 1


async def test_bytes_that_are_no_text_spoil_one_record_only(village: Village, monkeypatch: pytest.MonkeyPatch) -> None:
    latin1 = json.dumps([user(5, 1, lastName="KOFOED"), user(6, 1)]).encode().replace(b"KOFOED", b"Kj\xe6r")
    run = await sync_bodies(Bodies(LOCATIONS_BODY, latin1), monkeypatch)
    assert run.warned_of() == ["user 5"]
    assert await village.rows("SELECT last_name FROM dining.inhabitant ORDER BY heynabo_id") == [("Kjr",), ("Holm",)]


async def test_a_number_of_thousands_of_digits_spoils_one_record_only(
    village: Village, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = b'[{"id": ' + b"9" * 6000 + b"}, " + USERS_BODY[1:]
    run = await sync_bodies(Bodies(LOCATIONS_BODY, users), monkeypatch)
    assert run.warned_of() == ["user at place 1"]


@pytest.mark.parametrize("body", [b"", b"<html>maintenance</html>", b"[" * 100_000, b'[{"id": 1'])
async def test_what_is_not_json_is_tried_again_later(
    village: Village, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    with pytest.raises(api.HeynaboUnavailable, match="not JSON"):
        await sync_bodies(Bodies(LOCATIONS_BODY, body), monkeypatch)


@pytest.mark.parametrize("body", [b"null", b"7", b'{"error": "no"}', b'{"list": {}}', b'"text"'])
async def test_json_of_another_shape_is_refused(village: Village, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    with pytest.raises(PermanentError, match="neither an array"):
        await sync_bodies(Bodies(body, USERS_BODY), monkeypatch)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"token": ""}', b'{"token": 7}', b'{"token": "a\\nb"}'])
async def test_a_login_without_a_usable_token_is_refused(
    village: Village, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    with pytest.raises(PermanentError, match="without a token"):
        await sync_bodies(Bodies(LOCATIONS_BODY, USERS_BODY, body), monkeypatch)


# settings


@pytest.mark.parametrize("missing", [api.SETTINGS, api.SETTINGS[1:2], api.SETTINGS[1:]])
async def test_the_error_names_exactly_the_missing_settings(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]
) -> None:
    configure(monkeypatch, "http://127.0.0.1:1")
    for name in missing:
        monkeypatch.delenv(name)
    with pytest.raises(PermanentError) as error:
        await sync()
    assert {name for name in api.SETTINGS if name in str(error.value)} == set(missing)


async def test_an_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, village: Village) -> None:
    configure(monkeypatch, "heynabo.example")
    with pytest.raises(PermanentError, match="KRONIK_HEYNABO_URL must begin with"):
        await sync()
    configure(monkeypatch, "http://x:port")
    with pytest.raises(PermanentError, match="KRONIK_HEYNABO_URL is not an address"):
        await sync()
