"""The disk of the stream is full: nothing is acknowledged falsely, and it goes on when there is room."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from services.stack import nats_server
from services.stack.port import find_free
from services.stack.process import Command, popen_options
from tests.faults.figures import Report, report, scenario
from tests.faults.load import Load
from tests.faults.stage import Stage, stage
from tests.faults.test_nats_faults import works_again
from tests.servers import NatsServer

_DISK_MB, _BALLAST_MB = 48, 40
_UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")


@dataclass
class SmallDiskServer(NatsServer):
    """Its process is the one that owns the disk; the server is that one's child."""

    def start(self) -> None:
        self.tell("start")
        give_up = time.monotonic() + 30
        while not self.answers():
            assert time.monotonic() < give_up, f"nats-server did not start:\n{self._last_words()}"
            time.sleep(0.02)

    def kill(self) -> None:
        self.tell("stop")

    def free(self) -> None:
        self.tell("free")

    def tell(self, order: str) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{order}\n".encode())
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode().strip()
        assert answer == f"{order} done", f"{answer}\n{self._last_words()}"


@contextmanager
def small_disk_server() -> Iterator[SmallDiskServer]:
    """A nats-server whose store can take 8 MB, and 40 more once it is freed."""
    with tempfile.TemporaryDirectory(prefix="kronik-test-disk-") as directory:
        home, port = Path(directory), find_free()
        store, config, log = home / "store", home / "nats.conf", home / "nats.log"
        store.mkdir()
        config.write_text(nats_server.config(port=port, store=store))
        script = str(Path(__file__).with_name("small_disk.py"))
        sizes = (str(_DISK_MB), str(_BALLAST_MB))
        argv = (*_UNSHARE, sys.executable, script, nats_server.binary(), str(config), str(store), *sizes)
        command = Command(name="small disk", argv=argv)
        with log.open("ab") as out:
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, **popen_options(command)
            )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n", log.read_text()
            server = SmallDiskServer(command, port, log, process)
            server.start()
            yield server
        finally:
            process.stdin.close()
            process.wait(10)
            process.stdout.close()


def why_not() -> str | None:
    """Why this machine can't give us a disk of our own; None where it can."""
    try:
        tried = subprocess.run(
            [*_UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except OSError as error:
        return str(error)
    return None if tried.returncode == 0 else tried.stderr.strip()


@scenario("disk full on the stream's volume (tmpfs)", few=1, full=5)
async def full_disk(rounds: int, seed: int) -> Report:
    """Fill the disk with acknowledged triggers until there are no more acknowledgements; make room; go on."""
    recoveries, acknowledged, refused, verdicts = [], 0, 0, []
    for turn in range(rounds):
        with small_disk_server() as server:
            async with stage(seed + turn, on=server) as scene:
                await scene.crew(2)
                load = Load(scene.connection, seed + turn)
                refused += await _fill(scene, load)
                acknowledged += len(load.acknowledged)
                server.free()
                begin = time.monotonic()
                # Room alone does not heal a nats-server that met a full disk: it takes a restart.
                server.kill()
                server.start()
                await works_again(load)
                recoveries.append(time.monotonic() - begin)
                verdicts.append(await scene.settle(load, within_s=120))
    return report(
        f"{rounds} times, {acknowledged:,} acknowledged, {refused} unanswered",
        *verdicts,
        figures=f"0 false acknowledgements; a run is done {max(recoveries):.1f} s after there was room and a restart",
    )


async def _fill(scene: Stage, load: Load) -> int:
    """Publish big triggers until four in a row were not acknowledged; how many were not."""
    unanswered = in_a_row = 0
    body = b'{"specversion":"1.0","id":"%d","source":"/t","type":"kronik.run.triggered.v1",' \
           b'"time":"2026-01-01T00:00:00Z","data":{"params":{}},"padding":"' + b"x" * 20_000 + b'"}'  # fmt: skip
    number = 0
    while in_a_row < 4:
        number += 1
        try:
            answer = await load.connection.jetstream(timeout=1).publish("jobs.trigger.NOOP.crm", body % number)
        except (NatsError, JetStreamError, TimeoutError):
            unanswered, in_a_row = unanswered + 1, in_a_row + 1
        else:
            load.acknowledged.append(answer.seq)
            in_a_row = 0
        assert number < 10_000, "this disk does not get full"
    return unanswered


async def test_a_full_disk_acknowledges_nothing_falsely() -> None:
    if (reason := why_not()) is not None:
        assert "KRONIK_REQUIRE_FAULTS" not in os.environ, f"no disk of our own: {reason}"
        pytest.skip(f"no disk of our own: {reason}")
    await full_disk()
