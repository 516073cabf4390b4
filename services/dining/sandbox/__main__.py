"""`python -m services.dining.sandbox --port 8090`: a Heynabo for development and tests."""

import socket
import sys

import uvicorn
from cyclopts import App

from services.dining.sandbox.app import Options, create_app
from services.dining.sandbox.community import HOUSEHOLDS, community
from services.dining.sandbox.faults import Fault, Mode

cli = App(name="sandbox", help="Serve a made-up community over Heynabo's API.", version_flags=[])


@cli.default
def serve(
    *,
    port: int = 8090,
    host: str = "127.0.0.1",
    seed: int = 7,
    households: int = HOUSEHOLDS,
    email: str = "sandbox@example.org",
    password: str = "sandbox",
    fault: Mode = "none",
    slow_s: float = 3.0,
) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Parameters
    ----------
    port: where to listen; 0 picks a free one. The address is the first line of the output.
    seed: which community. The same seed is the same people.
    households: how many; the first ones of a larger community are those of a smaller.
    email: what a client signs in with.
    password: what a client signs in with.
    fault: a fault to begin with; change it with POST /sandbox/faults {"mode": ..., "times": ...}.
    slow_s: how late answers are in the mode "slow", in seconds.
    """
    options = Options(
        community=community(seed, households), email=email, password=password, fault=Fault(fault), slow_s=slow_s
    )
    with socket.create_server((host, port)) as listener:
        sys.stdout.write(f"Heynabo sandbox: http://{host}:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        # A request that is being slow on purpose must not hold up a SIGTERM.
        config = uvicorn.Config(create_app(options), log_level="warning", timeout_graceful_shutdown=0)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    cli()
