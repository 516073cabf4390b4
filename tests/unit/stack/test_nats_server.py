"""The configuration of the embedded server."""

import subprocess
from pathlib import Path

from services.stack import nats_server


def test_the_state_may_be_kept_below_any_name(tmp_path: Path) -> None:
    place = tmp_path / 'a "b" c\'d $e {f} #g \\h æ 漢'
    place.mkdir()
    file = place / "nats.conf"
    file.write_text(nats_server.config(port=4222, store=place / "nats"))
    checked = subprocess.run([nats_server.binary(), "-t", "-c", file], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
