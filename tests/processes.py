"""Kronik's own services as processes of a test: to watch, to kill, to freeze."""

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from services.stack.process import Command, popen_options

ROOT = Path(__file__).parent.parent
KRONIK = str(Path(sys.executable).parent / "kronik")
"""Services are started as the image starts them."""


class Process:
    """One service. Its log is at `.log`, and in the message of whatever assertion fails because of it."""

    def __init__(self, name: str, environ: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            command = Command(
                name=name,
                argv=(KRONIK, name),
                env={"KRONIK_LOG_FORMAT": "json", **environ},
            )
            self._process = subprocess.Popen(
                command.argv, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL, **popen_options(command)
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        self._process.terminate()

    def ended(self, within_s: float = 30) -> int:
        """Its exit status; fails when it goes on."""
        return self._process.wait(within_s)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_for_log(self, text: str, within_s: float = 20, count: int = 1) -> None:
        give_up = time.monotonic() + within_s
        while self.log.read_text().count(text) < count:
            assert self.running or text in self.log.read_text(), f"it ended:\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < give_up, f"no {text!r} in its log:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.02)

    def wait_for_lines(self, count: int, within_s: float = 30) -> None:
        give_up = time.monotonic() + within_s
        while len(self.log.read_text().splitlines()) < count:
            assert time.monotonic() < give_up, f"it says no more:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.1)


@contextlib.contextmanager
def service(name: str, *, ready: str | None = None, **settings: str) -> Iterator[Process]:
    """A service that runs within the block. settings: KRONIK_… variables in small letters, `nats_url="nats://…"`."""
    environ = {f"KRONIK_{key.upper()}": value for key, value in settings.items()}
    with tempfile.TemporaryDirectory(prefix=f"kronik-test-{name}-") as directory:
        process = Process(name, environ, Path(directory) / "log")
        try:
            process.wait_for_log(f"{name}_ready" if ready is None else ready)
            yield process
        finally:
            if process.running:
                process.thaw()
                process.kill()


def runner(nats_url: str, **settings: str) -> contextlib.AbstractContextManager[Process]:
    """A runner with the jobs of tests.sample_jobs and short times."""
    quick = {"jobs": "tests.sample_jobs", "ack_wait_s": "1.5", "grace_s": "1"}
    return service("runner", nats_url=nats_url, **{**quick, **settings})
