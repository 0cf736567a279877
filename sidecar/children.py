"""The programs that the sidecar runs: credential plugins. They end with it, whichever way it leaves."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_groups: Final[set[int]] = set()


def started(group: int) -> None:
    """A process group that lives from now on."""
    _groups.add(group)


def end(group: int) -> None:
    """End it, with all that it started: it may ignore anything less."""
    if group in _groups:
        _groups.discard(group)
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)


def end_all() -> None:
    """End each of them."""
    for group in list(_groups):
        end(group)


def end_at_once() -> None:
    """The same for a process that leaves this moment: also what has only just begun and is not told yet, and the watcher."""
    _groups.update(_leaders())
    end_all()


def _leaders() -> Iterator[int]:
    """The children of this process that lead a group of their own, where the kernel tells (proc(5): state, parent, group)."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            parent, group = (int(number) for number in stat.read_text(errors="replace").rpartition(")")[2].split()[1:3])
            if parent == os.getpid() and group == int(stat.parent.name):
                yield group
