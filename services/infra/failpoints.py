"""Places where a test may stop the process, by name: KRONIK_FAILPOINT=after_claim, or after_claim:3 for the third time.

One comparison where nothing is set. The process ends as by kill -9, without any cleaning up, or, with
`after_claim:3:freeze`, stands still as by SIGSTOP until somebody sends it SIGCONT.
"""

import os
import signal

_name, _, _rest = os.environ.get("KRONIK_FAILPOINT", "").partition(":")
_count, _, _action = _rest.partition(":")
_left = int(_count or 1)


def failpoint(name: str) -> None:
    """End or freeze the process here if this is the named failpoint's turn."""
    global _left
    if name != _name:
        return
    _left -= 1
    if _left != 0:
        return
    if _action == "freeze":
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        os._exit(137)
