"""The programs that the sidecar runs, which are credential plugins. They end with it, however it ends."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_groups: Final[set[int]] = set()


def started(group: int) -> None:
    """Remember a process group that was started."""
    _groups.add(group)


def end(group: int) -> None:
    """Kill a process group, with every process in it: a plugin may ignore gentler signals."""
    if group in _groups:
        _groups.discard(group)
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)


def end_all() -> None:
    """Kill every process group that was started."""
    for group in list(_groups):
        end(group)


def end_at_once() -> None:
    """Kill the same groups in a process that exits at once, and also the watcher and a child that has just begun."""
    _groups.update(_leaders())
    end_all()


def _leaders() -> Iterator[int]:
    """The children of this process that lead a group of their own, where the kernel tells (proc(5): state, parent, group)."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            parent, group = (int(number) for number in stat.read_text(errors="replace").rpartition(")")[2].split()[1:3])
            if parent == os.getpid() and group == int(stat.parent.name):
                yield group
