"""Namespaces for one node: its own processes, mounts and network, so that nothing leaves it and all of it ends with one process.

The first process in there is `pause`: when it ends, the kernel ends every other one, container or not, and the mounts and the network go
with them. It ends with its parent at the latest, so a run that is killed leaves nothing but a folder and empty cgroups; `sweep` removes
those before the next run, by what stands in `state/` of the cache folder.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.kept import cache

CGROUPS = Path("/sys/fs/cgroup")
_HIDDEN = ("/run", "/var/lib", "/var/log")
"""Folders of the machine that the programs of a node write to by default: they get empty ones in their place, in memory."""
_SYSCTLS = {
    "vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}  # fmt: skip
"""What a kubelet insists on. These belong to the whole machine, so it gets files in their place that say so already."""


def started(pid: int) -> str:
    """When that process began, in clock ticks since boot: with it a pid is unique. Empty where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def children(pid: int) -> list[int]:
    """The processes whose parent that one is."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(entry.read_text(encoding="utf-8").rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.parent.name))
    return found


def innermost_pid(pid: int) -> int:
    """Which pid a process has in the innermost namespace that it is in: 1 for a container's first. 0 where it has ended."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/status").read_text(encoding="utf-8").split("NSpid:")[1].splitlines()[0].split()[-1])
    return 0


class Space:
    """The namespaces, and the processes that were started in them, each with a log file of its name."""

    def __init__(self, pause: Path) -> None:
        self.name = f"leader-sidecar-{secrets.token_hex(4)}"
        self.folder = Path(tempfile.mkdtemp(prefix="leader-sidecar-e2e-"))
        self.folder.chmod(0o755)
        self._pause = pause
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._state = _states() / f"{self.name}.json"
        self._holder: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def open(self) -> "Space":
        """Make the namespaces, the empty folders in place of the machine's, and the cgroup for Pods."""
        self._note(0)
        unshare = ["unshare", "--pid", "--fork", "--mount", "--net", "--mount-proc", "--kill-child", str(self._pause)]
        self._holder = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *unshare])
        end = time.monotonic() + 20
        while not self.pid:
            first = [pid for pid in children(self._holder.pid) if _program(pid) == str(self._pause)]
            self.pid = first[0] if first else 0
            if self._holder.poll() is not None or time.monotonic() > end:
                raise RuntimeError("unshare could not make the namespaces: this needs root and a kernel with pid, mount and net namespaces")
            time.sleep(0.02)
        self._note(self.pid)
        (self.folder / "machine").mkdir()
        for hidden in _HIDDEN:
            self.call("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", hidden)
        for key, value in _SYSCTLS.items():
            if (there := Path("/proc/sys") / key).exists():
                mine = self.folder / "machine" / key.replace("/", ".")
                mine.write_text(value + "\n", encoding="utf-8")
                self.call("mount", "--bind", str(mine), str(there))
        _make_cgroup(self.name)
        return self

    def _note(self, pid: int) -> None:
        said = {"run": [os.getpid(), started(os.getpid())], "first": [pid, started(pid)], "name": self.name, "folder": str(self.folder)}
        self._state.write_text(json.dumps(said), encoding="utf-8")

    def enter(self) -> list[str]:
        """What a command line begins with to run in there."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--"]

    def enter_network(self) -> list[str]:
        """The network alone: with the files of this machine."""
        return ["nsenter", f"--target={self.pid}", "--net", "--"]

    def call(self, *command: str, limit_seconds: float = 60) -> str:
        """Run a command in there to its end; gives what it printed. Raises RuntimeError with what it said where it fails."""
        done = subprocess.run([*self.enter(), *command], capture_output=True, text=True, timeout=limit_seconds, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    @staticmethod
    def call_in(pid: int, *command: str) -> None:
        """Run a command in the network of that process, with the files of this machine. Raises RuntimeError where it fails."""
        done = subprocess.run(
            ["nsenter", f"--target={pid}", "--net", "--", *command], capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")

    def start(self, name: str, *command: str) -> None:
        """Start a program in there. The nsenter around it ends with this process, also where both stand still (`pause`)."""
        whole = ["setpriv", "--pdeathsig", "KILL", *self.enter(), *command]
        with self.log(name).open("ab") as log:
            self._processes[name] = subprocess.Popen(whole, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def log(self, name: str) -> Path:
        """What a program has said."""
        return self.folder / f"{name}.log"

    def said(self, name: str, length: int = 3000) -> str:
        """The end of that."""
        return self.log(name).read_text(encoding="utf-8", errors="replace")[-length:] if self.log(name).exists() else ""

    def running(self, name: str) -> bool:
        """Whether a program that was started has not ended."""
        return name in self._processes and self._processes[name].poll() is None

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the program itself, which nsenter is the parent of."""
        for pid in children(self._processes[name].pid):
            os.kill(pid, number)

    def pause(self, name: str) -> None:
        """Make the program stand still, by SIGSTOP."""
        self.send(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let it go on. nsenter stops itself when its child is stopped, so it is woken too."""
        self.send(name, signal.SIGCONT)
        self._processes[name].send_signal(signal.SIGCONT)

    def end(self, name: str, number: signal.Signals = signal.SIGTERM, limit_seconds: float = 30) -> None:
        """Send a signal and wait for the program's end; SIGKILL where it takes longer than that."""
        self.send(name, number)
        try:
            self._processes[name].wait(limit_seconds)
        except subprocess.TimeoutExpired:
            self.send(name, signal.SIGKILL)
            self._processes[name].wait(limit_seconds)

    def pids_below(self, cgroup: str) -> list[int]:
        """The processes in a cgroup of that name somewhere below this space's own."""
        hierarchy = next((entry for entry in _hierarchies() if entry.name in ("pids", CGROUPS.name)), CGROUPS)
        found = []
        for folder in (hierarchy / self.name).glob(f"**/{cgroup}"):
            with suppress(OSError):
                found += [int(pid) for pid in (folder / "cgroup.procs").read_text(encoding="utf-8").split()]
        return found

    def close(self) -> None:
        """End everything in there and remove what is left."""
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait(20)
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
        _remove(json.loads(self._state.read_text(encoding="utf-8")), self._state)


def sweep() -> None:
    """Remove what runs that were killed have left: by their own notes, and nothing of a run that goes on."""
    for state in _states().glob("*.json"):
        with suppress(OSError, ValueError, KeyError):
            said = json.loads(state.read_text(encoding="utf-8"))
            pid, began = said["run"]
            if not began or started(pid) != began:
                _remove(said, state)


def _remove(said: dict[str, Any], state: Path) -> None:
    pid, began = said["first"]
    if began and started(int(pid)) == began:
        os.kill(int(pid), signal.SIGKILL)
    end = time.monotonic() + 30
    while not (_remove_cgroup(str(said["name"])) and (not began or started(int(pid)) != began)) and time.monotonic() < end:
        time.sleep(0.1)
    shutil.rmtree(str(said["folder"]), ignore_errors=True)
    state.unlink(missing_ok=True)


def _states() -> Path:
    folder = cache() / "state"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _program(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/exe").readlink().as_posix()
    return ""


def _hierarchies() -> list[Path]:
    """Every cgroup hierarchy that is mounted: one with version 2, one for each controller with version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [entry for entry in CGROUPS.iterdir() if entry.is_dir() and not entry.is_symlink()]


def _make_cgroup(name: str) -> None:
    for hierarchy in _hierarchies():
        if (control := hierarchy / "cgroup.controllers").exists():
            for controller in control.read_text(encoding="utf-8").split():
                with suppress(OSError):  # some cannot be given on; a kubelet that needs one says so
                    (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}", encoding="utf-8")
        (hierarchy / name).mkdir(exist_ok=True)


def _remove_cgroup(name: str) -> bool:
    """Whether it is gone, with all below it: it goes when the last process in it has ended."""
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
    return not any((hierarchy / name).exists() for hierarchy in _hierarchies())
