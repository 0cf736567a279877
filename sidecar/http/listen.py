"""Sockets on the addresses that the settings name (`settings/listen.py`)."""

import contextlib
import errno
import socket
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from sidecar.addresses import ALLOWED
from sidecar.settings.listen import Address, hosts, overlap, parse_listen, shown

BACKLOG: Final = 1024
"""How many connections may wait to be accepted: a client that finds no room tries again after a second."""
_OFF: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})
"""The errors of a bind to an address of `localhost` or `*` where the machine has no addresses of that family."""
_ADVICE: Final = {
    errno.EADDRINUSE: " by another process: stop that process, or set another address",
    errno.EADDRNOTAVAIL: ": this machine has no such address",
    errno.EACCES: ": ports below 1024 need the capability NET_BIND_SERVICE, set a higher port",
}


class ListenError(Exception):
    """Addresses are taken, or are not this machine's; a line for each."""

    def __init__(self, message: str, where: tuple[str, int] | None = None) -> None:
        super().__init__(message)
        self.where = where
        """Host and port that could not be bound."""


def bind(
    wanted: Iterable[Address], socket_mode: int = 0o660, *, setting: str = "LEADER_LISTEN", beside: Iterable[socket.socket] = ()
) -> list[socket.socket]:
    """Listening sockets for the wanted addresses, on every address of `localhost`, `*` and `[::]` that is up.

    `socket_mode` is the mode of unix sockets' files. `beside` are the sockets on which this process listens already. Raises ListenError
    with a line for each address that cannot be bound.
    """
    wanted = list(wanted)
    bound: list[socket.socket] = []
    faults: list[str] = []
    for address in wanted:
        try:
            bound += [_bind_unix(address.path, socket_mode)] if address.path else _bind_tcp(address, hosts(address, wanted))
        except ListenError as error:
            faults.append(f"{_own(error, [*beside, *bound]) or error} ({setting})")
    if faults:
        for listener in bound:
            listener.close()
        raise ListenError("\n".join(faults))
    return bound


def taken(settings: Mapping[str, str]) -> list[str]:
    """Faults of addresses that cannot be bound, a line each; texts by setting. Nothing stays bound; no unix socket is tried.

    For settings that have other faults: the user is told all at once.
    """
    faults = []
    for setting, text in settings.items():
        try:
            for each in bind([address for address in parse_listen(text) if not address.path], setting=setting):
                each.close()
        except ListenError as error:
            faults.append(str(error))
        except ValueError:
            continue  # told already
    return faults


def _own(error: ListenError, own: Iterable[socket.socket]) -> str:
    """The message where this process itself has taken the address, as by two names of one address; "" where it has not."""
    if not (isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE and error.where):
        return ""
    places = frozenset({(error.where[0], error.where[1])})
    taken = frozenset((at[0], at[1]) for at in (each.getsockname() for each in own if each.family != socket.AF_UNIX))
    said = f"{str(error).partition(': ')[0]}: this sidecar already listens there: remove one of the two addresses"
    return said if overlap(places, taken) else ""


def _bind_tcp(address: Address, wanted: tuple[str, ...]) -> list[socket.socket]:
    if len(wanted) == 1:
        return [_bind(wanted[0], address.port)]
    bound: list[socket.socket] = []
    off: ListenError | None = None
    for host in wanted:
        try:
            bound.append(_bind(host, bound[0].getsockname()[1] if bound else address.port))
        except ListenError as error:
            # That IPv4 or IPv6 is switched off is no fault; that the port is taken is one.
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
        advice = "name an address of this machine" if isinstance(error, socket.gaierror) else ALLOWED
        raise ListenError(f"cannot listen on {shown(host, port)}: {error.strerror}; {advice}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        at = (str(where[0]), port)
        raise ListenError(f"cannot listen on {shown(host, port)}: {error.strerror}{_ADVICE.get(error.errno or 0, '')}", at) from error
    return listener


def _bind_unix(path: str, mode: int) -> socket.socket:
    """Bind a unix socket. A file that a dead process left is replaced, but never one on which a process listens."""
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
        advice = " by another process, or the file is no socket: set another path" if busy else "; its folder must exist and be writable"
        raise ListenError(f"cannot listen on unix:{path}: {error.strerror}{advice}") from error
    return listener


def _is_abandoned(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(0)
        try:
            client.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            return False  # a process listens: its backlog is full, it has another kind of socket, or we may not connect
    return False


def name(listener: socket.socket) -> str:
    """Where a socket listens, for the log."""
    where = listener.getsockname()
    return f"unix:{where}" if isinstance(where, str) else shown(where[0], where[1])
