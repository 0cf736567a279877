"""The programs that the sidecar runs, which are credential plugins. They end with it, however it ends."""

import os
import signal
from contextlib import suppress
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
