"""Somebody who follows a page: a clone of the repository to stand in, and a shell to type its commands into."""

import contextlib
import os
import shlex
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

from services.stack.process import Command as Process
from services.stack.process import popen_options
from tests.docs.markdown import ROOT, Command

_ENDS_WITHIN_S = 100
_STOPS_WITHIN_S = 40


@contextlib.contextmanager
def clone() -> Iterator[Path]:
    """A copy of what a commit of the working tree would have, set up already. Not in pytest's own directory: as root
    Postgres is another user, and could not pass."""
    home = Path(tempfile.mkdtemp(prefix="kronik-test-docs-"))
    try:
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (home / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, home / name)
        _set_up(home)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _set_up(home: Path) -> None:
    """This environment in place of one of its own. `make` may renew the links' directory, never what they lead to."""
    (home / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (home / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    (home / ".venv" / ".ready").touch()


class Failed(AssertionError):
    """A command did not do what its page says."""


@dataclass
class Background:
    """A command that goes on until Ctrl-C."""

    process: "subprocess.Popen[str]"
    said: list[str] = field(default_factory=list)
    heard: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self._hear(line)
        self._hear("")

    def _hear(self, line: str) -> None:
        with self.heard:
            self.said.append(line)
            self.heard.notify_all()

    @property
    def output(self) -> str:
        return "".join(self.said)

    def wait_for(self, text: str) -> None:
        give_up = time.monotonic() + _ENDS_WITHIN_S
        with self.heard:
            while text not in self.output:
                if self.process.poll() is not None or time.monotonic() > give_up:
                    raise Failed(f"it did not say {text!r} but:\n{self.output}")
                self.heard.wait(0.1)

    def interrupt(self) -> None:
        """As Ctrl-C at a terminal does it: all of its process group are told. Raises Failed if it does not end well."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            status = self.process.wait(_STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise Failed(f"it goes on after Ctrl-C:\n{self.output}") from None
        if status not in (0, 130, -signal.SIGINT):
            raise Failed(f"it ended with {status}:\n{self.output}")


class Reader:
    """What one command exports, the next one has. KRONIK_PORT=0 is all that a page's reader does not have."""

    def __init__(self, home: Path) -> None:
        self.home = home
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("KRONIK_", "NATS_", "PYTEST"))
        }
        self.environ = {**kept, "KRONIK_PORT": "0"}
        self._background: list[Background] = []

    def follow(self, command: Command) -> str:
        """Type it, and return what it printed. Raises Failed."""
        output = self._go_on(command, command.until) if command.until else self._run(command)
        if missing := command.printed(output):
            raise Failed(f"{command} did not print {missing} but:\n{output}")
        return output

    def _run(self, command: Command) -> str:
        with tempfile.NamedTemporaryFile(prefix="kronik-test-env-") as kept:
            script = f"{command.text}\nenv -0 > {shlex.quote(kept.name)}"
            done = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", script],
                cwd=self.home,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_ENDS_WITHIN_S,
                check=False,
            )
            if done.returncode != 0:
                raise Failed(f"{command} ended with {done.returncode}:\n{command.text}\n{done.stdout}")
            self.environ = dict(each.split("=", 1) for each in Path(kept.name).read_text().split("\0") if "=" in each)
        return done.stdout

    def _go_on(self, command: Command, until: str) -> str:
        argv = ("bash", "-e", "-c", command.text)
        options = popen_options(Process(name="bash", argv=argv, death_signal=signal.SIGTERM))

        def at_a_terminal() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored in what a shell started with &
            if die_with_us := options["preexec_fn"]:
                die_with_us()

        process = subprocess.Popen(
            argv,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **{**options, "env": self.environ, "preexec_fn": at_a_terminal},
        )
        self._background.append(Background(process))
        self._background[-1].wait_for(until)
        return self._background[-1].output

    def leave(self) -> None:
        """Ctrl-C to all that goes on, the newest first. Raises Failed."""
        problems = []
        for background in reversed(self._background):
            try:
                background.interrupt()
            except Failed as failed:
                problems.append(str(failed))
        if problems:
            raise Failed("\n".join(problems))
