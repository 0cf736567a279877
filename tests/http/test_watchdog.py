"""A loop that hangs ends the process, with exit code 1 and its place in the log; a process that is paused goes on afterwards.

All begin at once, since each takes longer than the watchdog's limit. The processes are real; what makes a loop hang is put into them.
"""

import json
import os
import shutil
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sidecar.election.requests import Candidate
from sidecar.runtime.status import stuck_seconds
from sidecar.watchdog import _Pauses
from tests.apiserver.sidecar_process import ROOT, Sidecar, ending, until

TIMES = {"LEADER_LEASE_DURATION": "6s", "LEADER_RENEW_DEADLINE": "4s", "LEADER_RETRY_PERIOD": "1s"}
LIMIT_SECONDS = 5.0
HANGS = """
import asyncio, ctypes, os, signal, time
def sleeps(*_): time.sleep(100)
def sleeps_with_the_gil(*_): ctypes.PyDLL(None).sleep(100)
def computes(*_):
    while True: pass
def the_election_alone(*_):
    from sidecar.runtime.runner import Elector
    async def never(*_): await asyncio.sleep(1000)
    Elector._sleep = never
if "HANG" in os.environ: signal.signal(signal.SIGUSR1, globals()[os.environ["HANG"]])
"""
KINDS = ("sleeps", "sleeps_with_the_gil", "computes", "the_election_alone")


@pytest.mark.parametrize(("renew_seconds", "limit_seconds"), [(0.7, 5), (4, 5), (10, 10), (2000, 60)])
def test_a_loop_may_be_late_by_the_renew_deadline(renew_seconds: float, limit_seconds: float) -> None:
    """By 5 s at least, by a minute at most."""
    assert stuck_seconds(Candidate("a", "i", "p", 15, renew_seconds, 0.1, 10)) == limit_seconds


@pytest.mark.parametrize(
    ("state", "used_ticks", "is_paused"),
    [("S", 0, False), ("R", 0, True), ("R", 1, False), ("D", 0, False), ("T", 0, True), ("t", 5, True)],
)
def test_a_tick_counts_unless_the_process_could_not_run(tmp_path: Path, state: str, used_ticks: int, is_paused: bool) -> None:  # noqa: FBT001
    """Stopped, traced, or ready to run and given no time: throttled, or on a machine that has none left."""
    stat = tmp_path / "stat"
    pauses = _Pauses(os.open(stat, os.O_RDONLY | os.O_CREAT))
    looks = []
    for used in (70, 70 + used_ticks):
        stat.write_text(f"7 (a) name) {state} 1 7 7 0 -1 4194560 100 0 0 0 {used} 30 0 0 20 0 3 0 100 1 1")
        looks.append(pauses.look())
    assert looks[-1] is is_paused


class Watched:
    """A sidecar on a local store that leads, and what makes its loop hang: SIGUSR1."""

    def __init__(self, folder: Path, hang: str = "sleeps", launcher: tuple[str, ...] = (), **more: str) -> None:
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(HANGS)
        settings = {"LEADER_STORE": f"local:{folder}/leases.db", "LEADER_LEASE_NAME": "web", "LEADER_LEASE_NAMESPACE": "dev", "HANG": hang}
        path = f"{folder}{os.pathsep}{ROOT}"
        self.sidecar = Sidecar("web-0", folder, settings | TIMES | more | {"PYTHONPATH": path}, uid=uuid.uuid4().hex, launcher=launcher)
        self.sidecar.start()
        self.hung_at = 0.0

    @property
    def pid(self) -> int:
        """The sidecar's own, whatever launched it."""
        return children(self.sidecar.pid)[0] if self.sidecar.launcher else self.sidecar.pid

    @property
    def watcher(self) -> int:
        """Its watcher's."""
        return children(self.pid)[0]

    def hang(self) -> None:
        """From now on its loop hangs."""
        until(self.sidecar.leads, within_seconds=20, message=self.sidecar.log)
        os.kill(self.pid, signal.SIGUSR1)
        self.hung_at = time.monotonic()

    def ends(self) -> tuple[int, float]:
        """Its exit code, and after how many seconds."""
        code = self.sidecar.wait(60)
        return code, time.monotonic() - self.hung_at

    def pause(self, *pids: int) -> None:
        """Stop it for longer than the limit, and let it go on."""
        until(self.sidecar.leads, within_seconds=20, message=self.sidecar.log)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(2 * LIMIT_SECONDS)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def children(pid: int) -> list[int]:
    """Of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(scope="module")
def hung(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Watched]]:
    """One for each kind of hanging, and one more as PID 1 where this is root; each hangs already."""
    folder = tmp_path_factory.mktemp("hung")
    made = {kind: Watched(folder / kind, kind) for kind in KINDS}
    if os.geteuid() == 0 and shutil.which("unshare"):
        namespaces = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
        made["pid 1"] = Watched(folder / "pid1", "sleeps_with_the_gil", namespaces, LEADER_LOG_FORMAT="json")
    with ExitStack() as stack:
        for each in made.values():
            stack.enter_context(ending([each.sidecar]))
        for each in made.values():
            each.hang()
        yield made


@pytest.mark.parametrize("kind", KINDS)
def test_a_loop_that_hangs_ends_the_process(hung: dict[str, Watched], kind: str) -> None:
    """With and without the GIL, computing, and where asyncio's loop turns and the election's does not. Nothing is released."""
    code, after_seconds = hung[kind].ends()
    log = hung[kind].sidecar.log
    assert code == 1, log
    assert after_seconds > LIMIT_SECONDS
    (line,) = (line for line in log.splitlines() if "the loop hangs" in line)
    assert " ERROR " in line
    assert "released" not in log.replace("nothing is released", "")
    if kind != "the_election_alone":
        assert 'sitecustomize.py", line' in log.partition(line)[2]
        assert f"in {kind}\n" in log


def test_as_pid_1_it_ends_too(hung: dict[str, Watched]) -> None:
    """There the kernel drops every signal without a handler, SIGKILL from inside included. The line in the log is JSON like all others."""
    if "pid 1" not in hung:
        assert os.geteuid() != 0  # only root may make a namespace
        return
    code, _ = hung["pid 1"].ends()
    log = hung["pid 1"].sidecar.log
    assert code == 1, log
    (line,) = (json.loads(line) for line in log.splitlines() if "the loop hangs" in line)
    assert (line["level"], line["logger"]) == ("error", "sidecar.watchdog")
    assert line["time"].endswith("Z")
    assert "in sleeps_with_the_gil\n" in log


def test_a_pause_of_whatever_length_ends_nothing(tmp_path: Path) -> None:
    """Neither one of the sidecar alone, as a debugger's, nor one of all its processes, as a container's; and both are watched on."""
    alone, both = Watched(tmp_path / "alone"), Watched(tmp_path / "both", "sleeps_with_the_gil")
    with ending([alone.sidecar]), ending([both.sidecar]):
        until(both.sidecar.leads, within_seconds=20, message=both.sidecar.log)
        alone.pause(alone.pid, both.pid, both.watcher)
        for each in (alone, both):
            each.hang()  # it leads, so it has gone on
        assert [each.ends()[0] for each in (alone, both)] == [1, 1]
        for each in (alone, both):
            assert each.ends()[1] > LIMIT_SECONDS


def test_the_watchers_end_ends_nothing_and_is_told_once(tmp_path: Path) -> None:
    """It is the sidecar that must not fail."""
    watched = Watched(tmp_path / "a")
    with ending([watched.sidecar]):
        until(watched.sidecar.leads, within_seconds=20)
        os.kill(watched.watcher, signal.SIGKILL)
        until(lambda: "the watchdog has ended" in watched.sidecar.log, within_seconds=10)
        assert watched.sidecar.leads()
        watched.sidecar.signal(signal.SIGTERM)
        assert watched.sidecar.wait(10) == 0
    assert watched.sidecar.log.count("the watchdog has ended") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_watcher_goes_with_the_sidecar(tmp_path: Path, number: signal.Signals) -> None:
    """However that ends."""
    watched = Watched(tmp_path / "a", LEADER_DRAIN_TIMEOUT="0s")
    with ending([watched.sidecar]):
        until(watched.sidecar.leads, within_seconds=20)
        watcher = watched.watcher
        watched.sidecar.signal(number)
        assert watched.sidecar.wait(10) == (0 if number is signal.SIGTERM else -number)
        until(lambda: not Path(f"/proc/{watcher}").exists(), within_seconds=10)
