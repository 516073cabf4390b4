"""`make bench`: every figure that the documents quote, on this machine. `--quick` is for trying the benchmarks out."""

import argparse
import asyncio
from pathlib import Path

from benchmarks import appending, history, isolation, machine, panel, reads, running, schedules, stack
from benchmarks.figures import markdown


async def measure(quick: bool) -> str:
    figures = await running.measure(runs=1_000 if quick else 10_000, latencies=50 if quick else 500)
    figures += await appending.measure(appends=2_000 if quick else 40_000, events=3_000 if quick else 300_000)
    figures += await schedules.measure(together=(100,) if quick else (1_000, 10_000))
    figures += await isolation.measure(runs=20 if quick else 200, kills=20 if quick else 200)
    figures += await history.measure(events=30_000 if quick else 1_000_000, requests=200 if quick else 2_000)
    figures += await reads.measure(runs=100_000 if quick else 5_000_000, requests=20 if quick else 200)
    figures += await panel.crowd(
        readers=10 if quick else 100, silent=20 if quick else 200, seconds=5 if quick else 30, rate=50
    )
    figures += await stack.measure(idle_s=5 if quick else 30)
    return "\n".join([*(f"- {line}" for line in machine.lines()), "", markdown(figures), ""])


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small amounts, for a try")
    parser.add_argument("--output", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    report = asyncio.run(measure(arguments.quick))
    print(report)
    if arguments.output:
        arguments.output.write_text(f"# Figures\n\nWritten by `make bench`.\n\n{report}")


if __name__ == "__main__":
    main()
