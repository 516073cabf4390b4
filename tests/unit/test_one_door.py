"""JetStream's API is spoken in one module: nobody else names its subjects or reads its statuses."""

from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[2] / "services"
DOOR = "log/jetstream.py"
MODULES = {path.relative_to(SERVICES).as_posix(): path.read_text() for path in SERVICES.rglob("*.py")}


@pytest.mark.parametrize(
    ("word", "allowed"),
    [
        ("$JS.API", {DOOR, "log/accounts.py", "log/connection.py"}),  # who may say it, and under which prefix
        ("DIRECT.GET", {DOOR, "log/accounts.py"}),
        ("CONSUMER.MSG.NEXT", {DOOR, "log/accounts.py"}),
        ('get("Status"', {"log/stored.py"}),
        ("Nats-Pending-Messages", {"log/stored.py"}),
    ],
)
def test_only_the_door_speaks_to_jetstream(word: str, allowed: set[str]) -> None:
    assert {name for name, text in MODULES.items() if word in text} <= allowed
