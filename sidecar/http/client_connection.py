"""A client's connection: aiohttp's HTTP/1, at a small and known cost, whatever the client sends, and whatever it does not read.

`intake.py` bounds what a client sends. `listener.py` bounds the number of connections, and how long a client may leave its answers unread.
"""

import asyncio
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from aiohttp import web

from sidecar.http.errors import unreadable
from sidecar.http.intake import Intake, too_large
from sidecar.http.limits import MAX_FIELDS

LINGERING_SECONDS: Final = 1.0
"""For so long after the last answer the client's bytes are read and thrown away: to close sooner could destroy the answer on its way
(RFC 9112 9.6)."""


class Connection(Intake):
    """One client's connection: the answers, the part of them that the client has not read, and the end."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As aiohttp's. With a limit of 0 bytes the transport calls `pause_writing` as soon as the kernel takes no more."""
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)  # of a stream socket
        self.wire = transport
        transport.set_write_buffer_limits(high=0)
        self._listener.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """As aiohttp's, which ends the handler."""
        self._listener.closed(self)
        super().connection_lost(exc)
        self.wire = None
        self._rest = self._edge = b""

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        super().pause_writing()
        self._listener.stalls(self)

    def resume_writing(self) -> None:
        """The client has read everything."""
        super().resume_writing()
        self._listener.flows(self)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """As aiohttp's: it returns when the kernel has taken the last byte. Then the connection waits for the next request, or ends."""
        if self._unanswered == 1 and (self._deaf or self._eof):
            resp.force_close()
        found = await super().finish_response(request, resp, start_time)
        if self._refused and self._unanswered == 1:
            await self._linger()
        self._unanswered -= 1
        if isinstance(resp, web.Response):
            resp.body = None  # aiohttp would keep it until the next answer
        if self._unanswered:
            await asyncio.sleep(0)  # let other clients have their turn, however many requests this one has sent at once
        elif self._eof:
            self._close = True
        else:
            self._listener.rests(self, begun=self._head_bytes > 0)
        return found

    async def _linger(self) -> None:
        """Close the sending half, and wait until the client has closed its own, for LINGERING_SECONDS at most."""
        if self._eof or self.transport is None:
            return
        self._ended = self._loop.create_future()
        self.transport.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGERING_SECONDS):
                await self._ended

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """As aiohttp's, which logs the error, and raises where part of an answer is sent; but in JSON. Then the connection ends."""
        super().handle_error(request, status, exc, message)
        if too_large(exc):
            status, message = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the request has too many header fields: {MAX_FIELDS} at most"
        return unreadable(status, message or "")
