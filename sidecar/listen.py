"""Sockets on the addresses that the settings name (`addresses.py`)."""

import contextlib
import errno
import socket
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar import addresses
from sidecar.addresses import ALLOWED

BACKLOG: Final = 1024
"""How many may wait to be accepted: a client that finds no room among them tries again after a second."""
_OFF: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})
"""What a bind to an address of `localhost` or `*` ends in where the machine has no such addresses."""


class CannotListen(Exception):  # noqa: N818 - said to the user
    """An address is taken, or is not this machine's."""


@dataclass(frozen=True)
class Address:
    """One address: a host and port, or the path of a unix socket."""

    host: str
    port: int
    path: str = ""


def parse_listen(text: str) -> list[Address]:
    """The addresses in `text`; none in an empty one. Raises ValueError."""
    return [Address(*each) for each in addresses.parse(text)]


def bind(wanted: Iterable[Address], socket_mode: int = 0o660) -> list[socket.socket]:
    """Listening sockets for all that are wanted, on every address of `localhost` and `*` that is up. Raises CannotListen.

    `socket_mode` is that of unix sockets' files: who may connect.
    """
    bound: list[socket.socket] = []
    try:
        for address in wanted:
            bound += [_bind_unix(address.path, socket_mode)] if address.path else _bind_tcp(address)
    except CannotListen:
        for listener in bound:
            listener.close()
        raise
    return bound


def _bind_tcp(address: Address) -> list[socket.socket]:
    pairs = {"localhost": ("127.0.0.1", "::1"), "*": ("0.0.0.0", "::")}.get(address.host)  # noqa: S104 - the probe listener's default
    if pairs is None:
        return [_bind(address.host, address.port)]
    bound: list[socket.socket] = []
    off: CannotListen | None = None
    for host in pairs:
        try:
            bound.append(_bind(host, bound[0].getsockname()[1] if bound else address.port))
        except CannotListen as error:
            # IPv4 or IPv6 that is switched off is no fault; a port that is taken on it is one.
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in _OFF:
                off = off or error
                continue
            for listener in bound:
                listener.close()
            raise
    if off is not None and not bound:
        raise off
    return bound


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}; {ALLOWED}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        busy = (
            " by another process: stop that, or set another LEADER_LISTEN or LEADER_PROBE_LISTEN" if error.errno == errno.EADDRINUSE else ""
        )
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}{busy}") from error
    return listener


def _bind_unix(path: str, mode: int) -> socket.socket:
    """A socket file that a dead process left is replaced; one that somebody listens on is not ours, whatever the identity."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            if stat.S_ISSOCK(Path(path).lstat().st_mode) and _is_abandoned(path):
                Path(path).unlink()
        listener.bind(path)
        Path(path).chmod(mode)  # before anybody can connect
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        busy = error.errno == errno.EADDRINUSE
        advice = "by another process, or it is no socket: set another LEADER_LISTEN" if busy else "its folder must be there and writable"
        raise CannotListen(f"cannot listen on unix:{path}: {error.strerror}{' ' if busy else '; '}{advice}") from error
    return listener


def _is_abandoned(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(0)
        try:
            client.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False  # somebody is there: a full backlog, another kind of socket, or one that we may not ask
    return False


def name(listener: socket.socket) -> str:
    """Where a socket listens, for the log."""
    where = listener.getsockname()
    if isinstance(where, str):
        return f"unix:{where}"
    return f"[{where[0]}]:{where[1]}" if ":" in where[0] else f"{where[0]}:{where[1]}"
