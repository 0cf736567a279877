"""Clients that connect and say nothing, or a header a minute, are let go: aiohttp has no limit of its own for a first request.

Nor has it one for how many connections there are. The probes' listener is open to whoever reaches the Pod, and each takes a descriptor.
"""

import asyncio
from typing import Final

from aiohttp import web

from sidecar.http.errors import Handler, JsonErrors

HEAD_SECONDS: Final = 10.0
"""From the connection to the last header of its first request; later ones have the keep-alive's limit."""

MAX_IDLE: Final = 2048
"""Connections of a listener that ask for nothing now. Past them the one that has asked for nothing longest is let go, not the newest:
a kubelet's probe is answered however many there are."""


class Patience:
    """The connections that ask for nothing now, the one that has been so longest first."""

    def __init__(self) -> None:
        self._idle: dict[web.RequestHandler, asyncio.TimerHandle | None] = {}

    def expect(self, protocol: web.RequestHandler) -> None:
        """A connection has been made: of a first request nothing has been heard yet."""
        self._rests(protocol, asyncio.get_running_loop().call_later(HEAD_SECONDS, self._let_go, protocol))

    def forget(self, protocol: web.RequestHandler) -> None:
        """A request has been heard, or the connection is gone."""
        timer = self._idle.pop(protocol, None)
        if timer is not None:
            timer.cancel()

    def _rests(self, protocol: web.RequestHandler, timer: asyncio.TimerHandle | None = None) -> None:
        self._idle[protocol] = timer
        if len(self._idle) > MAX_IDLE:
            self._let_go(next(iter(self._idle)))

    def _let_go(self, protocol: web.RequestHandler) -> None:
        self.forget(protocol)
        if protocol.transport is not None:
            protocol.transport.abort()

    @web.middleware
    async def heard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A whole request has come."""
        self.forget(request.protocol)
        try:
            return await handler(request)
        finally:
            if request.transport is not None:  # it has not gone meanwhile
                self._rests(request.protocol)

    def watch_over(self, server: web.Server) -> None:
        """Hear of each connection's end: whoever comes and goes by the thousand leaves nothing here."""
        lost = server.connection_lost

        def connection_lost(protocol: web.RequestHandler, exc: BaseException | None = None) -> None:
            self.forget(protocol)
            lost(protocol, exc)

        server.connection_lost = connection_lost  # type: ignore[assignment, method-assign]


class PatientSite(web.SockSite):
    """A listening socket whose connections are waited for so long and no longer."""

    patience: Patience
    backlog: int
    """How many may wait to be accepted; so many are accepted in one turn of the loop, which the election waits for."""

    async def start(self) -> None:
        """As aiohttp's, with a look at each connection that is made."""
        await web.BaseSite.start(self)
        server = self._runner.server
        assert server is not None  # noqa: S101 - the runner has been set up

        def accept() -> asyncio.Protocol:
            protocol = server()
            protocol.__class__ = JsonErrors  # the runner has no way to say of which class they are
            self.patience.expect(protocol)
            return protocol

        self._server = await asyncio.get_running_loop().create_server(accept, sock=self._sock, backlog=self.backlog)
