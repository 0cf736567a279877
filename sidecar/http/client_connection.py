"""A client's connection: HTTP/1 as aiohttp has it, at a cost that is small and known, whatever the client sends, and does not read.

One request is answered, one more may stand parsed behind it, and what comes after that stays unread. A head is counted while it comes in.
Answers that the client does not read are few bytes at a time; who reads nothing is let go (`listener.py`).
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import _ErrInfo

from sidecar.http.errors import Refused, unreadable

if TYPE_CHECKING:
    from sidecar.http.listener import Listener

MAX_HEAD_BYTES: Final = 16 * 1024
"""Of a request: its line, its header fields and the empty line."""
MAX_FRAMING_BYTES: Final = 2 * MAX_HEAD_BYTES
"""Of a chunked body: what is not the body itself, so chunk sizes, chunk extensions and trailers."""
MAX_FIELDS: Final = 128
MAX_PARAMETERS: Final = 64
"""Of the request target's query."""

LIGHT_BYTES: Final = 1024
LIGHT_FIELDS: Final = 20
LIGHT_PARAMETERS: Final = 8
"""A request with more is a large one: few are kept at a time, and its connection ends with its answer, since aiohttp keeps a request until
the next one on its connection."""

LINGERING_SECONDS: Final = 1.0
"""How long what a client still sends is read and thrown away after the last answer: a close before would take the answer with it
(RFC 9112 9.6)."""

_DROP: Final = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time (socket(7)): the client gets a reset."""
_END: Final = b"\r\n\r\n"
_READ: Final = memoryview(bytearray(MAX_HEAD_BYTES))
"""What is read from a socket, for all connections: it is taken out at once."""


class _Unfit(Refused, web.RequestPayloadError):
    """A body that is refused while it comes in: whoever reads it gets this."""


class Connection(web.RequestHandler, asyncio.BufferedProtocol):
    """One client's. aiohttp's, and what it has no limits for."""

    __slots__ = (
        "_body", "_body_bytes", "_deaf", "_edge", "_ended", "_eof", "_framing_bytes", "_head_bytes", "_heavy", "_hung_up", "_listener",
        "_rest", "_scope", "_unanswered", "wire",
    )  # fmt: skip

    def __init__(self, listener: "Listener", server: web.Server, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._parser = HttpRequestParser(
            self,
            self._loop,
            self._read_bufsize,
            max_line_size=MAX_HEAD_BYTES,
            max_field_size=MAX_HEAD_BYTES,
            max_headers=MAX_FIELDS,
            payload_exception=web.RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=1,
        )
        self._msg_queue_resume_size = 0
        self._listener = listener
        self._unanswered = 0
        """Requests that have come, to the end of their heads, and whose answers have not gone."""
        self._head_bytes = 0
        """Of a head that has not ended."""
        self._edge = b""
        """The last bytes of that, among which its end may begin."""
        self._rest = b""
        """What came behind a request that is queued; nothing more is read until that is taken."""
        self._body: StreamReader | None = None
        """Of the last request, until it is whole."""
        self._body_bytes: int | None = 0
        """What is still to come of it; None: chunked."""
        self._framing_bytes = 0
        self._heavy = False
        self._deaf = False
        """What still comes is thrown away; the answer in hand is the last."""
        self._eof = False
        """The client has closed its side, and all that it had sent has been read."""
        self._hung_up = False
        """It has closed its side, and what it had sent before is still to be read."""
        self._scope: asyncio.Timeout | None = None
        self._ended: asyncio.Future[None] | None = None
        self.wire: asyncio.Transport | None = None
        """The transport, for as long as it has a descriptor."""

    # ---- the connection ----------------------------------------------------------------------------------------------------------------

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

    def abort(self) -> None:
        """End it at once; what the client has not read is dropped by the kernel as well."""
        if self.wire is None:
            return
        if self.unsent_bytes():
            self.wire.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP)
        self.wire.abort()

    def unsent_bytes(self) -> int:
        """Of answers, what the kernel has not taken."""
        return self.wire.get_write_buffer_size() if self.wire is not None else 0

    # ---- what comes in -----------------------------------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - its signature
        """Where to read to, so much at a time: asyncio's own 256 KiB would be what a connection may cost."""
        return _READ

    def buffer_updated(self, nbytes: int) -> None:
        """So much has been read."""
        self.data_received(bytes(_READ[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Hand on one request after the other, so that no more than one is queued. With no data: what was left, or what a body has left."""
        if self._deaf or self._close or self._force_close:
            return
        if self._rest:
            data, self._rest = self._rest + data, b""
        elif not data and self._body is not None:
            super().data_received(data)
            self._body_moved(self._body)
        while data and not self._deaf:
            if self._body is not None:
                data = self._more_body(data, self._body)
            elif not self._messages:
                data = self._more_head(data)
            else:
                self._rest = data
                if not self._buffer_paused:
                    self._pause_reading_for_buffer()
                    self._listener.paused(self)
                return

    def _resume_reading_if_drained(self) -> None:
        """The queued request has been taken (aiohttp calls this then)."""
        self.data_received(b"")
        if not self._rest:
            self._listener.resumed(self)
            self._resume_reading_for_buffer()

    def _more_head(self, data: bytes) -> bytes:
        """What is left of `data` behind the end of a head, or nothing where that has not come."""
        before, edge = self._head_bytes, self._edge
        at = (edge + data).find(_END) if edge else data.find(_END)
        end = at + len(_END) - len(edge) if at >= 0 else len(data)
        if before + end > MAX_HEAD_BYTES:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the head of the request is too large: {MAX_HEAD_BYTES} bytes at most")
            return b""
        count = self._request_count
        super().data_received(data if end == len(data) else data[:end])
        if self._request_count != count:
            self._head_bytes, self._edge = 0, b""
            self._heard(before + end)
        else:
            self._head_bytes, self._edge = before + end, b"" if at >= 0 else (edge + data)[1 - len(_END) :]
            if not before:
                self._listener.begins(self)
            if self._head_bytes > LIGHT_BYTES:
                self._weigh()
        return data[end:]

    def _heard(self, head_bytes: int) -> None:
        """A head has ended: its request is the last in the queue."""
        self._unanswered += 1
        message, payload = self._messages[-1]
        if isinstance(message, _ErrInfo):
            self._deaf = True
            self._listener.asked(self)
            return
        self._deaf = self._upgraded
        heavy = head_bytes > LIGHT_BYTES or len(message.raw_headers) > LIGHT_FIELDS
        if not payload.is_eof():
            length = None if message.chunked else message.headers.get("Content-Length")
            self._body, self._body_bytes, self._framing_bytes = payload, None if length is None else int(length), 0
            heavy = heavy or self._body_bytes is None or self._body_bytes > LIGHT_BYTES
        parameters = message.path.count("&")
        self._listener.asked(self, whole=self._body is None)
        if parameters > MAX_PARAMETERS:
            self.refuse(
                HTTPStatus.REQUEST_URI_TOO_LONG, f"the request target has too many parameters: {MAX_PARAMETERS} at most", queued=True
            )
        elif heavy or parameters > LIGHT_PARAMETERS:
            self._weigh(queued=True)

    def _more_body(self, data: bytes, body: StreamReader) -> bytes:
        """What is left of `data` behind the body; behind a chunked one, nothing is read."""
        left = self._body_bytes
        piece = data if left is None or left >= len(data) else data[:left]
        if left is None:
            self._framing_bytes += len(piece)
        else:
            self._body_bytes = left - len(piece)
        super().data_received(piece)
        self._body_moved(body)
        return data[len(piece) :]

    def _body_moved(self, body: StreamReader) -> None:
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):  # of the body, so it is no request of its own
            self._messages.pop()
            self._spoil(body, HTTPStatus.BAD_REQUEST, "the body cannot be read: send it whole, as its Content-Length or its chunks say")
        elif body.is_eof():
            self._deaf = self._body_bytes is None
            self._body = None
            self._listener.asked(self)
        elif self._body_bytes is None and self._framing_bytes - body.total_bytes > MAX_FRAMING_BYTES:
            message = f"the chunks of the body have too much beside it: {MAX_FRAMING_BYTES} bytes of sizes, extensions and trailers at most"
            self._spoil(body, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message)

    def _spoil(self, body: StreamReader, status: HTTPStatus, message: str) -> None:
        """No more of a body comes: whoever reads it is told why, and the connection ends."""
        self._body, self._deaf = None, True
        body.set_exception(_Unfit(status, message))

    def _weigh(self, *, queued: bool = False) -> None:
        if not self._heavy:
            self._heavy = True
            if not self._listener.heavy(self):
                message = "too many large requests are waiting already: close some, or send less than 1 KiB of header fields"
                self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, message, queued=queued)

    def refuse(self, status: HTTPStatus, message: str, *, queued: bool = False) -> None:
        """Answer what comes in, or what stands last in the queue, with an error, after what was asked before; then the connection ends."""
        self._deaf = True
        error = _ErrInfo(status=status, exc=HttpProcessingError(code=status, message=message), message=message)
        if queued:
            self._messages[-1] = (error, EMPTY_PAYLOAD)
            return
        self._messages.append((error, EMPTY_PAYLOAD))
        self._unanswered += 1
        self._listener.asked(self)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # ---- the client closes its side ----------------------------------------------------------------------------------------------------

    def eof_received(self) -> bool:  # type: ignore[override] # as asyncio has it; aiohttp always lets go
        """It gets the answers to what it has asked (RFC 9112 9.6); what waits for it is told, and waits no longer."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        if not self._unanswered:
            return False
        self._eof = True
        if self._body is not None:
            self._spoil(self._body, HTTPStatus.BAD_REQUEST, "the body has ended too early: send it whole")
        self.hangs_up()
        return True

    def hangs_up(self) -> None:
        """Its side is closed, be it that something it sent before is still to be read."""
        self._hung_up = True
        if self._scope is not None:
            self._scope.reschedule(self._loop.time())

    def waits(self, scope: asyncio.Timeout | None) -> None:
        """End `scope` when the client closes its side; None: no longer."""
        self._scope = scope
        if scope is not None and self._hung_up:
            scope.reschedule(self._loop.time())

    # ---- answers -----------------------------------------------------------------------------------------------------------------------

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """As aiohttp's, to the last byte that the kernel takes; then the connection rests, or ends."""
        if self._unanswered == 1:
            if self._heavy and not self._rest and not self._head_bytes:
                self._deaf = True
            if self._deaf or self._eof:
                resp.force_close()
        found = await super().finish_response(request, resp, start_time)
        if self._deaf and self._unanswered == 1:
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
        if isinstance(exc, LineTooLong) or (isinstance(exc, HttpProcessingError) and exc.message.startswith("Too many headers")):
            status, message = (
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the head of the request is too large: {MAX_FIELDS} header fields at most",
            )
        return unreadable(status, message or "")


@asynccontextmanager
async def until_hung_up(request: web.Request) -> AsyncIterator[None]:
    """The body is left as soon as the client closes its side: whoever waits for it waits in vain, or has to be answered now."""
    connection = request.protocol
    if not isinstance(connection, Connection):
        yield
        return
    try:
        async with asyncio.timeout(None) as scope:
            connection.waits(scope)
            yield
    except TimeoutError:
        pass
    finally:
        connection.waits(None)
