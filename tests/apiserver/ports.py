"""Ports of this machine for the programs that tests start."""

import random
import socket
from contextlib import suppress
from typing import Final

_BELOW_EPHEMERAL: Final = range(20_000, 32_000)
"""Linux gives outgoing connections ports from 32768 on: a port from here is not taken while its program is down for a while."""


def free_port() -> int:
    """A loopback port that is free, and that no outgoing connection will be given."""
    for port in random.sample(_BELOW_EPHEMERAL, len(_BELOW_EPHEMERAL)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no loopback port from 20000 to 31999 is free")
