"""`command_job`: a command as a job, for those who don't write Python.

    backup = command_job("BACKUP", ["pg_dump", "--file", "/backup/all.sql"], schedule=Cron("0 3 * * *"))

The command is given the run's params as one JSON object on its standard input, and in its environment:
KRONIK_PARAMS (the same JSON, where it has 100,000 bytes at most), KRONIK_PARAM_<NAME> for each (text as it is, anything
else as JSON), KRONIK_RUN_ID, KRONIK_TOKEN, KRONIK_ATTEMPT, KRONIK_JOB_TYPE, KRONIK_TRIGGERED_BY, KRONIK_NOW and, for
a slot, KRONIK_SCHEDULED_FOR, and KRONIK_CORRELATION_ID where there is one. Each line it writes to stdout or stderr is
a line of the run's log. Where its last line on stdout is a JSON object, that is the result. Exit status 0 is success,
every other one a failure that is tried again.
At a cancel or a timeout it is sent SIGTERM, and after the grace it is killed with everything that it started.
"""

import os
import re
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, cast

import msgspec

from kronik.context import RunContext
from kronik.errors import CommandFailed, InvalidJob, PermanentError
from kronik.job import NoParams, Params, job

_LOOK_EVERY_S = 0.1
_LINGER_S = 0.5
"""How long the output of a command that has ended is still read: a child of its may hold it open for ever."""
_LINE_LIMIT = 1024 * 1024
"""Bytes of a line: a result that is too large is then told as one, and is no line of the log that was cut."""
_ENVIRONMENT_LIMIT = 100_000
_CHUNK = 64 * 1024
_OURS_ALONE = ("KRONIK_NATS_",)
"""Beginnings of variables with the runner's own credentials, which a command has no use for."""

Result = dict[str, Any] | None


def command_job(
    job_type: str,
    argv: Sequence[str],
    *,
    params: type[Params] | Mapping[str, Any] = NoParams,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    **options: Any,
) -> Callable[[RunContext, Any], Result]:
    """Declare a command as a job; keep what it returns in a variable of the module.

    argv: the program and its arguments; no shell reads them. params: a subclass of Params, or names with their types
    (`{"month": str}`) or types and defaults (`{"full": (bool, False)}`). env: added to the runner's own environment.
    options: what `@job` takes, `isolation="process"` unless you say otherwise. Raises InvalidJob.
    """
    if isinstance(argv, str) or not argv or not all(isinstance(word, str) for word in argv):
        raise InvalidJob(f"{job_type}: the command must be a list of texts, the program first, got {argv!r}")
    words = tuple(argv)

    def perform(run: RunContext, given: Any) -> Result:
        return _Command(run, words).perform(
            msgspec.json.encode(given), {**_environment(run, given), **(env or {})}, cwd
        )

    perform.__doc__ = f"Runs `{' '.join(words)}`."
    perform.__name__ = perform.__qualname__ = job_type.lower()
    kind = params if isinstance(params, type) else _params_type(job_type, params)
    perform.__annotations__ = {"run": RunContext, "given": kind, "return": Result}
    return job(job_type, **{"isolation": "process", **options})(perform)


def _params_type(job_type: str, fields: Mapping[str, Any]) -> type[Params]:
    declared = [(name, *kind) if isinstance(kind, tuple) else (name, kind) for name, kind in fields.items()]
    try:
        made = msgspec.defstruct(
            f"{job_type.title().replace('_', '')}Params",
            declared,
            bases=(Params,),
            frozen=True,
            kw_only=True,
            rename={name: name for name in fields},
        )
    except (TypeError, ValueError) as error:
        raise InvalidJob(f"{job_type}: params: {error}") from error
    return cast(type[Params], made)


def _environment(run: RunContext, given: Params) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS_ALONE)}
    told = {
        "RUN_ID": str(run.id),
        "TOKEN": str(run.token),
        "ATTEMPT": str(run.attempt),
        "JOB_TYPE": run.job_type,
        "TRIGGERED_BY": run.triggered_by,
        "NOW": run.now.isoformat(),
    }
    if run.scheduled_for is not None:
        told["SCHEDULED_FOR"] = run.scheduled_for.isoformat()
    if run.correlation_id is not None:
        told["CORRELATION_ID"] = run.correlation_id
    if run.traceparent is not None:
        told["TRACEPARENT"] = run.traceparent
    encoded = msgspec.json.encode(given).decode()
    if len(encoded) <= _ENVIRONMENT_LIMIT:
        told["PARAMS"] = encoded
        for name, value in msgspec.json.decode(encoded).items():
            text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            told[f"PARAM_{re.sub('[^A-Z0-9]', '_', _snake(name).upper())}"] = text
    return {**inherited, **{f"KRONIK_{name}": value.replace("\0", "\ufffd") for name, value in told.items()}}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)


class _Command:
    """One command at work: fed, listened to, and told to stop where its run is."""

    def __init__(self, run: RunContext, argv: tuple[str, ...]) -> None:
        self._run = run
        self._argv = argv
        self._selector = selectors.DefaultSelector()
        self._pieces = {"stdout": b"", "stderr": b""}
        self._last_words = ""
        self._last_line: str | None = None

    def perform(self, stdin: bytes, env: Mapping[str, str], cwd: str | None) -> Result:
        try:
            process = subprocess.Popen(
                self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=cwd
            )
        except (FileNotFoundError, PermissionError, NotADirectoryError, ValueError) as error:
            raise PermanentError(f"the command can't be started: {error}") from error
        self._attend(process, stdin)
        return self._outcome(process.wait())

    def _attend(self, process: subprocess.Popen[bytes], stdin: bytes) -> None:
        left = memoryview(stdin)
        for pipe, events, name in (
            (process.stdin, selectors.EVENT_WRITE, "stdin"),
            (process.stdout, selectors.EVENT_READ, "stdout"),
            (process.stderr, selectors.EVENT_READ, "stderr"),
        ):
            os.set_blocking(cast(IO[bytes], pipe).fileno(), False)
            self._selector.register(cast(IO[bytes], pipe), events, name)
        told, until_s = False, float("inf")
        while time.monotonic() < until_s and (self._listening() or process.poll() is None):
            if self._run.cancelled and not told:
                told = True
                process.terminate()
            for key, _ in self._selector.select(_LOOK_EVERY_S):
                pipe = cast(IO[bytes], key.fileobj)
                if key.data == "stdin":
                    left = self._feed(pipe, left)
                else:
                    self._listen(pipe, key.data)
            if process.poll() is not None and until_s == float("inf"):
                until_s = time.monotonic() + _LINGER_S
        for name in self._pieces:
            self._heard(name, b"\n" if self._pieces[name] else b"")
        self._close()

    def _listening(self) -> bool:
        return any(key.data != "stdin" for key in self._selector.get_map().values())

    def _feed(self, pipe: IO[bytes], left: memoryview) -> memoryview:
        try:
            left = left[os.write(pipe.fileno(), left[:_CHUNK]) :]
        except BlockingIOError:
            return left
        except OSError:
            left = left[:0]  # it does not want to know
        if not left:
            self._selector.unregister(pipe)
            pipe.close()
        return left

    def _listen(self, pipe: IO[bytes], name: str) -> None:
        try:
            data = os.read(pipe.fileno(), _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(pipe)
            pipe.close()
        self._heard(name, data)

    def _heard(self, name: str, data: bytes) -> None:
        *lines, rest = (self._pieces[name] + data).split(b"\n")
        self._pieces[name] = rest[:_LINE_LIMIT]
        for line in lines:
            text = line[:_LINE_LIMIT].decode(errors="replace").rstrip("\r")
            if text:
                self._say(name, text)

    def _say(self, name: str, text: str) -> None:
        """The newest line of stdout waits for the next one: the last may be the result."""
        if name == "stderr":
            self._last_words = text
            self._run.log.warning(text, stream="stderr")
            return
        before, self._last_line = self._last_line, text
        if before is not None:
            self._run.log.info(before, stream="stdout")

    def _outcome(self, status: int) -> Result:
        result = _as_result(self._last_line) if status == 0 and self._last_line else None
        if result is None and self._last_line is not None:
            self._run.log.info(self._last_line, stream="stdout")
        if status == 0:
            return result
        how = f"ended with exit status {status}" if status > 0 else f"was killed by signal {-status}"
        said = self._last_words or self._last_line
        raise CommandFailed(f"{self._argv[0]} {how}{': ' + said if said else ''}")

    def _close(self) -> None:
        for key in list(self._selector.get_map().values()):
            cast(IO[bytes], key.fileobj).close()
        self._selector.close()


def _as_result(line: str) -> Result:
    try:
        decoded = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return None
    return decoded if isinstance(decoded, dict) else None
