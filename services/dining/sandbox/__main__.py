"""`python -m services.dining.sandbox --port 8090`: a Heynabo for development and tests."""

import socket
import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from typing import get_args

from services.dining.sandbox.app import Options, Sandbox
from services.dining.sandbox.community import HOUSEHOLDS, community
from services.dining.sandbox.faults import Fault, Mode
from services.dining.sandbox.server import Server


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    given = _parser().parse_args()
    options = Options(
        community=community(given.seed, given.households),
        email=given.email,
        password=given.password,
        fault=Fault(given.fault),
        slow_s=given.slow_s,
    )
    with socket.create_server((given.host, given.port)) as listener:
        sys.stdout.write(f"Heynabo sandbox: http://{given.host}:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        Server(listener, Sandbox(options).respond).serve_forever(poll_interval=3600)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="sandbox",
        description="Serve a made-up community over Heynabo's API.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--port",
        type=int,
        default=8090,
        help="where to listen; 0 picks a free one. The address is the first line of the output",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--seed", type=int, default=7, help="which community. The same seed is the same people")
    parser.add_argument(
        "--households",
        type=int,
        default=HOUSEHOLDS,
        help="how many; the first ones of a larger community are those of a smaller",
    )
    parser.add_argument("--email", default="sandbox@example.org", help="what a client signs in with")
    parser.add_argument("--password", default="sandbox", help="what a client signs in with")
    parser.add_argument(
        "--fault",
        choices=get_args(Mode),
        default="none",
        help='to begin with; change it with POST /sandbox/faults {"mode": ..., "times": ...}',
    )
    parser.add_argument("--slow-s", type=float, default=3.0, help='how late answers are in the mode "slow", in seconds')
    return parser


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
