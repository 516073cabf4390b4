"""A `kronik up` of a test's own: a real process, with everything that it starts."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from services.stack.process import Command, popen_options

_READY_WITHIN_S = 60
_STOPPED_WITHIN_S = 40


@dataclass
class Up:
    """Give it a directory of its own. Output is read as it comes; wait on it with `said`."""

    home: Path
    arguments: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)
    output: list[str] = field(default_factory=list)
    process: "subprocess.Popen[str] | None" = None
    heard: threading.Condition = field(default_factory=threading.Condition)

    @property
    def state(self) -> Path:
        return self.home / ".kronik"

    @property
    def ready_file(self) -> Path:
        return self.home / "ready.json"

    def start(self) -> "Up":
        argv = (sys.executable, "-m", "services.cli", "up", "--port", "0", "--ready-file", str(self.ready_file))
        command = Command(name="up", argv=(*argv, *self.arguments), env=self.environ, death_signal=signal.SIGTERM)
        self.output = []
        self.process = subprocess.Popen(
            command.argv,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **popen_options(command),
        )
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()
        return self

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                with self.heard:
                    self.output.append(line)
                    self.heard.notify_all()
        with self.heard:
            self.heard.notify_all()

    def said(self, text: str, within_s: float = _READY_WITHIN_S) -> str:
        """The first line with this text, waited for."""
        give_up = time.monotonic() + within_s
        with self.heard:
            while not (lines := [line for line in self.output if text in line]):
                assert self.process is not None
                waiting = time.monotonic() < give_up and self.process.poll() is None
                assert waiting, f"kronik up did not say {text!r} but:\n{''.join(self.output)}"
                self.heard.wait(0.1)
        return lines[0]

    def wait_ready(self) -> "Up":
        self.said("Ctrl-C stops it")
        self.said("State")
        return self

    @property
    def ready(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.ready_file.read_text())
        return found

    def child(self, name: str) -> psutil.Process:
        (pid,) = (each["pid"] for each in self._processes() if each["name"] == name)
        return psutil.Process(pid)

    def children(self) -> list[psutil.Process]:
        """Every process that it started, with those that these started."""
        own = [psutil.Process(each["pid"]) for each in self._processes()]
        return [*own, *(child for process in own for child in process.children(recursive=True))]

    def _processes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.state / "processes.json").read_text())
        return found

    def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.ready['token']}"}
        return httpx.request(method, self.ready["url"] + path, headers=headers, timeout=20, **request)

    def call(self, method: str, path: str, **request: Any) -> Any:
        answer = self.ask(method, path, **request)
        assert answer.is_success, answer.text
        return answer.json()

    def finished(self, run_id: int, within_s: float = 30) -> dict[str, Any]:
        """The run once it has finished; an API that says that a server is away is asked again."""
        return self.reached(run_id, "finished", within_s)

    def reached(self, run_id: int, phase: str, within_s: float = 30) -> dict[str, Any]:
        give_up = time.monotonic() + within_s
        while True:
            answer = self.ask("GET", f"/api/admin/job-run/{run_id}")
            if answer.is_success and answer.json()["phase"] == phase:
                return dict(answer.json())
            assert answer.status_code in (200, 503), answer.text
            assert time.monotonic() < give_up, answer.text
            time.sleep(0.05)

    def kronik(self, *arguments: str, within_s: float = 60) -> "subprocess.CompletedProcess[str]":
        """One of the other commands, in the same directory."""
        return subprocess.run(
            (sys.executable, "-m", "services.cli", *arguments),
            cwd=self.home,
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(by)
        return self.wait()

    def wait(self) -> int:
        assert self.process is not None
        try:
            return self.process.wait(_STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"kronik up does not stop:\n{''.join(self.output)}") from None


@contextlib.contextmanager
def home() -> Iterator[Path]:
    """A directory for an `up`. Not pytest's: as root Postgres is another user, and every pytest closes those to it."""
    directory = Path(tempfile.mkdtemp(prefix="kronik-test-up-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def running(home: Path, *arguments: str, **environ: str) -> Iterator[Up]:
    """Started and ready; stopped at the end, if it still runs."""
    up = Up(home, arguments, environ).start()
    try:
        yield up.wait_ready()
    finally:
        up.stop()
