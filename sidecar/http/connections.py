"""The app listener's connections that show at SIGTERM that the application lives: a true answer went over them, or is awaited (S11)."""

import asyncio
import select
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakSet

from aiohttp import web

from sidecar.runtime.leadership import Answer, Leadership

_CLOSED: Final = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0) | getattr(select, "POLLERR", 0)
"""poll(2): the peer has closed, or its writing half."""


class Connections:
    """The connections of one app listener. Every true answer whose deadline will be kept is read through here."""

    def __init__(self, leadership: Leadership) -> None:
        self.asks = 0
        """How often clients have asked for the leadership."""
        self._leadership = leadership
        self._told: WeakSet[asyncio.Transport] = WeakSet()
        """Connections that were given a true answer."""
        self._waiting: WeakSet[asyncio.Transport] = WeakSet()
        """Connections on which a request waits."""

    def read(self, request: web.Request) -> Answer:
        """The answer to this request, at this moment. A true answer's deadline is remembered, and so is its connection."""
        answer = self._leadership.read(promise_deadline=True)
        self.asks += 1
        if answer.is_leader and request.transport is not None:
            self._told.add(request.transport)
        return answer

    @contextmanager
    def waits(self, request: web.Request) -> Iterator[None]:
        """A context for as long as this request waits for an answer."""
        transport = request.transport
        self.asks += 1
        if transport is not None:
            self._waiting.add(transport)
        try:
            yield
        finally:
            if transport is not None:
                self._waiting.discard(transport)

    def lives(self) -> bool:
        """Whether any of them is open. The sockets are asked: the loop may not have noticed yet that the application has ended."""
        self._told |= self._waiting  # a client that waits now is told the end, and counts for as long as it keeps its connection
        sockets = [transport.get_extra_info("socket") for transport in self._told if not transport.is_closing()]
        return _any_open([each for each in sockets if each is not None and each.fileno() >= 0])


def _any_open(sockets: Iterable[socket.socket]) -> bool:
    if not hasattr(select, "POLLRDHUP"):
        return any(map(_is_open, sockets))
    poll, count = select.poll(), 0
    for count, each in enumerate(sockets, 1):  # noqa: B007 - counted
        poll.register(each.fileno(), select.POLLRDHUP)
    return count > sum(1 for _, seen in poll.poll(0) if seen & _CLOSED)


def _is_open(of: socket.socket) -> bool:
    """Whether a socket is open, for macOS, where poll(2) does not tell of a closed half: a read would find the end of the stream."""
    with socket.fromfd(of.fileno(), of.family, of.type) as same:
        try:
            return bool(same.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False
