"""Attacks both listeners of one sidecar in a cgroup with a memory limit: its peak memory, and whether it still answers.

`python -m tests.bench.attack` prints the table of docs/internals/speed-and-memory.md, "Memory under attack", for the image's Python and the
current one, at 128 MiB and 64 MiB.
"""

import argparse
import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.apiserver.sidecar_process import Sidecar, until
from tests.bench.attackers import ATTACKS, Attack, ask
from tests.bench.interpreters import Interpreter, NoImageError, of_the_image, own
from tests.bench.memory_group import MemoryGroup, memory_group

MIB: Final = 2**20
ANSWER_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Took:
    """An answer."""

    seconds: float
    starved_seconds: float
    """For how long of that time the sidecar or the client was ready to run, but had no core (proc_pid_schedstat(5))."""

    @property
    def late(self) -> bool:
        """Whether the answer took too long although there was a core."""
        return self.seconds - self.starved_seconds > ANSWER_SECONDS


def _starved(*pids: int) -> float:
    """For how many seconds these processes have waited for a core so far."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) for pid in pids) / 1e9


@dataclass
class Found:
    """The result of one attack."""

    about: str
    limit_bytes: int
    what: Attack
    rest_bytes: int = 0
    """The cgroup's peak before the attack."""
    peak_bytes: int = 0
    """The cgroup's peak, socket buffers included."""
    resident_bytes: int = 0
    """The largest resident memory of the sidecar's process (VmHWM)."""
    waited: tuple[int, int] = (0, 0)
    """The smallest numbers of polls and streams that were open during the attack."""
    connections: dict[str, int] = field(default_factory=dict)
    """The number of connections made, by kind."""
    answers: dict[str, list["Took"]] = field(default_factory=dict)
    """The answers by route and listener, in order."""
    failed: list[str] = field(default_factory=list)
    """Requests without an answer, and answers that the sidecar does not lead."""
    killed: int = 0
    alive: bool = False

    def all(self) -> list["Took"]:
        """Every answer."""
        return [took for each in self.answers.values() for took in each]

    def row(self) -> str:
        """A row of the table."""
        took = sorted(each.seconds for each in self.all()) or [0.0]
        slowest = f"{1000 * took[len(took) * 99 // 100]:.0f} ms, {1000 * took[-1]:.0f} ms"
        fate = "leads throughout" if self.alive and not self.failed else f"killed: {self.killed}, not answered: {len(self.failed)}"
        megabytes = " | ".join(f"{number / 1e6:.1f} MB" for number in (self.rest_bytes, self.peak_bytes, self.resident_bytes))
        return f"| {self.about} | {self.limit_bytes // MIB} MiB | {self.what.name} | {megabytes} | {slowest} | {fate} |"


def attacked(interpreter: Interpreter, limit_bytes: int, seconds: float, what: Attack) -> Found:
    """Attack a sidecar on a local store in a cgroup with this limit. Raises NoGroupError."""
    with tempfile.TemporaryDirectory(prefix="leader-sidecar-attack-") as folder, memory_group(limit_bytes) as group:
        found = Found(interpreter.about, limit_bytes, what)
        settings = dict(interpreter.environment) | {"LEADER_STORE": f"local:{folder}/leases.db", "LEADER_LEASE_NAME": "web"}
        launcher = (*group.launcher, *interpreter.launcher)
        sidecar = Sidecar("web-0", Path(folder), settings, uid=uuid.uuid4().hex, launcher=launcher, program=interpreter.sidecar)
        try:
            until(sidecar.start().serving(60).leads, within_seconds=20)
            time.sleep(2)
            ask(sidecar.probe_port, "/metrics")
            found.rest_bytes = group.peak_bytes()
            try:
                with _clients(sidecar, found):
                    _through(sidecar, seconds, found)
            except (OSError, http.client.HTTPException) as error:  # the sidecar has ended
                found.failed.append(f"{type(error).__name__} {error}")
        finally:
            found.alive = not sidecar.exited()
            found.peak_bytes, found.killed = group.peak_bytes(), group.killed()
            sidecar.kill()
            _empty(group)
        return found


def _empty(group: MemoryGroup) -> None:
    """Wait for the watchdog: it ends after the process that it watches."""
    until(lambda: not (group.folder / "cgroup.procs").read_text(encoding="ascii"), within_seconds=20, message="the cgroup is empty")


@contextmanager
def _clients(sidecar: Sidecar, found: Found) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.bench.attackers", str(sidecar.port), str(sidecar.probe_port), found.what.name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "waiting\n"
        until(lambda: _waiting(sidecar) >= found.what.all_wait(), within_seconds=60, every_seconds=0.2, message="all wait")
        process.stdin.write("go\n")
        process.stdin.flush()
        yield
        said, _ = process.communicate("end\n", timeout=60)
        found.connections = json.loads(said)
    finally:
        process.kill()
        process.communicate()


def _waiting(sidecar: Sidecar) -> tuple[int, int]:
    """The numbers of waiting polls and of streams, by the metrics."""
    return int(sidecar.metric("leader_sidecar_parked_polls")), int(sidecar.metric("leader_sidecar_streams"))


def _through(sidecar: Sidecar, seconds: float, found: Found) -> None:
    """Ask both listeners again and again during the attack, each time on a new connection, as a kubelet does."""
    waited, end = [], time.monotonic() + seconds
    while time.monotonic() < end and not sidecar.exited():
        for port, path in (
            (sidecar.port, "/leader"),
            (sidecar.port, "/livez"),
            (sidecar.probe_port, "/livez"),
            (sidecar.probe_port, "/is-leader"),
        ):
            try:
                before = _starved(sidecar.pid, os.getpid())
                took, body = ask(port, path)
                starved = _starved(sidecar.pid, os.getpid()) - before
            except (OSError, http.client.HTTPException, AssertionError) as error:
                found.failed.append(f"{path}: {type(error).__name__} {error}")
                continue
            found.answers.setdefault(f"{path} of {'app' if port == sidecar.port else 'probe'}", []).append(Took(took, starved))
            if not body.get("is_leader", True):
                found.failed.append(f"{path}: {body}")
        time.sleep(0.1)
    with contextlib.suppress(OSError, http.client.HTTPException):
        waited.append(_waiting(sidecar))
    found.waited = min(waited, default=(0, 0))
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{sidecar.pid}/status").read_text(encoding="utf-8")
        found.resident_bytes = 1024 * int(text.partition("VmHWM:")[2].split()[0])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--python", choices=["image", "own", "both"], default="both")
    given = parser.parse_args()
    with ExitStack() as stack:
        interpreters = [own()] if given.python != "image" else []
        if given.python != "own":
            try:
                interpreters.insert(0, stack.enter_context(of_the_image(build=True)))
            except NoImageError as error:
                sys.exit(str(error))
        print("| interpreter | limit | attack | before | peak | resident | p99, slowest | |", "|" + " --- |" * 8, sep="\n")
        for interpreter in interpreters:
            for limit, what in ((128, "everything"), (64, "everything"), (64, "from the network")):
                found = attacked(interpreter, limit * MIB, given.seconds, ATTACKS[what])
                print(found.row(), flush=True)
                print(found.connections, found.waited, Counter(found.failed).most_common(5), file=sys.stderr)


if __name__ == "__main__":
    main()
