"""Sends requests to the API server: JSON over aiohttp's sessions.

Not by kubernetes_asyncio's client, which costs memory in every Pod. Its session reads .netrc in a thread for each request, obeys the
image's proxy variables, sets no keepalive, and is built once, with the CA certificates of that moment.
"""

import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from multidict import CIMultiDict

from sidecar import __version__
from sidecar.election.record import JSON
from sidecar.kubernetes import tls
from sidecar.kubernetes.credentials import Access
from sidecar.kubernetes.responses import Answer

MAX_CONNECTIONS: Final = 8
MAX_BODY_BYTES: Final = 4 * 2**20
"""etcd holds no object above 1.5 MiB. A larger body is no Lease, and must not fill the sidecar's memory."""

_log = logging.getLogger(__name__)


class BrokenAnswerError(Exception):
    """There is no answer, or one that cannot be read."""


class UntrustedError(Exception):
    """The API server's certificate is refused, and a setting would accept it."""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    """The path, with its query."""
    headers: dict[str, str]
    data: str | None


class _Line:
    """A session, and the requests under way on it. Each call sends one request, neither repeated nor redirected."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        # aiohttp repeats an idempotent request by itself when the connection breaks: not counted (L2), at a moment that nobody knows (S3).
        if hasattr(session, "_retry_connection"):
            session._retry_connection = False  # noqa: SLF001 - no public switch in aiohttp 3.14
        self.session = session
        self.users = 0
        self.answers: set[aiohttp.ClientResponse] = set()
        self.retired = False

    async def close(self) -> None:
        if isinstance(self.session.connector, aiohttp.TCPConnector):
            await self.session.connector.close(abort_ssl=True)  # abort TLS without close_notify: the process may be ending
        await self.session.close()
        for response in list(self.answers):
            # Wakes the reader of the response; to close the session alone does not.
            response.close()

    async def close_if_idle(self) -> None:
        if self.retired and self.users == 0:
            await self.close()


class Transport:
    """Sends the sidecar's requests, and follows changes of its token and its certificates.

    `tcp_timeout_seconds`: a connection breaks when data or a keepalive probe stays unacknowledged for so long (TCP_USER_TIMEOUT).
    """

    def __init__(self, access: Access, tcp_timeout_seconds: float) -> None:
        self._access = access
        self._tcp_timeout_seconds = tcp_timeout_seconds
        self._secure = access.configuration.host.startswith("https://")
        self._tls = access.tls_context() if self._secure else None
        self._tls_stamp = self._tried_stamp = access.tls_stamp
        self._distrusted = False
        self._closed = False
        self._in_use: set[_Line] = set()
        self._shared = self._line(force_close=False)

    @classmethod
    async def open(cls, access: Access, tcp_timeout_seconds: float) -> "Transport":
        """A transport; no connection is made yet."""
        return cls(access, tcp_timeout_seconds)

    async def exchange(self, method: str, path: str, body: JSON | None = None, content_type: str = "application/json") -> Answer:
        """Send one request, and read its whole answer. After a 401 send it once more, if there are other credentials."""
        async with self.stream(method, path, body=body, content_type=content_type) as response:
            return await read(response)

    @asynccontextmanager
    async def stream(  # noqa: PLR0913 - a request has that many parts
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: JSON | None = None,
        content_type: str = "application/json",
        alone: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """As `exchange`, but the caller reads the body; `alone`: on a connection of its own, which ends with the answer."""
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": content_type,
            "User-Agent": f"leader-sidecar/{__version__}",
        }
        data = None if body is None else json.dumps(body)
        request = _Request(method, f"{path}?{urlencode(query)}" if query else path, headers, data)
        await self._access.refresh()
        shown = self._access.shown
        async with self._send(request, alone=alone) as response:
            if response.status != HTTPStatus.UNAUTHORIZED or not await self._access.renew(shown):
                yield response
                return
        # The 401 came before the request was carried out, so the request is carried out once at most.
        async with self._send(request, alone=alone) as response:
            yield response

    @property
    def trouble(self) -> str:
        """Why the credentials may have become useless; "" while nothing is wrong."""
        return self._access.trouble

    async def close(self) -> None:
        """Break off every request under way, watches too; later requests fail."""
        self._closed = True
        await self._access.close()
        for line in {self._shared, *self._in_use}:
            await line.close()

    @asynccontextmanager
    async def _send(self, request: "_Request", *, alone: bool) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._closed:
            raise BrokenAnswerError("the store is closed")
        await self._follow_certificates()
        line = self._line(force_close=True) if alone else self._shared
        line.retired = line.retired or alone
        line.users += 1
        self._in_use.add(line)
        response = None
        try:
            response = await line.session.request(
                request.method,
                f"{self._access.configuration.host}{request.path}",
                headers=CIMultiDict([*request.headers.items(), *self._access.headers]),
                data=request.data,
                allow_redirects=False,
                proxy=self._access.configuration.proxy,
                server_hostname=self._access.configuration.tls_server_name,
            )
            line.answers.add(response)
            yield response
        except (aiohttp.ClientConnectionError, ssl.SSLError) as error:
            if not self._of_certificates(error):
                raise
            self._distrusted = True
            self._access.distrust()
            if not isinstance(error, aiohttp.ClientConnectorCertificateError):
                raise
            if said := tls.complaint(error.certificate_error):
                raise UntrustedError(said) from error
            raise
        finally:
            # The rest of this answer must not be taken for the beginning of the next one.
            if response is not None and not response.content.at_eof():
                response.close()
            line.answers.discard(response)
            line.users -= 1
            if not line.users:
                self._in_use.discard(line)
            await line.close_if_idle()

    def _of_certificates(self, error: BaseException) -> bool:
        """Whether the API server's certificate, or the client's, may be the reason of `error`.

        In TLS 1.3 a server refuses a client's certificate after the handshake (RFC 8446 appendix E.1.2): the client may see no more than
        that the connection ends.
        """
        if not self._secure or isinstance(error, aiohttp.ClientConnectorDNSError):
            return False
        if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
            return True
        shows_one = self._access.configuration.cert_data or self._access.configuration.cert_file
        return bool(shows_one) and not isinstance(error, aiohttp.ClientConnectorError)

    async def _follow_certificates(self) -> None:
        now = self._access.tls_stamp
        if not self._secure or (now in (self._tls_stamp, self._tried_stamp) and not self._distrusted):
            return
        anew, self._distrusted = self._distrusted, False
        self._tried_stamp = now
        try:
            self._tls = self._access.tls_context(anew=anew)
        except (OSError, ValueError) as error:
            files = ", ".join(path for path, _ in now)
            _log.warning("cannot load the changed TLS files; the previous ones stay in use: %s: %s", files, error)
            return
        self._tls_stamp = now
        former, self._shared = self._shared, self._line(force_close=False)
        former.retired = True
        await former.close_if_idle()

    def _line(self, *, force_close: bool) -> _Line:
        connector = aiohttp.TCPConnector(
            limit=MAX_CONNECTIONS,
            force_close=force_close,
            ssl=self._tls if self._tls is not None else True,
            socket_factory=self._socket,
        )
        # Without aiohttp's time limit: the caller cancels, at a deadline that is not rounded up.
        session = aiohttp.ClientSession(
            connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=None)
        )
        return _Line(session)

    def _socket(self, address: Any) -> socket.socket:
        family, kind, protocol = address[:3]
        made = socket.socket(family, kind, protocol)
        seconds = self._tcp_timeout_seconds
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            ("TCP_KEEPIDLE", round(seconds / 2)),
            ("TCP_KEEPINTVL", round(seconds / 4)),
            ("TCP_KEEPCNT", 2),
            ("TCP_USER_TIMEOUT", round(seconds * 1000)),
        ):
            # Linux has all of these options; other systems have some.
            with suppress(AttributeError, OSError):
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), max(value, 1))
        return made


async def read(response: aiohttp.ClientResponse) -> Answer:
    """The whole answer; BrokenAnswerError where it is too large."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise BrokenAnswerError(f"HTTP {response.status} with more than {MAX_BODY_BYTES} bytes")
    return Answer(response.status, response.headers, bytes(body))
