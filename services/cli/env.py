"""`kronik env`."""

import shlex

from services.cli import target, terminal


def env_command() -> int:
    """Print where Kronik is, for a shell: eval "$(kronik env)".

    NATS_URL is what the NATS CLI and NATS clients connect to; KRONIK_URL and KRONIK_TOKEN are for HTTP.
    """
    to = target.find()
    url, token = to.api()
    for name, value in (("NATS_URL", to.nats()), ("KRONIK_URL", url), ("KRONIK_TOKEN", token)):
        terminal.print_line(f"export {name}={shlex.quote(value)}")
    return 0
