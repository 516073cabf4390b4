"""A nats-server whose stream lies on a disk of its own, a few megabytes big, without being root: see test_disk_full.

Run as `unshare --user --map-root-user --mount python small_disk.py CONFIG STORE MEGABYTES BALLAST`, it mounts a tmpfs
that nobody else sees, puts ballast of so many megabytes on it, and obeys lines on its input: start,
stop, free (the ballast is taken away). It ends, and the server with it, when its input does. Standard library only.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path


def _die_with_me() -> None:
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)


def main() -> None:
    binary, config, store, megabytes, ballast = sys.argv[1:]
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", store], check=True)
    weight = Path(store) / "ballast"
    weight.write_bytes(b"\0" * (int(ballast) << 20))
    server: subprocess.Popen[bytes] | None = None
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        match line.strip():
            case "start":
                server = subprocess.Popen([binary, "--config", config], preexec_fn=_die_with_me)
            case "stop" if server is not None:
                server.kill()
                server.wait()
            case "free":
                weight.unlink()
        sys.stdout.write(f"{line.strip()} done\n")
        sys.stdout.flush()
    if server is not None:
        server.kill()
    os._exit(0)


if __name__ == "__main__":
    main()
