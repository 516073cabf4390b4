"""`kronik env`."""

import shlex

from services.cli import own_bus, target, terminal
from services.log.accounts import ADMINISTRATOR


def env_command(*, administrator: bool = False, json: terminal.AsJson = False) -> int:
    """Print where Kronik is, for a shell: eval "$(kronik env)".

    NATS_URL is what the NATS CLI and NATS clients connect to; KRONIK_URL and KRONIK_TOKEN are for HTTP.

    Parameters
    ----------
    administrator
        NATS_URL is for who may do everything, backups and purges too, in place of the operator's, who watches.
    """
    to = target.find()
    url, token = to.api()
    nats_url = own_bus.find().url(ADMINISTRATOR) if administrator else to.nats()
    if json:
        terminal.print_json({"natsUrl": nats_url, "url": url, "token": token})
        return 0
    for name, value in (("NATS_URL", nats_url), ("KRONIK_URL", url), ("KRONIK_TOKEN", token)):
        terminal.print_line(f"export {name}={shlex.quote(value)}")
    return 0
