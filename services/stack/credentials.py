"""The secrets and the ports of one installation: chosen at the first start, kept, and reused."""

from msgspec import Struct
from msgspec.structs import replace

from services.log.accounts import USERS, new_password
from services.stack import port, state
from services.stack.state import StateDirectory


class Secrets(Struct, frozen=True, kw_only=True):
    """nats: the password of each user. postgres: of the superuser. token: of the admin, once there is one."""

    nats: dict[str, str] = {}
    postgres: str
    token: str | None = None


class Ports(Struct, frozen=True, kw_only=True):
    """Of the embedded servers and the sandbox; api: of the last start that was asked to pick one."""

    nats: int = 0
    postgres: int = 0
    sandbox: int = 0
    api: int = 0


def load_secrets(directory: StateDirectory) -> Secrets:
    """The kept ones; what is missing is made and kept. Raises StateUnusable."""
    kept = state.read(directory.secrets, Secrets) or Secrets(postgres=new_password())
    missing = {name: new_password() for name in USERS if name not in kept.nats}
    complete = replace(kept, nats={**kept.nats, **missing})
    state.write(directory.secrets, complete)
    return complete


def keep_token(directory: StateDirectory, known: Secrets, token: str) -> None:
    state.write(directory.secrets, replace(known, token=token))


def load_ports(directory: StateDirectory) -> Ports:
    """Each as at the last start, so that addresses stay, or a free one where it is taken now."""
    kept = state.read(directory.ports, Ports) or Ports()
    chosen: dict[str, int] = {}
    for name in Ports.__struct_fields__:
        last = getattr(kept, name)
        chosen[name] = last if last and port.is_free(last) else port.find_free(avoid=chosen.values())
    ports = Ports(**chosen)
    state.write(directory.ports, ports)
    return ports
