"""What a service's process holds."""

import subprocess
import sys


def test_a_service_holds_no_library_for_nothing_and_its_jobs_find_them_all_the_same() -> None:
    code = """
import sys
from services.cli import service
service._load("structlog", without="rich")
print("rich" in sys.modules)
import rich.text
import services.infra.logs
print("rich.text" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
