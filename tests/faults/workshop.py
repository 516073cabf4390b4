"""What every stage of faults needs around it: logs that are kept where it fails, sockets that nobody closed."""

import gc
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def logs() -> Iterator[Path]:
    """A directory for logs, kept where the block fails."""
    directory = Path(tempfile.mkdtemp(prefix="kronik-faults-"))
    try:
        yield directory
    except BaseException as error:
        error.add_note(f"logs: {directory}")
        raise
    shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def forgotten_sockets() -> Iterator[None]:
    """nats-py leaves sockets behind when it connects to a server that does not answer; they are collected here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed <StreamWriter|unclosed transport|loop is closed", ResourceWarning)
        try:
            yield
        finally:
            gc.collect()
