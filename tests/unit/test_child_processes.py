"""The programs that the sidecar runs end with it."""

import signal
import subprocess
import sys

from sidecar import child_processes

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]


def test_one_that_is_not_told_yet_ends_too_and_what_leads_no_group_of_its_own_stays() -> None:
    """A signal may come between the start of a plugin and the moment that its group is known."""
    with subprocess.Popen(SLEEPS, start_new_session=True) as plugin, subprocess.Popen(SLEEPS) as other:
        try:
            child_processes.end_at_once()
            assert plugin.wait(30) == -signal.SIGKILL
            assert other.poll() is None
        finally:
            plugin.kill()
            other.kill()
