"""`make bench PEERS=1`: other job libraries beside Kronik, on this machine, with the same job that does nothing and on
servers as durable as `kronik up` starts them. Their packages stay in an environment of their own (peers.txt)."""

import subprocess
import venv
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, rate
from tests import servers

_HERE: Final = Path(__file__).parent
_PINNED: Final = _HERE / "peers.txt"
_ENVIRONMENT: Final = _HERE.parent / "build" / "peers"
_PEERS: Final = (
    ("procrastinate", 50, 20, "Postgres, concurrency 50"),
    ("taskiq-nats", 500, 2, "NATS, 500 at a time; it keeps no history"),
    ("pgqueuer", 100, 1, "Postgres, batches of 100"),
    ("pgqueuer", 500, 1, "Postgres, batches of 500"),
)
"""Each with how many it may do at a time, and by how much fewer jobs its figure is made of."""


def measure(*, jobs: int) -> list[Figure]:
    """Runs per second of each peer's worker, one process."""
    _install()
    with servers.nats() as nats, servers.postgres(durable=True) as postgres:
        return [
            _measured(name, at_once, jobs // fewer, how, nats.url if "nats" in name else postgres.create_database())
            for name, at_once, fewer, how in _PEERS
        ]


def _install() -> None:
    """Once for each state of the pins."""
    installed = _ENVIRONMENT / "installed.txt"
    if installed.exists() and installed.read_text() == _PINNED.read_text():
        return
    venv.create(_ENVIRONMENT, clear=True, with_pip=True)
    pip = [str(_ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", str(_PINNED)], check=True)
    installed.write_text(_PINNED.read_text())


def _measured(name: str, at_once: int, jobs: int, how: str, url: str) -> Figure:
    argv = [str(_ENVIRONMENT / "bin" / "python"), str(_HERE / "peer.py"), name, url, str(jobs), str(at_once)]
    answer = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, timeout=600)
    return rate(f"{name} {_version(name)}", jobs, float(answer.stdout), "runs", f"{how}, enqueued beforehand")


def _version(name: str) -> str:
    return next(line.partition("==")[2] for line in _PINNED.read_text().splitlines() if line.startswith(f"{name}=="))


if __name__ == "__main__":
    from benchmarks.figures import markdown

    print(markdown(measure(jobs=20_000)))
