"""What is typed or set wrongly: one message that names it and says what is allowed, exit status 2."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.cli import export, target
from services.cli.__main__ import run

REACHED = 3
"""The status where what was typed is fine: nobody answers."""


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"STATE_DIR": str(tmp_path), "URL": "http://127.0.0.1:9", "TOKEN": "x"}.items():
        monkeypatch.setenv(f"KRONIK_{name}", value)


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(list(arguments)) == 2
    line = capsys.readouterr().err
    assert len(line.splitlines()) == 1
    return line


@pytest.mark.parametrize("command", [("trigger", "A"), ("rerun", "1")])
@pytest.mark.parametrize(
    "value", ["1e400", "-1e400", "NaN", "-Infinity", '{"a": [1e400]}', '"\\ud800"', '{"\\ud800": 1}', "[" * 100_000]
)
def test_a_param_that_json_can_not_carry_is_named(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...], value: str
) -> None:
    line = complaint(capsys, *command, "-p", f"seconds={value}")
    assert "--param seconds=" in line
    assert "expected JSON of finite numbers and whole characters" in line


@pytest.mark.parametrize("value", ["1e300", "2026-10", "Nan", "é", '"NaN"', '"\\ud83d\\ude00"', "[[1]]"])
def test_any_other_param_is_asked_with(value: str) -> None:
    assert run(["trigger", "A", "-p", f"x={value}"]) == REACHED


@pytest.mark.parametrize(
    "arguments",
    [
        ("trigger", "A\udcff"),
        ("trigger", "A", "-p", "name=\udcff"),
        ("history", "--text", "\udcff"),
        ("history", "-p", "a=\udcff"),
        ("pause", "A", "--reason", "\udcff"),
        ("bulk", "show", "\udcff"),
        ("token", "\udcff"),
    ],
)
def test_an_argument_that_is_not_utf_8_is_named(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    line = complaint(capsys, *arguments)
    assert "\\xff" in line
    assert "expected UTF-8" in line


@pytest.mark.parametrize(
    "arguments", [("pause", "A\nB"), ("schedule", "A/B"), ("retire", "..", "--yes"), ("empty-queue", "A?b")]
)
def test_a_job_type_is_no_path(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    assert "job type" in complaint(capsys, *arguments)


def test_the_id_of_a_bulk_is_no_path() -> None:
    assert run(["bulk", "show", "a\n/../b"]) == REACHED


def test_what_is_too_long_for_an_address_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "too long" in complaint(capsys, "history", "--text", "a" * 70_000)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("URL", "foo", "expected an address like http://127.0.0.1:8080"),
        ("URL", "ftp://a", "expected an address like"),
        ("URL", "http://a:b", "expected an address like"),
        ("URL", "http://[::1", "expected an address like"),
        ("URL", "http://a..b", "expected an address like"),
        ("URL", "http://é\udcff", "expected an address like"),
        ("TOKEN", "é\udcff", "expected visible ASCII characters"),
        ("TOKEN", "a\nb", "expected visible ASCII characters"),
        ("NATS_URL", "foo", "must match"),
        ("DATABASE_URL", "foo", "must match"),
    ],
)
def test_a_wrong_setting_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(f"KRONIK_{name}", value)
    line = complaint(capsys, "history")
    assert f"KRONIK_{name}=" in line
    assert allowed in line
    assert name != "TOKEN" or value not in line


@pytest.mark.parametrize("url", ["http://a", "https://a.b:8443/kronik/", "http://[::1]:80", "http://u:p@my_api:1"])
def test_an_address_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("KRONIK_URL", url)
    assert target.find().address() == url


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Calls:
        @contextmanager
        def stream(self, *_: Any) -> Iterator[Any]:
            yield SimpleNamespace(iter_bytes=lambda: [b"id\r\n"])

    @contextmanager
    def connect(_: object) -> Iterator[Calls]:
        yield Calls()

    monkeypatch.setattr(export.api, "connect", connect)


@pytest.mark.usefixtures("exported")
def test_a_file_that_can_not_be_made_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for file in (tmp_path / "none" / "e.csv", tmp_path, tmp_path / "file" / "e.csv"):
        line = complaint(capsys, "export", str(file))
        assert f"{file}: " in line
        assert "expected a file in a directory that exists" in line


@pytest.mark.usefixtures("exported")
def test_a_full_disk_is_no_fault_of_what_was_asked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["export", "/dev/full"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert run(["export", str(tmp_path / "e.csv")]) == 0
    assert (tmp_path / "e.csv").read_bytes() == b"id\r\n"


def test_a_cron_expression_without_quotes_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "schedule", "DAILY_MAINTENANCE", *["0", "4", "a", "b", "c"])
    assert said == "kronik: not understood: 4 a b c; put the cron expression in quotes\n"
