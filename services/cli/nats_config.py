"""`kronik nats-config`: Kronik's users and their permissions, for the configuration of NATS servers."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from msgspec import Meta, Struct

from services.cli import terminal
from services.infra import settings
from services.log import accounts as nats_users
from services.stack import state

Password = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._~-]+$")]
"""What stands in an address (nats://user:password@host) and in a server's configuration as it is."""


class Passwords(Struct, frozen=True, kw_only=True):
    """One for each of nats_users.PERMISSIONS, and the one of the system account."""

    nats_provisioner_password: Password
    nats_api_password: Password
    nats_scheduler_password: Password
    nats_runner_password: Password
    nats_operator_password: Password
    nats_system_password: Password

    def of_users(self) -> dict[str, str]:
        users = (*nats_users.PERMISSIONS, nats_users.SYSTEM)
        return {user: getattr(self, f"nats_{user}_password") for user in users}


def nats_config_command(*, output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None) -> int:
    """Write the `accounts` block that NATS servers include: Kronik's users and what each may do.

    Passwords are taken from KRONIK_NATS_<USER>_PASSWORD; users: provisioner, api, scheduler, runner, operator, system.

    Parameters
    ----------
    output
        A file, made readable by its owner alone; without it the block goes to stdout.
    """
    text = nats_users.accounts(settings.read(Passwords).of_users())
    if output is None:
        terminal.print_line(text.rstrip())
    else:
        _write(output, text)
    return 0


def _write(path: Path, text: str) -> None:
    """Raises StateUnusable."""
    try:
        with open(path, "w", opener=lambda name, flags: os.open(name, flags, mode=0o600)) as file:
            file.write(text)
    except OSError as error:
        raise state.StateUnusable(f"{path} can't be written: {error.strerror}") from error
