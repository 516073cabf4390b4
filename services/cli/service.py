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
    import_module(f"services.{name}.__main__").main()


if __name__ == "__main__":
    start(sys.argv[1])
