"""Clients that connect and say nothing, or a header a minute, are let go: aiohttp has no limit of its own for a first request."""

import asyncio
from typing import Final

from aiohttp import web

from sidecar.http.errors import Handler
from sidecar.listen import BACKLOG

HEAD_SECONDS: Final = 10.0
"""From the connection to the last header of its first request; later ones have the keep-alive's limit."""


class Patience:
    """The connections of which no request has been heard yet."""

    def __init__(self) -> None:
        self._silent: dict[asyncio.BaseProtocol, asyncio.TimerHandle] = {}

    def expect(self, protocol: web.RequestHandler) -> None:
        """A connection has been made."""
        self._silent[protocol] = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._let_go, protocol)

    def forget(self, protocol: asyncio.BaseProtocol) -> None:
        """A request has been heard, or the connection is gone."""
        timer = self._silent.pop(protocol, None)
        if timer is not None:
            timer.cancel()

    def _let_go(self, protocol: web.RequestHandler) -> None:
        del self._silent[protocol]
        if protocol.transport is not None:
            protocol.transport.abort()

    @web.middleware
    async def heard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A whole request has come."""
        self.forget(request.protocol)
        return await handler(request)

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

    async def start(self) -> None:
        """As aiohttp's, with a look at each connection that is made."""
        await web.BaseSite.start(self)
        server = self._runner.server
        assert server is not None  # noqa: S101 - the runner has been set up

        def accept() -> asyncio.Protocol:
            protocol = server()
            self.patience.expect(protocol)
            return protocol

        self._server = await asyncio.get_running_loop().create_server(accept, sock=self._sock, backlog=BACKLOG)
