"""Calls to the kernel about clients' sockets."""

import contextlib
import select
import socket
import struct
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from sidecar.http.errors import refusal

KERNEL_BYTES: Final = 4 * 1024
"""The kernel's buffer for a connection in each direction, SO_SNDBUF and SO_RCVBUF (the kernel doubles them: socket(7))."""

_NO_LINGERING: Final = struct.pack("ii", 1, 0)
_HUNG_UP: Final = getattr(select, "POLLRDHUP", 0)
_DEAD: Final = select.POLLHUP | select.POLLERR


def _full() -> bytes:
    body = refusal(HTTPStatus.SERVICE_UNAVAILABLE, "every connection of this listener is in use: close some").text or ""
    head = (
        "HTTP/1.1 503 Service Unavailable", "Content-Type: application/json; charset=utf-8", f"Content-Length: {len(body)}",
        "Cache-Control: no-store", "X-Content-Type-Options: nosniff", "Retry-After: 1", "Connection: close",
    )  # fmt: skip
    return "\r\n".join((*head, "", body)).encode()


FULL: Final = _full()
"""The answer to a connection beyond the bound."""


def bound(of: socket.socket) -> None:
    """Give a socket small buffers in the kernel. Connections over TCP inherit them from the listening socket."""
    of.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
    of.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)


def turn_away(client: socket.socket) -> None:
    """Answer the client if its socket takes that at once, and close it."""
    with client:
        client.settimeout(0)
        with contextlib.suppress(OSError):
            client.send(FULL)


def drop_unsent(client: socket.socket) -> None:
    """When `client` is closed, throw unsent bytes away and reset the connection (socket(7), SO_LINGER)."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)


def hung_up(numbers: Iterable[int]) -> tuple[set[int], set[int]]:
    """The descriptors of clients that have closed their side, and of those that are gone; none where the kernel cannot tell (macOS)."""
    poll = select.poll()
    for number in numbers:
        if _HUNG_UP and number >= 0:
            poll.register(number, _HUNG_UP)
    seen = poll.poll(0)
    return {number for number, events in seen if not events & _DEAD}, {number for number, events in seen if events & _DEAD}
