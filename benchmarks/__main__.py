"""`make bench`: every figure that the documents quote, on this machine. `--quick` is for trying the benchmarks out.

make bench                        half an hour
make bench PEERS=1                other job libraries beside Kronik too
make bench ARGS="--long"          five million events too: a quarter of an hour more
make bench ARGS="--only running"  one part, or some
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks import appending, history, isolation, machine, panel, peers, reads, running, schedules, stack, starts
from benchmarks.figures import Figure, markdown

Part = Callable[[], Awaitable[list[Figure]]]


def parts(quick: bool) -> dict[str, Part]:
    """In the order of the report."""
    return {
        "running": lambda: running.measure(runs=1_000 if quick else 10_000, latencies=50 if quick else 500),
        "peers": lambda: asyncio.to_thread(peers.measure, jobs=2_000 if quick else 50_000),
        "appending": lambda: appending.measure(appends=2_000 if quick else 40_000, events=3_000 if quick else 300_000),
        "schedules": lambda: schedules.measure(together=(100,) if quick else (1_000, 10_000)),
        "isolation": lambda: isolation.measure(runs=20 if quick else 200, kills=20 if quick else 200),
        "history": lambda: history.measure(events=30_000 if quick else 1_000_000, requests=200 if quick else 2_000),
        "reads": lambda: reads.measure(runs=100_000 if quick else 5_000_000, requests=20 if quick else 200),
        "panel": lambda: panel.crowd(
            readers=10 if quick else 100, silent=20 if quick else 200, seconds=5 if quick else 30, rate=50
        ),
        "long": lambda: starts.measure(events=60_000 if quick else 5_000_000, idle_s=5 if quick else 30),
        "stack": lambda: stack.measure(idle_s=5 if quick else 30),
    }


ASKED_FOR = ("peers", "long")
"""Those that are measured only where they are asked for."""


async def measure(chosen: dict[str, Part]) -> str:
    """Each part is printed as soon as it is measured: what fails later takes nothing back."""
    report = ["\n".join(f"- {line}" for line in machine.lines()) + "\n"]
    print(report[0])
    for part in chosen.values():
        report.append(markdown(await part()) + "\n")
        print(report[-1], flush=True)
    return "\n".join(report)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small amounts, for a try")
    parser.add_argument("--only", nargs="+", choices=parts(quick=True), metavar="PART", help=", ".join(parts(True)))
    parser.add_argument("--peers", action="store_true", help="other job libraries too, in an environment of their own")
    parser.add_argument("--long", action="store_true", help="a stream of five million events too")
    parser.add_argument("--output", type=Path, help="write the figures to this file too")
    given = parser.parse_args()
    wanted = set(given.only or parts(given.quick)) - (set() if given.only else set(ASKED_FOR))
    wanted |= {name for name in ASKED_FOR if getattr(given, name)}
    report = asyncio.run(measure({name: part for name, part in parts(given.quick).items() if name in wanted}))
    if given.output:
        given.output.write_text(f"# Figures\n\nWritten by `make bench`.\n\n{report}")


if __name__ == "__main__":
    main()
