"""A client's connection: HTTP/1 as aiohttp has it, at a cost that is small and known, whatever the client sends and does not read.

What comes in is bounded by `intake.py`, how many connections there are, and how long one may read nothing, by `listener.py`.
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
"""How long what a client still sends is read and thrown away after the last answer: a close before would take the answer with it
(RFC 9112 9.6)."""


class Connection(Intake):
    """One client's: its answers, what it does not read of them, and its end."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As aiohttp's. Whatever the kernel does not take is known to be unread."""
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a stream socket
        self.wire = transport
        transport.set_write_buffer_limits(high=0)
        self._listener.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """As aiohttp's: with it the handler ends."""
        self._listener.closed(self)
        super().connection_lost(exc)
        self.wire = None
        self._rest = self._edge = b""

    def pause_writing(self) -> None:
        """The client does not read as fast as it is answered."""
        super().pause_writing()
        self._listener.stalls(self)

    def resume_writing(self) -> None:
        """It has read all."""
        super().resume_writing()
        self._listener.flows(self)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """As aiohttp's, to the last byte that the kernel takes; then the connection rests, or ends."""
        if self._unanswered == 1 and (self._deaf or self._eof):
            resp.force_close()
        found = await super().finish_response(request, resp, start_time)
        if self._refused and self._unanswered == 1:
            await self._linger()
        self._unanswered -= 1
        if isinstance(resp, web.Response):
            resp.body = None  # aiohttp keeps it until the next one
        if self._unanswered:
            await asyncio.sleep(0)  # however many it has sent at once, others have their turn
        elif self._eof:
            self._close = True
        else:
            self._listener.rests(self, begun=self._head_bytes > 0)
        return found

    async def _linger(self) -> None:
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
        """As aiohttp's, which logs it, and raises where part of an answer has gone; in JSON, as every error. Then the connection ends."""
        super().handle_error(request, status, exc, message)
        if too_large(exc):
            status, message = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the request has too many header fields: {MAX_FIELDS} at most"
        return unreadable(status, message or "")
