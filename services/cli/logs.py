"""`kronik logs`: what a job said in a run, through the HTTP API."""

import time
from typing import Any

from rich.text import Text

from services.cli import api, target, terminal
from services.cli.runs import RUNS
from services.infra.printable import one_line

_LOOK_EVERY_S = 1.0
_STYLES = {"error": "red", "critical": "red", "warning": "yellow", "debug": "dim"}


def logs_command(id: int, /, *, follow: bool = False, json: terminal.AsJson = False) -> int:
    """Show the newest thousand lines of a run's log; they are kept for two weeks.

    Parameters
    ----------
    id
        The run's, as `kronik history` lists them.
    follow
        Go on with what is said from now on, until the run has finished. With --json: a line of JSON each.
    """
    if follow:
        _follow(id, as_json=json)
        return 0
    with api.connect(target.find()) as calls:
        said = calls.get(f"{RUNS}/{id}/logs")
    if json:
        terminal.print_json(said)
    else:
        _print(said, said["lines"], as_json=False)
    return 0


def _follow(id: int, *, as_json: bool) -> None:
    """The first look may fail; after it every absence of the API is waited for."""
    with api.connect(target.find()) as calls:
        calls.get(f"{RUNS}/{id}")
    seen, over = 0, False
    while True:
        said = api.insist(lambda calls: calls.get(f"{RUNS}/{id}/logs"))
        total = said["leftOut"] + len(said["lines"])
        new = min(total - seen, len(said["lines"]))
        _print({**said, "leftOut": total - seen - new}, said["lines"][len(said["lines"]) - new :], as_json=as_json)
        seen = total
        if over:
            return
        over = api.insist(lambda calls: calls.get(f"{RUNS}/{id}"))["completedAt"] is not None
        if not over:
            time.sleep(_LOOK_EVERY_S)


def _print(said: dict[str, Any], lines: list[dict[str, Any]], *, as_json: bool) -> None:
    if said["leftOut"] > 0:
        terminal.say(f"{said['leftOut']} lines before these are left out")
    for line in lines:
        terminal.print_line(terminal.json_line(line) if as_json else _line(line))


def _line(line: dict[str, Any]) -> Text:
    fields = " ".join(f"{name}={value}" for name, value in line["fields"].items())
    return Text.assemble(
        (f"{terminal.instant(line['time'])} ", "dim"),
        (f"{line['level']:<8}", _STYLES.get(line["level"], "")),
        one_line(" ".join(filter(None, (line["event"], fields)))),
    )
