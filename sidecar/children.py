"""The programs that the sidecar runs: credential plugins. They end with it, whichever way it leaves."""

import os
import signal
from contextlib import suppress
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
