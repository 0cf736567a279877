"""Reads what a client sends: one request after the other, each of bounded size, and no more than one beyond the one being answered.

One request is answered, one more may wait behind it, parsed, and what comes after that stays in the kernel. The bytes of a head are counted
while they come in. aiohttp's own parser reads the requests, a head or a body at a time.
"""

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import HttpRequestParser
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import _ErrInfo

from sidecar.http.errors import RefusedError
from sidecar.http.limits import (
    LIGHT_BYTES,
    LIGHT_FIELDS,
    LIGHT_PARAMETERS,
    MAX_FIELDS,
    MAX_FRAMING_BYTES,
    MAX_HEAD_BYTES,
    MAX_PARAMETERS,
)

if TYPE_CHECKING:
    from sidecar.http.listener import Listener

_END: Final = b"\r\n\r\n"
_READ: Final = memoryview(bytearray(MAX_HEAD_BYTES))
"""The buffer into which all connections read from their sockets: each takes its bytes out at once."""


class _UnfitBodyError(RefusedError, web.RequestPayloadError):
    """A body was refused while it came in; raised in the handler that reads it."""


def too_large(error: BaseException | None) -> bool:
    """Whether aiohttp's parser has found a header field or a trailer too large, or too many of them."""
    return isinstance(error, LineTooLong) or (isinstance(error, HttpProcessingError) and error.message.startswith("Too many headers"))


class Intake(web.RequestHandler, asyncio.BufferedProtocol):
    """aiohttp's connection, with bounds on what its client sends. Tells its listener of each request."""

    __slots__ = (
        "_body", "_body_bytes", "_deaf", "_edge", "_ended", "_eof", "_framing_bytes", "_head_bytes", "_heavy", "_hung_up", "_listener",
        "_refused", "_rest", "_scope", "_unanswered", "wire",
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
        """The number of requests whose heads have come whole and whose answers are not sent."""
        self._head_bytes = 0
        """The number of bytes of a head that has not ended."""
        self._edge = b""
        """The last bytes of that head: the end of the head may begin among them."""
        self._rest = b""
        """The bytes behind a request that is queued; no more is read until a handler has taken that request."""
        self._body: StreamReader | None = None
        """The last request's body, until it is whole."""
        self._body_bytes: int | None = 0
        """The number of bytes of that body that are still to come; None where it is chunked."""
        self._framing_bytes = 0
        """The number of bytes of a chunked body that have come, its framing included."""
        self._heavy = False
        """A large request is held here (`limits.LIGHT_BYTES`)."""
        self._deaf = False
        """Whatever the client still sends is thrown away; the answer under way is the last."""
        self._refused = False
        """As `_deaf`, and the client may still be sending."""
        self._eof = False
        """The client has closed its side, and everything that it sent has been read."""
        self._hung_up = False
        """The client has closed its side; some of what it sent may still be unread."""
        self._scope: asyncio.Timeout | None = None
        """Ended when the client closes its side."""
        self._ended: asyncio.Future[None] | None = None
        """Set when the client closes its side after the last answer was sent."""
        self.wire: asyncio.Transport | None = None
        """The transport, for as long as it has a descriptor."""

    def unsent_bytes(self) -> int:
        """The number of bytes of answers that the kernel has not taken."""
        return self.wire.get_write_buffer_size() if self.wire is not None else 0

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - its signature
        """The buffer to read into. It is small: with asyncio's own, a connection could cost 256 KiB."""
        return _READ

    def buffer_updated(self, nbytes: int) -> None:
        """Take in the bytes that were read."""
        self.data_received(bytes(_READ[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Hand one request after the other to aiohttp, so that no more than one is queued. Without data: what is left of earlier data."""
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
        """A handler has taken the queued request: aiohttp calls this."""
        self.data_received(b"")
        if not self._rest:
            self._listener.resumed(self)
            self._resume_reading_for_buffer()

    def _more_head(self, data: bytes) -> bytes:
        """Take in part of a head. Returns the bytes of `data` behind its end; b"" if the end has not come or the head is refused."""
        before, edge = self._head_bytes, self._edge
        at = (edge + data).find(_END) if edge else data.find(_END)
        end = at + len(_END) - len(edge) if at >= 0 else len(data)
        if before + end > MAX_HEAD_BYTES:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the head of the request is too large: {MAX_HEAD_BYTES} bytes at most")
            return b""
        assert self._parser is not None  # until the connection is lost
        if not before:
            self._parser.feed_data(b"")  # after a request that offers h2c it is still paused, and would lose these bytes
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
        """A head is whole, and its request is the last in the queue: check it against the bounds."""
        self._unanswered += 1
        message, payload = self._messages[-1]
        if isinstance(message, _ErrInfo):
            self._deaf = self._refused = True
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
        elif self._heavy and self._unanswered == 1:
            self._heavy = False
            self._listener.light(self)

    def _more_body(self, data: bytes, body: StreamReader) -> bytes:
        """Take in part of a body; return the bytes of `data` behind its end. Behind a chunked body nothing more is read."""
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
        """The parser has taken in part of `body`: see whether it is whole, faulty or too large."""
        if self._messages and isinstance(error := self._messages[-1][0], _ErrInfo):  # an error in the body, queued as a request
            self._messages.pop()
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if too_large(error.exc) else HTTPStatus.BAD_REQUEST
            self._spoil(body, status, "the body cannot be read: send all of it, as its Content-Length or its chunks say, with few trailers")
        elif body.is_eof():
            self._deaf = self._body_bytes is None
            self._body = None
            self._listener.asked(self)
        elif self._body_bytes is None and self._framing_bytes - body.total_bytes > MAX_FRAMING_BYTES:
            message = f"the chunk sizes, extensions and trailers of the body are too large: together {MAX_FRAMING_BYTES} bytes at most"
            self._spoil(body, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message)

    def _spoil(self, body: StreamReader, status: HTTPStatus, message: str) -> None:
        """Give up a body: the handler that reads it gets the error, and the connection ends."""
        self._body, self._deaf, self._refused = None, True, True
        body.set_exception(_UnfitBodyError(status, message))

    def _weigh(self, *, queued: bool = False) -> None:
        """The request is a large one: refuse it where too many large ones are held already."""
        if not self._heavy:
            self._heavy = True
            if not self._listener.heavy(self):
                message = "too many large requests are waiting already: close some, or send less than 1 KiB of header fields"
                self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, message, queued=queued)

    def refuse(self, status: HTTPStatus, message: str, *, queued: bool = False) -> None:
        """Answer the request that comes in, or the last queued one, with an error, after all before it; then the connection ends."""
        self._deaf = self._refused = True
        error = _ErrInfo(status=status, exc=HttpProcessingError(code=status, message=message), message=message)
        if queued:
            self._messages[-1] = (error, EMPTY_PAYLOAD)
            return
        self._messages.append((error, EMPTY_PAYLOAD))
        self._unanswered += 1
        self._listener.asked(self)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def eof_received(self) -> bool:  # type: ignore[override] # as asyncio has it; aiohttp always lets go
        """The client has closed its side. It still gets its answers (RFC 9112 9.6), at once where a request of it waits."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        if not self._unanswered:
            return False
        self._eof = True
        if self._body is not None:
            self._spoil(self._body, HTTPStatus.BAD_REQUEST, "the body has ended too early: send all of it")
        self.hangs_up()
        return True

    def hangs_up(self) -> None:
        """The client has closed its side, even if something that it sent before is still unread: end its wait."""
        self._hung_up = True
        if self._scope is not None:
            self._scope.reschedule(self._loop.time())

    def waits(self, scope: asyncio.Timeout | None) -> None:
        """End `scope` when the client closes its side; None to end nothing any more."""
        self._scope = scope
        if scope is not None and self._hung_up:
            scope.reschedule(self._loop.time())
