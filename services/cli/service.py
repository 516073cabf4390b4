"""`kronik api`, `kronik scheduler`, `kronik runner`: one service alone, in this process.

The runner also finds job modules in the working directory, behind everything that is installed.
"""

import os
import sys
from importlib import import_module

NAMES = ("api", "scheduler", "runner")


def start(name: str) -> None:
    """Run the service until it is told to stop; it ends the process with its own exit status."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    sys.argv = [f"kronik {name}"]
    _load("structlog", without="rich")
    if name == "runner":
        _load("faststream.nats", without="uvicorn")
    import_module(f"services.{name}.__main__").main()


def _load(module: str, without: str) -> None:
    """Load a library without another one that it takes where it is there, for what no service uses: Rich's tracebacks,
    FastStream's HTTP server, some MiB of every process. A job that uses those finds them as ever."""
    if without not in sys.modules:
        sys.modules[without] = None  # type: ignore[assignment]
        import_module(module)
        del sys.modules[without]


if __name__ == "__main__":
    start(sys.argv[1])
