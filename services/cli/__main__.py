"""The command `kronik`.

Exit status: 0 done; 1 the answer is no: a run failed, differences were found, something can't be done in
the present state or could not be started; 2 what was asked makes no sense or is not allowed; 3 there is nothing
running to ask.
"""

import os
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version

from cyclopts import App, CycloptsError, Group, Parameter, UnusedCliTokensError
from kronik import KronikError
from kronik.errors import InvalidName
from msgspec import Struct

from services.cli import service

DONE, NO, USAGE, NOT_RUNNING = 0, 1, 2, 3


class Command(Struct, frozen=True):
    """place: module and function in services.cli; None for a service alone, which is named as the command is."""

    group: str
    help: str
    place: str | None = None


_RUN, _USE, _CARE = "Run it", "Use it", "Look after it"

COMMANDS = {
    "up": Command(_RUN, "Start everything on this machine, until Ctrl-C.", "up:up_command"),
    "api": Command(_RUN, "Start the API and the panel alone."),
    "scheduler": Command(_RUN, "Start a scheduler alone."),
    "runner": Command(_RUN, "Start a runner alone."),
    "provision": Command(_RUN, "Make or update the streams on NATS.", "setup:provision_command"),
    "migrate": Command(_RUN, "Make or update the tables in Postgres.", "setup:migrate_command"),
    "trigger": Command(_USE, "Ask for a run of a job.", "runs:trigger_command"),
    "rerun": Command(_USE, "Run a finished run's job again.", "runs:rerun_command"),
    "cancel": Command(_USE, "Ask for a run to stop.", "runs:cancel_command"),
    "logs": Command(_USE, "Show what a job said in a run.", "logs:logs_command"),
    "history": Command(_USE, "List the newest runs.", "history:history_command"),
    "show": Command(_USE, "Show one run's events as a timeline.", "show:show_command"),
    "tail": Command(_USE, "Show events as they happen.", "tail:tail_command"),
    "jobs": Command(_USE, "List the jobs and when they run next.", "jobs:jobs_command"),
    "pause": Command(_USE, "Keep a job's slots from starting runs.", "schedule:pause_command"),
    "resume": Command(_USE, "Let a paused job's slots start runs again.", "schedule:resume_command"),
    "schedule": Command(_USE, "Change when a job runs by itself.", "schedule:schedule_command"),
    "retire": Command(_USE, "Take a job out of use.", "schedule:retire_command"),
    "empty-queue": Command(_USE, "Cancel every run of a job that waits.", "bulk:empty_queue_command"),
    "bulk": Command(_USE, "Run again or cancel all that a filter selects.", "bulk:bulk_command"),
    "export": Command(_USE, "Write what a filter selects as CSV or JSON Lines.", "export:export_command"),
    "slots": Command(_USE, "List the slots that did not become a run, and why.", "ledger:slots_command"),
    "signin": Command(_USE, "Print a new link to sign in to the panel with.", "access:signin_command"),
    "token": Command(_USE, "Print a new API token, list or revoke them.", "access:token_command"),
    "completion": Command(_USE, "Print a completion script for a shell.", "completion:completion_command"),
    "service": Command(
        _USE, "Let another service ask for runs: add, list, rotate, remove.", "other_services:service_command"
    ),
    "env": Command(_USE, "Print where Kronik is, for a shell.", "env:env_command"),
    "rebuild": Command(_CARE, "Build the history anew from the events.", "replay:rebuild_command"),
    "verify": Command(_CARE, "Compare the history with the events.", "replay:verify_command"),
    "parked": Command(_CARE, "List the messages that can't be read, and why.", "ledger:parked_command"),
    "nats-config": Command(
        _CARE, "Write the users of a NATS cluster's configuration.", "nats_config:nats_config_command"
    ),
    "schemas": Command(_CARE, "Write the JSON Schemas of all events.", "schemas:schemas_command"),
}


def create_app(asked: str | None = None) -> App:
    """Commands are loaded when they are called: `kronik --help` needs none of their libraries.

    asked: the command that will be; it tells all about itself.
    """
    app = App(
        name="kronik",
        help="An event-sourced job service on NATS JetStream.",
        help_epilogue=_exit_status(),
        version=lambda: version("kronik-services"),
        default_parameter=Parameter(negative=""),
    )
    groups = {name: Group.create_ordered(name) for name in (_RUN, _USE, _CARE)}
    for name, command in COMMANDS.items():
        place = _alone(name) if command.place is None else f"services.cli.{command.place}"
        help = None if name == asked and command.place else command.help
        app.command(place, name=name, group=groups[command.group], help=help)
    return app


def _alone(name: str) -> Callable[[], None]:
    """Settings are in the environment: KRONIK_NATS_URL, KRONIK_DATABASE_URL and the others of services.infra."""
    return lambda: service.start(name)


def _exit_status() -> str:
    return (__doc__ or "").partition("\n\n")[2].strip()


def main() -> None:
    """Run the command in sys.argv and exit with its status; what goes wrong is one clear line on stderr."""
    _open_what_is_closed()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit status."""
    try:
        _check_text(arguments)
        app = create_app(asked=next(iter(arguments), None))
        status = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except UnusedCliTokensError as error:
        hint = "; put the cron expression in quotes" if arguments[0] == "schedule" else ""
        return _complain(f"not understood: {' '.join(error.unused_tokens or ())[:200]}{hint}", USAGE)
    except CycloptsError as error:
        return _complain(f"{error} (kronik --help, kronik COMMAND --help)", USAGE)
    except KronikError as error:
        return _complain(str(error), _status_of(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _hung_up()
    except OSError as error:
        if arguments[0] in service.NAMES:
            raise  # what a service trips over is its log's
        return _cannot_write(error)
    return status if isinstance(status, int) else DONE


def _check_text(arguments: list[str]) -> None:
    """What is not UTF-8 reaches us as surrogates, which neither JSON nor a URL nor Postgres takes. Raises BadUsage."""
    from services.cli.usage import BadUsage

    for each in arguments:
        typed = each.encode(errors="surrogateescape")
        if typed.decode(errors="replace") != each:
            raise BadUsage(f"{typed.decode(errors='backslashreplace')}: expected UTF-8")


def _status_of(error: KronikError) -> int:
    from services.cli.api import Refused, Unreachable
    from services.cli.target import NotRunning
    from services.cli.usage import BadUsage
    from services.infra.settings import InvalidSettings
    from services.log.append import LogUnavailable
    from services.stack.bus import NoSuchService
    from services.stack.entrance import NoSuchAccount
    from services.stack.reach import NatsUnreachable

    match error:
        case NotRunning() | Unreachable() | NatsUnreachable() | LogUnavailable():
            return NOT_RUNNING
        case Refused(conflict=True):
            return NO
        case Refused() | BadUsage() | NoSuchAccount() | NoSuchService() | InvalidName() | InvalidSettings():
            return USAGE
        case _:
            return NO


def _hung_up() -> int:
    """`kronik history | head` ends without a word. Not by SIGPIPE, which a lost connection raises as well: what runs
    for long, services above all, must not die of a client that closes early."""
    _drop_output()
    return 128 + signal.SIGPIPE


def _cannot_write(error: OSError) -> int:
    """A disk that is full, a directory that can't be made."""
    _drop_output()
    return _complain(f"{error.filename or 'the output'}: {error.strerror or error}", NO)


def _drop_output() -> None:
    """What is left of it would be tried once more at the end of the process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_what_is_closed() -> None:
    """`kronik history >&-`: Python has no stdout then, and the next file that is opened would be it."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            setattr(sys, name, open(number, "w", closefd=False))  # noqa: SIM115  as long as the process


def _complain(text: str, status: int) -> int:
    from services.cli import terminal

    terminal.say(f"kronik: {text}")
    return status


if __name__ == "__main__":
    main()
