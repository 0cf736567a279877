"""A cgroup with a memory limit, of version 1 or 2, whichever this machine has: the same limit that a container has."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_V1: Final = Path("/sys/fs/cgroup/memory")
_V2: Final = Path("/sys/fs/cgroup")
_MEMBERS: Final = "cgroup.procs"


class NoGroupError(Exception):
    """None can be made here; the message says why."""


@dataclass(frozen=True)
class MemoryGroup:
    """One, for as long as `memory_group` lasts."""

    folder: Path
    version: int

    @property
    def launcher(self) -> tuple[str, ...]:
        """Put before a command: it starts inside."""
        shell = shutil.which("sh") or "/bin/sh"  # the PATH may be the image's
        return (shell, "-c", f'echo $$ > {self.folder / _MEMBERS} && exec "$@"', "sh")

    def peak_bytes(self) -> int:
        """The most that all its processes have had at once, their sockets' buffers included: version 1 counts those apart."""
        if self.version == 1:
            return self._number("memory.max_usage_in_bytes") + self._number("memory.kmem.tcp.max_usage_in_bytes")
        return self._number("memory.peak")

    def killed(self) -> int:
        """How many of its processes the kernel has killed for want of memory."""
        file = self.folder / ("memory.oom_control" if self.version == 1 else "memory.events")
        counts = dict(line.split() for line in file.read_text(encoding="ascii").splitlines())
        return int(counts["oom_kill"])

    def _number(self, name: str) -> int:
        file = self.folder / name
        return int(file.read_text(encoding="ascii")) if file.exists() else 0


def _made(folder: Path, version: int, limit_bytes: int) -> MemoryGroup:
    folder.mkdir()
    names = ("memory.limit_in_bytes",) if version == 1 else ("memory.max", "memory.swap.max")
    for name in names:
        with contextlib.suppress(FileNotFoundError):  # no swap is accounted for
            (folder / name).write_text("0" if "swap" in name else str(limit_bytes), encoding="ascii")
    if version == 1:  # which has them counted at all
        with contextlib.suppress(OSError):
            (folder / "memory.kmem.tcp.limit_in_bytes").write_text(str(2**40), encoding="ascii")
    return MemoryGroup(folder, version)


def _parents() -> Iterator[tuple[Path, int]]:
    if (_V1 / "memory.limit_in_bytes").exists():
        yield _V1, 1
    if (controllers := _V2 / "cgroup.controllers").exists() and "memory" in controllers.read_text(encoding="ascii").split():
        yield _V2, 2


def are_there() -> bool:
    """Whether this machine has a memory controller at all."""
    return any(True for _ in _parents())


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[MemoryGroup]:
    """A new one; its processes must have ended when this does. Raises NoGroupError."""
    if os.geteuid() != 0:
        raise NoGroupError("a cgroup with a memory limit is made by root alone")
    parents = list(_parents())
    if not parents:
        raise NoGroupError("this machine has no memory controller of cgroups, of version 1 or 2")
    parent, version = parents[0]
    folder = parent / f"leader-sidecar-{uuid.uuid4().hex[:12]}"
    try:
        if version == 2:
            (parent / "cgroup.subtree_control").write_text("+memory", encoding="ascii")
        group = _made(folder, version, limit_bytes)
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise NoGroupError(f"a cgroup cannot be made in {parent}: {error.strerror}") from None
    try:
        yield group
    finally:
        folder.rmdir()
