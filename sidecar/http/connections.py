"""The app listener's connections that show at SIGTERM that the application lives: a true answer went over them, or is waited for (S11)."""

import asyncio
import select
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakSet

from aiohttp import web

from sidecar.leadership import Answer, Leadership

_CLOSED: Final = getattr(select, "POLLRDHUP", 0) | getattr(select, "POLLHUP", 0) | getattr(select, "POLLERR", 0)
"""poll(2): the peer has closed, or its writing half."""


class Connections:
    """One app listener's. Every true answer with a deadline that will be kept goes through here."""

    def __init__(self, leadership: Leadership) -> None:
        self.asks = 0
        """How often the leadership was asked for."""
        self._leadership = leadership
        self._told: WeakSet[asyncio.Transport] = WeakSet()
        self._waiting: WeakSet[asyncio.Transport] = WeakSet()

    def read(self, request: web.Request) -> Answer:
        """The answer to this request, at this moment. A deadline in a true one is remembered, and so is where it went."""
        answer = self._leadership.read(give=True)
        self.asks += 1
        if answer.is_leader and request.transport is not None:
            self._told.add(request.transport)
        return answer

    @contextmanager
    def waits(self, request: web.Request) -> Iterator[None]:
        """For as long as this request waits for an answer."""
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
        """Whether any of them is open, asked of the sockets themselves: the loop may not have heard yet that an application has ended."""
        self._told |= self._waiting  # who waits now is told the end, and lives for as long as it keeps its connection
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
    """Where poll(2) does not tell of a closed half (macOS): one that has sent nothing more has an end to read."""
    with socket.fromfd(of.fileno(), of.family, of.type) as same:
        try:
            return bool(same.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False
