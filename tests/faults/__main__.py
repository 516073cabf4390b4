"""`python -m tests.faults`: inflict every fault, check every promise, print the table of docs/reliability.md.

python -m tests.faults [--full] [--only NAME ...] [--rounds N] [--seed N]
python -m tests.faults --soak MINUTES [--seed N]
"""

import argparse
import asyncio
import importlib
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from benchmarks import machine
from services.infra import logs
from tests.faults.figures import SCENARIOS, Report, markdown
from tests.faults.nemesis import SOAKS

MODULES = (
    "test_runner_faults",
    "test_nats_faults",
    "test_batch_faults",
    "test_cluster_faults",
    "test_failpoints",
    "test_partitions",
    "test_load",
    "test_disk_full",
    "test_scheduler_faults",
    "test_clock",
    "test_reconciler_faults",
    "test_history_faults",
    "test_poison",
    "test_idempotency",
)
"""Where scenarios are. Another module's name here is all that its scenarios need to be played."""


def play(names: Iterable[str], *, full: bool, rounds: int | None, seed: int | None) -> tuple[list[Report], list[str]]:
    """One after another. The reports of those that held, the names of those that did not."""
    held, failed = [], []
    for name in names:
        chosen = (SCENARIOS | SOAKS)[name]
        count = rounds or (chosen.full if full else chosen.few)
        say(f"{name}: {chosen.fault} ({count}) …")
        try:
            held.append(asyncio.run(chosen(count, seed)))
        except Exception:
            traceback.print_exc()
            failed.append(name)
        else:
            say(markdown(held[-1:]).splitlines()[-1])
    return held, failed


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def table(held: Iterable[Report], failed: Iterable[str]) -> str:
    parts = [*(f"- {line}" for line in machine.lines()), "", markdown(held), ""]
    return "\n".join([*parts, *(f"- **broken: {name}**" for name in failed)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--full", action="store_true", help="as often as the reliability figures say")
    parser.add_argument("--only", action="append", metavar="NAME", help="a scenario; may be repeated")
    parser.add_argument("--rounds", type=int, help="instead of the scenario's own count")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="the nemesis instead of the scenarios")
    parser.add_argument("--output", type=Path, help="write the table to this file too")
    arguments = parser.parse_args()
    logs.configure("faults", level="error")
    for module in MODULES:
        importlib.import_module(f"tests.faults.{module}")
    names = arguments.only or list(SCENARIOS)
    if unknown := set(names) - set(SCENARIOS) - set(SOAKS):
        parser.error(f"no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    if arguments.soak:
        names, arguments.rounds = list(SOAKS), max(1, round(arguments.soak * 60 / len(SOAKS)))
    held, failed = play(names, full=arguments.full, rounds=arguments.rounds, seed=arguments.seed)
    text = table(held, failed)
    sys.stdout.write(f"{text}\n")
    if arguments.output:
        arguments.output.write_text(text)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
