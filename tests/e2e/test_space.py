"""Nothing of a node outlives its run, however that ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.binaries.build import BinariesUnavailableError, ensure
from tests.e2e.cluster import until
from tests.e2e.packages import obstacle
from tests.e2e.space import CGROUPS, Space, children, started, sweep

_RUN = """
import sys, time
from pathlib import Path
from tests.e2e.space import Space
space = Space(Path(sys.argv[1])).open()
space.start("sleeper", "sleep", "600")
print(space.name, space.folder, space.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def pause() -> Path:
    """The first process of a space; skipped where there can be none."""
    if reason := obstacle():
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    try:
        return ensure("pause")["pause"]
    except BinariesUnavailableError as error:
        pytest.skip(str(error))


def _traces(name: str) -> list[Path]:
    return [*CGROUPS.glob(name), *CGROUPS.glob(f"*/{name}")]


def _state(pid: int) -> str:
    """As /proc has it: S sleeps, T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


def test_what_runs_in_a_space_ends_with_it(pause: Path) -> None:
    """With all that was started there, its folder, its cgroups; what is mounted in there is never seen outside."""
    space = Space(pause)
    try:
        space.open()
        space.start("sleeper", "sleep", "600")
        until("the sleeper sleeps", lambda: space.running("sleeper") and children(space._processes["sleeper"].pid))
        assert space.call("ls", "/var/lib") == ""
        assert "lo:" in space.call("cat", "/proc/net/dev")
        assert str(space.folder) not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        assert _traces(space.name)
    finally:
        space.close()
    assert not space.running("sleeper")
    assert not space.folder.exists()
    assert not _traces(space.name)


def test_what_stood_still_in_a_space_goes_on_and_ends_with_it(pause: Path) -> None:
    """With the nsenter around it, which stops when its child does."""
    space = Space(pause)
    try:
        space.open()
        space.start("sleeper", "sleep", "600")
        around = space._processes["sleeper"].pid
        until("the sleeper sleeps", lambda: space.running("sleeper") and children(around))
        space.pause("sleeper")
        until("both stand still", lambda: {_state(pid) for pid in (around, *children(around))} == {"T"})
        space.resume("sleeper")
        until("both go on", lambda: {_state(pid) for pid in (around, *children(around))} == {"S"})
    finally:
        space.close()
    assert not space.running("sleeper")
    assert not started(space.pid)


def test_a_run_that_is_killed_leaves_no_process_and_the_next_one_removes_the_rest(pause: Path) -> None:
    """By the notes of that run; a run that goes on is left alone."""
    going_on = Space(pause)
    run = subprocess.Popen([sys.executable, "-c", _RUN, str(pause)], stdout=subprocess.PIPE, text=True)
    try:
        going_on.open()
        assert run.stdout is not None
        name, folder, pid = run.stdout.readline().split()
        run.send_signal(signal.SIGKILL)
        until("its processes have ended", lambda: not started(int(pid)), limit_seconds=20)
        assert Path(folder).exists()
        sweep()
        assert not Path(folder).exists()
        assert not _traces(name)
        assert started(going_on.pid)
        assert going_on.folder.exists()
    finally:
        run.kill()
        run.communicate()
        going_on.close()
