"""The children's logs: problems in them are shown on the terminal, and none grows without end."""

import asyncio
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from services.infra.printable import one_line

_LOOK_EVERY_S = 1.0
_SHOWN_PER_LOOK = 5
_LARGEST_BYTES = 32 * 1024**2
_READ_BYTES = 256 * 1024

_NATS = re.compile(rb"\[(ERR|FTL)\] (.*)")
_POSTGRES = re.compile(rb"\b(?:FATAL|PANIC): .*")
_NOT_YET = b"starting up|not yet accepting|shutting down|administrator command"
_EXPECTED = re.compile(_NOT_YET)


def problem(line: bytes) -> str | None:
    """What a log line says if a person should see it: errors, and warnings of our own services."""
    if line.startswith(b"{"):
        return _of_service(line)
    found = _NATS.search(line) or _POSTGRES.search(line)
    if found is None or _EXPECTED.search(line):
        return None
    return found[0].decode(errors="replace")


def _of_service(line: bytes) -> str | None:
    try:
        entry: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        return None
    if entry.get("level") not in ("warning", "error", "critical"):
        return None
    told = ("event", "level", "timestamp", "service", "exception")
    fields = " ".join(f"{key}={value}" for key, value in entry.items() if key not in told)
    return f"{entry['level']}: {entry.get('event', '')} {fields}".rstrip()


class LogWatch:
    """Looks at every `*.log` of a directory for what is new since the last look."""

    def __init__(self, logs: Path, say: Callable[[str], None]) -> None:
        self._logs = logs
        self._say = say
        self._read_to: dict[Path, int] = {path: path.stat().st_size for path in logs.glob("*.log")}

    async def run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(_LOOK_EVERY_S)

    def look(self) -> None:
        """Show what is new, at most a few lines of each log, and shorten what has become too large."""
        for path in sorted(self._logs.glob("*.log")):
            problems = [one_line(text) for line in self._new_lines(path) if (text := problem(line))]
            for text in problems[:_SHOWN_PER_LOOK]:
                self._say(f"{path.stem}: {text[:500]}")
            if len(problems) > _SHOWN_PER_LOOK:
                self._say(f"{path.stem}: and {len(problems) - _SHOWN_PER_LOOK} more, see {path}")
            if self._read_to[path] > _LARGEST_BYTES:
                self._rotate(path)

    def _new_lines(self, path: Path) -> list[bytes]:
        size, begin = path.stat().st_size, self._read_to.get(path, 0)
        if size - begin > _READ_BYTES:  # a flood: the newest part of it is enough
            begin = size - _READ_BYTES
        with path.open("rb") as log:
            log.seek(begin)
            text = log.read(size - begin)
        whole = text.rpartition(b"\n")[0]
        self._read_to[path] = begin + (len(whole) + 1 if whole else 0)
        return whole.split(b"\n")

    def _rotate(self, path: Path) -> None:
        """The child goes on writing to the same file, at its (new) end: it was opened for appending."""
        shutil.copyfile(path, path.with_suffix(".log.1"))
        path.with_suffix(".log.1").chmod(0o600)
        with path.open("r+b") as log:
            log.truncate(0)
        self._read_to[path] = 0
