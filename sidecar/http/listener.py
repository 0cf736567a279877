"""The connections of one listener: their number, which are idle, hold much or do not read, and which is closed to make room.

Any client that reaches the Pod may connect to the probe listener. Each connection takes a descriptor and memory, and both have bounds.
Beyond a bound the connection that has been idle longest is closed, not the newest: a kubelet's probe is answered however many there are.
"""

import asyncio
import logging
import socket
from collections.abc import Iterable
from itertools import islice
from operator import itemgetter
from typing import Final

from aiohttp import web

from sidecar.http import client_sockets
from sidecar.http.client_connection import Connection
from sidecar.http.intake import Intake
from sidecar.logs import event as log_event

HEAD_SECONDS: Final = 10.0
"""The time for a request's head, from its first byte, or from when the connection was made."""
UNREAD_SECONDS: Final = 10.0
"""A client that reads nothing for so long, while there is something to read, is disconnected."""
MAX_UNREAD_BYTES: Final = 1024 * 1024
"""The most bytes of unread answers of all clients; beyond it the client that has not read for longest is disconnected."""
MAX_HEAVY: Final = 32
"""The most connections that hold a large request (`limits.LIGHT_BYTES`)."""
RETRY_SECONDS: Final = 0.1
"""The pause after the system had no descriptor, or no memory, for a new connection."""
QUIET_SECONDS: Final = 60.0
"""Between two log lines about that."""
_LOOKS: Final = 10
"""How often in UNREAD_SECONDS to look which clients have read."""

_log: Final = logging.getLogger(__name__)


class Listener:
    """One listener, on all its sockets."""

    def __init__(self, bound: int, accepts: int) -> None:
        self._bound, self._accepts = bound, accepts
        self._sockets: list[socket.socket] = []
        self._server: web.Server | None = None
        self._open = 0
        """The number of accepted connections whose descriptor is not closed."""
        self._coming: set[asyncio.Task[None]] = set()
        """The tasks that hand accepted connections to aiohttp."""
        self._idle: dict[Intake, float] = {}
        """Connections without a whole request to be answered, and since when; the longest first."""
        self._heads: dict[Intake, asyncio.TimerHandle] = {}
        """Connections that must send the end of a head, and the timers that close them if they do not."""
        self._heavy: dict[Intake, None] = {}
        """Connections that hold a large request."""
        self._unread: dict[Intake, tuple[int, float]] = {}
        """Connections with unread answers: how many bytes, and since when that number has not fallen; the longest first."""
        self._unread_bytes = 0
        """The sum of those bytes."""
        self._paused: dict[Intake, None] = {}
        """Connections that are not read from, so that only the kernel knows whether their clients have gone."""
        self._look: asyncio.TimerHandle | None = None
        self._said_at = -QUIET_SECONDS

    # ---- accepting ---------------------------------------------------------------------------------------------------------------------

    def start(self, server: web.Server, sockets: Iterable[socket.socket]) -> None:
        """Accept connections for `server`."""
        self._server = server
        for listening in sockets:
            listening.settimeout(0)
            client_sockets.bound(listening)
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
        """Close the connections whose clients still have not read their last answer."""
        for one in list(self._unread):
            self._let_go(one)
        if self._look is not None:
            self._look.cancel()
        await asyncio.sleep(0)  # the loop closes their descriptors meanwhile

    def _listen(self, listening: socket.socket) -> None:
        if listening in self._sockets:  # it has not been closed since
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
                client_sockets.turn_away(client)
                continue
            self._open += 1
            task = asyncio.get_running_loop().create_task(self._connect(client))
            self._coming.add(task)
            task.add_done_callback(self._coming.discard)

    async def _connect(self, client: socket.socket) -> None:
        loop, server = asyncio.get_running_loop(), self._server
        assert server is not None  # it accepts
        if client.family == getattr(socket, "AF_UNIX", None):
            client_sockets.bound(client)  # a connection over TCP inherits this from the listening socket
        settings = server._kwargs  # noqa: SLF001 - the settings that the runner was given
        try:
            await loop.connect_accepted_socket(lambda: Connection(self, server, loop=loop, **settings), client)
        except OSError:
            self._open -= 1
            client.close()

    def _make_room(self) -> bool:
        """Close the connection that has asked for nothing, or read nothing, for longest; false where there is none such."""
        idle = [(since, one) for one, since in islice(self._idle.items(), 1)]
        unread = [(since, one) for one, (_, since) in islice(self._unread.items(), 1)]
        for _, one in sorted(idle + unread, key=itemgetter(0))[:1]:
            self._let_go(one)
            return True
        return False

    def _exhausted(self, listening: socket.socket, error: OSError) -> None:
        """There is no descriptor or no memory, here or on the machine. Pause: the connection that waits would call again at once."""
        loop = asyncio.get_running_loop()
        self._make_room()
        loop.remove_reader(listening)
        loop.call_later(RETRY_SECONDS, self._listen, listening)
        if loop.time() - self._said_at >= QUIET_SECONDS:
            self._said_at = loop.time()
            log_event(_log, logging.WARNING, "no connection can be accepted now", why=error.strerror or str(error))

    # ---- told by the connections -------------------------------------------------------------------------------------------------------

    def opened(self, one: Intake) -> None:
        """Connection `one` was made: it must send its first request."""
        self._rests_now(one, begun=True)

    def begins(self, one: Intake) -> None:
        """The first bytes of a request have come on `one`."""
        if one in self._idle and one not in self._heads:
            self._heads[one] = self._timer(one)

    def asked(self, one: Intake, *, whole: bool = True) -> None:
        """A request's head has come on `one`; its body too, if `whole`."""
        if one in self._heads:
            self._heads.pop(one).cancel()
        if whole:
            self._idle.pop(one, None)

    def rests(self, one: Intake, *, begun: bool) -> None:
        """Every request of `one` is answered. `begun`: part of the next one has come."""
        if one.wire is not None:
            self.asked(one)
            self._rests_now(one, begun=begun)

    def closed(self, one: Intake) -> None:
        """The descriptor of `one` is closed in this turn of the loop."""
        self._open -= 1
        self._forget(one)

    def heavy(self, one: Intake) -> bool:
        """`one` holds a large request. Beyond MAX_HEAVY close another such connection; false where all of them are being answered."""
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
        """`one` holds a large request no longer: aiohttp has forgotten it for a small one."""
        self._heavy.pop(one, None)

    def stalls(self, one: Intake) -> None:
        """The client of `one` reads more slowly than it is answered."""
        size = one.unsent_bytes()
        self._unread[one] = (size, asyncio.get_running_loop().time())
        self._unread_bytes += size
        while self._unread_bytes > MAX_UNREAD_BYTES:
            self._let_go(next(iter(self._unread)))
        self._look_again()

    def flows(self, one: Intake) -> None:
        """The client of `one` has read everything."""
        self._unread_bytes -= self._unread.pop(one, (0, 0.0))[0]

    def paused(self, one: Intake) -> None:
        """`one` is not read from: it has sent enough requests for now."""
        self._paused[one] = None
        self._look_again()

    def resumed(self, one: Intake) -> None:
        """`one` is read from again."""
        self._paused.pop(one, None)

    # ---- closing -----------------------------------------------------------------------------------------------------------------------

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
            client_sockets.drop_unsent(client)  # else the client would see the end only after it has read
        self._forget(one)
        if one.wire is not None:
            one.wire.abort()

    def _look_again(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(UNREAD_SECONDS / _LOOKS, self._looks)

    def _looks(self) -> None:
        """Close connections whose clients have read nothing for UNREAD_SECONDS; of those that are not read from, see which have gone."""
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
        closed, gone = client_sockets.hung_up(known)
        for number in closed:
            known[number].hangs_up()
        for number in gone:
            self._let_go(known[number])


def _socket(one: Intake) -> socket.socket | None:
    found: socket.socket | None = one.wire.get_extra_info("socket") if one.wire is not None else None
    return found
