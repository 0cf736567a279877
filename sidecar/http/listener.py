"""The connections of one listener: how many there are, which of them asks for nothing, holds much or does not read, and which is let go.

The probe listener is open to whoever reaches the Pod. Each connection takes a descriptor, and memory; there are bounds for both, and past
them the one that has been idle longest is let go and not the newest: a kubelet's probe is answered however many there are.
"""

import asyncio
import logging
import socket
from collections.abc import Iterable
from itertools import islice
from operator import itemgetter
from typing import Final

from aiohttp import web

from sidecar.http import kernel
from sidecar.http.client_connection import Connection
from sidecar.http.intake import Intake
from sidecar.logs import event as log_event

HEAD_SECONDS: Final = 10.0
"""From the first byte of a request, or from the connection, to the end of the request's head."""
UNREAD_SECONDS: Final = 10.0
"""Who has read nothing for so long, while there is something to read, is let go."""
MAX_UNREAD_BYTES: Final = 1024 * 1024
"""Of answers that are not read, all together; past them the client that has not read for longest is let go."""
MAX_HEAVY: Final = 32
"""Connections whose requests are large (`limits.LIGHT_BYTES`)."""
RETRY_SECONDS: Final = 0.1
"""After the system had no descriptor, or no memory, for a new connection."""
QUIET_SECONDS: Final = 60.0
"""It is said so often."""
_LOOKS: Final = 10
"""So often in UNREAD_SECONDS it is looked who has read."""

_log: Final = logging.getLogger(__name__)


class Listener:
    """One listener, on all its sockets."""

    def __init__(self, bound: int, accepts: int) -> None:
        self._bound, self._accepts = bound, accepts
        self._sockets: list[socket.socket] = []
        self._server: web.Server | None = None
        self._open = 0
        """Accepted, and with a descriptor still."""
        self._coming: set[asyncio.Task[None]] = set()
        self._idle: dict[Intake, float] = {}
        """Those with no whole request that is to be answered, and since when, longest first."""
        self._heads: dict[Intake, asyncio.TimerHandle] = {}
        """Those from which a head is awaited, and until when."""
        self._heavy: dict[Intake, None] = {}
        self._unread: dict[Intake, tuple[int, float]] = {}
        """What each has not read, in bytes, and since when that has not become less, longest first."""
        self._unread_bytes = 0
        self._paused: dict[Intake, None] = {}
        """Those that are not read from: that they have gone is to be asked for."""
        self._look: asyncio.TimerHandle | None = None
        self._said_at = -QUIET_SECONDS

    # ---- accepting ---------------------------------------------------------------------------------------------------------------------

    def start(self, server: web.Server, sockets: Iterable[socket.socket]) -> None:
        """Accept connections for `server`."""
        self._server = server
        for listening in sockets:
            listening.settimeout(0)
            kernel.bound(listening)
            self._sockets.append(listening)
            self._listen(listening)

    def stop(self) -> None:
        """Accept no more, and close the sockets."""
        for listening in self._sockets:
            if listening.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        self._sockets.clear()

    async def end(self) -> None:
        """Let go of those that still have not read their last answer."""
        for one in list(self._unread):
            self._let_go(one)
        if self._look is not None:
            self._look.cancel()
        await asyncio.sleep(0)  # then their descriptors are closed

    def _listen(self, listening: socket.socket) -> None:
        if listening in self._sockets:  # and has not been closed since
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(self._accepts):
            try:
                client, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError as error:
                self._exhausted(listening, error)
                return
            if self._open >= self._bound and not self._make_room():
                kernel.turn_away(client)
                continue
            self._open += 1
            task = asyncio.get_running_loop().create_task(self._connect(client))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    async def _connect(self, client: socket.socket) -> None:
        loop, server = asyncio.get_running_loop(), self._server
        assert server is not None  # noqa: S101 - it accepts
        if client.family == getattr(socket, "AF_UNIX", None):
            kernel.bound(client)  # which the others have from the socket that listens
        settings = server._kwargs  # noqa: SLF001 - what the runner was given
        try:
            await loop.connect_accepted_socket(lambda: Connection(self, server, loop=loop, **settings), client)
        except OSError:
            self._open -= 1
            client.close()

    def _make_room(self) -> bool:
        """Let go whoever has asked for nothing, or read nothing, for longest."""
        idle = [(since, one) for one, since in islice(self._idle.items(), 1)]
        unread = [(since, one) for one, (_, since) in islice(self._unread.items(), 1)]
        for _, one in sorted(idle + unread, key=itemgetter(0))[:1]:
            self._let_go(one)
            return True
        return False

    def _exhausted(self, listening: socket.socket, error: OSError) -> None:
        """No descriptor or no memory, here or on the whole machine. What waits to be accepted would call again at once, for ever."""
        loop = asyncio.get_running_loop()
        self._make_room()
        loop.remove_reader(listening)
        loop.call_later(RETRY_SECONDS, self._listen, listening)
        if loop.time() - self._said_at >= QUIET_SECONDS:
            self._said_at = loop.time()
            log_event(_log, logging.WARNING, "no connection can be accepted now", why=error.strerror or str(error))

    # ---- what the connections say of themselves ----------------------------------------------------------------------------------------

    def opened(self, one: Intake) -> None:
        """A connection has been made: its first request is awaited."""
        self._rests_now(one, begun=True)

    def begins(self, one: Intake) -> None:
        """The first bytes of a request have come."""
        if one in self._idle and one not in self._heads:
            self._heads[one] = self._timer(one)

    def asked(self, one: Intake, *, whole: bool = True) -> None:
        """A request has been heard; with its body if it is whole."""
        if one in self._heads:
            self._heads.pop(one).cancel()
        if whole:
            self._idle.pop(one, None)

    def rests(self, one: Intake, *, begun: bool) -> None:
        """All that it has asked for has been answered; the next request may have begun."""
        if one.wire is not None:
            self.asked(one)
            self._rests_now(one, begun=begun)

    def closed(self, one: Intake) -> None:
        """Its descriptor is closed in this turn of the loop."""
        self._open -= 1
        self._forget(one)

    def heavy(self, one: Intake) -> bool:
        """Its request is a large one, so another such connection is let go; false where all of them are being answered."""
        self._heavy[one] = None
        if len(self._heavy) <= MAX_HEAVY:
            return True
        begun = next((other for other in self._heavy if other in self._idle and other is not one), None)
        if begun is not None:
            self._let_go(begun)
            return True
        del self._heavy[one]
        return False

    def light(self, one: Intake) -> None:
        """Its large requests are answered, and forgotten over a small one."""
        self._heavy.pop(one, None)

    def stalls(self, one: Intake) -> None:
        """It does not read as fast as it is answered."""
        size = one.unsent_bytes()
        self._unread[one] = (size, asyncio.get_running_loop().time())
        self._unread_bytes += size
        while self._unread_bytes > MAX_UNREAD_BYTES:
            self._let_go(next(iter(self._unread)))
        self._look_again()

    def flows(self, one: Intake) -> None:
        """It has read all."""
        self._unread_bytes -= self._unread.pop(one, (0, 0.0))[0]

    def paused(self, one: Intake) -> None:
        """It is not read from, since it has asked for enough."""
        self._paused[one] = None
        self._look_again()

    def resumed(self, one: Intake) -> None:
        """It is read from again."""
        self._paused.pop(one, None)

    # ---- letting go --------------------------------------------------------------------------------------------------------------------

    def _rests_now(self, one: Intake, *, begun: bool) -> None:
        self._idle[one] = asyncio.get_running_loop().time()
        if begun:
            self._heads[one] = self._timer(one)

    def _timer(self, one: Intake) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(HEAD_SECONDS, self._let_go, one)

    def _forget(self, one: Intake) -> None:
        self.asked(one)
        self.flows(one)
        self.resumed(one)
        self.light(one)

    def _let_go(self, one: Intake) -> None:
        if one in self._unread and (client := _socket(one)) is not None:
            kernel.drop_unsent(client)  # it would not see the end before it has read
        self._forget(one)
        if one.wire is not None:
            one.wire.abort()

    def _look_again(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(UNREAD_SECONDS / _LOOKS, self._looks)

    def _looks(self) -> None:
        """Who has read nothing meanwhile, and who has gone of those that are not read from."""
        self._look = None
        now = asyncio.get_running_loop().time()
        for one, (size, since) in list(self._unread.items()):
            unsent = one.unsent_bytes()
            if unsent < size:
                del self._unread[one]
                self._unread[one] = (unsent, now)
                self._unread_bytes -= size - unsent
            elif now - since >= UNREAD_SECONDS:
                self._let_go(one)
        if self._paused:
            self._ask_who_has_gone()
        if self._unread or self._paused:
            self._look_again()

    def _ask_who_has_gone(self) -> None:
        known = {client.fileno(): one for one in self._paused if (client := _socket(one)) is not None}
        closed, gone = kernel.hung_up(known)
        for number in closed:
            known[number].hangs_up()
        for number in gone:
            self._let_go(known[number])


def _socket(one: Intake) -> socket.socket | None:
    found: socket.socket | None = one.wire.get_extra_info("socket") if one.wire is not None else None
    return found
