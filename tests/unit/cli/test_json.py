"""`--json` is everywhere: for scripts every command prints data."""

import importlib
import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from cyclopts import App

from services.cli.__main__ import COMMANDS, run
from services.log import accounts

PRINT_WHAT_THEY_ARE_ASKED_FOR = {"completion", "export"}


def functions(place: str) -> list[Any]:
    """Of a command, or of each of its own commands."""
    module, _, name = place.partition(":")
    found = getattr(importlib.import_module(f"services.cli.{module}"), name)
    if not isinstance(found, App):
        return [found]
    names = [one for one in found if not one.startswith("-")]
    return [found[one].default_command for one in names]


@pytest.mark.parametrize("name", sorted({name for name, one in COMMANDS.items() if one.place}))
def test_every_command_has_it(name: str) -> None:
    place = COMMANDS[name].place
    assert place
    told = [("json" in inspect.signature(one).parameters) for one in functions(place)]
    assert told
    assert all(told) == (name not in PRINT_WHAT_THEY_ARE_ASKED_FOR)


def test_what_is_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for user in (*accounts.USERS, "route"):
        monkeypatch.setenv(f"KRONIK_NATS_{user.upper()}_PASSWORD", f"{user}-secret")
    output = tmp_path / "accounts.conf"
    assert run(["nats-config", "--output", str(output), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"output", "certificateEnds"}
    assert run(["nats-config", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accounts"] == output.read_text()
    assert run(["schemas", str(tmp_path / "schemas"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "directory": str(tmp_path / "schemas"),
        "outdated": [],
        "incompatible": [],
    }
