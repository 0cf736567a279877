"""Ports of this machine for the programs that tests start."""

import os
import random
import socket
from contextlib import suppress
from typing import Final

_BELOW_EPHEMERAL: Final = range(20_000, 32_000)
"""Linux gives outgoing connections ports from 32768 on: a port from here is not taken while its program is down for a while."""
_WORKERS: Final = 8
_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS

_untold: list[int] = []
"""What has not been given out here since all were: the program that a port was for may not listen on it yet."""


def free_port() -> int:
    """A loopback port that is free, and that no other test and no outgoing connection will be given."""
    for _ in range(len(_BELOW_EPHEMERAL) // _WORKERS):
        if not _untold:
            _untold.extend(random.sample(mine := _BELOW_EPHEMERAL[_WORKER::_WORKERS], len(mine)))
        port = _untold.pop()
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no loopback port from 20000 to 31999 is free")
