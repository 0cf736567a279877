"""HTTP/1.1 as both listeners speak it: the checks on every request before a route sees it, and the headers of every answer.

No aiohttp middleware can do this: aiohttp answers `Expect` before it calls them, and an unreadable request never reaches them.
"""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web

from sidecar.http import authority
from sidecar.http.authority import Authority
from sidecar.http.errors import MAX_BODY_BYTES, TOO_LARGE, VERSIONS, RefusedError, refusal

Check = Callable[[web.BaseRequest, Authority | None], None]
"""A check of a request and of the host and port that it is made to (None only in HTTP/1.0). Raises RefusedError to refuse it."""

_SPOKEN: Final = (HttpVersion11, HttpVersion10)
_MAX_LENGTH_DIGITS: Final = 20


class Request(web.Request):
    """A request whose answer names no server software, whether a route, a stream or an error of the parser makes it."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        headers = response.headers
        del headers[hdrs.SERVER]  # aiohttp has just put it there
        headers["X-Content-Type-Options"] = "nosniff"


def speak(server: web.Server, application: web.Application, only_from: Check | None = None) -> None:
    """Check each request on the connections that `server` takes from now on. `only_from` refuses clients that may not ask this listener."""
    handle = server.request_handler

    async def checked(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, Request)  # of the factory below
        try:
            _check_version(request)
            asked = authority.of(request)
            if only_from is not None:
                only_from(request, asked)
            _check_body(request)
            _check_expectation(request)
        except RefusedError as refused:
            answer = refusal(refused.status, str(refused), refused.headers)
            answer.force_close()  # the next bytes may be the body of the refused request
            return answer
        return await handle(request)

    server.request_handler = checked
    server.request_factory = partial(application._make_request, _cls=Request)  # noqa: SLF001 - the one place that says of which class they are


def _check_version(request: Request) -> None:
    """Refuse another version of HTTP (RFC 9110 15.6.6), with an answer in HTTP/1.1 (2.5)."""
    if request._version not in _SPOKEN:  # noqa: SLF001 - `version` is cached once it was read, and the status line would repeat it
        request._version = HttpVersion11  # noqa: SLF001
        raise RefusedError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, VERSIONS)


def _check_body(request: Request) -> None:
    """Refuse a body that would be misread, or taken for no body at all."""
    headers = request.headers
    if hdrs.CONTENT_ENCODING in headers and not all(map(_is_identity, headers.getall(hdrs.CONTENT_ENCODING))):
        message = "a body with a Content-Encoding is not supported: send it without one, or send no body"
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message, {"Accept-Encoding": "identity"})
    transfer = headers.get(hdrs.TRANSFER_ENCODING)
    # HTTP/1.0 has no Transfer-Encoding: a request of 1.0 with one has faulty framing (RFC 9112 6.1).
    if transfer is not None and (transfer.lower() != "chunked" or request.version == HttpVersion10):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the body cannot be read: the only Transfer-Encoding supported is chunked, in HTTP/1.1")
    # Before the parser computes with the length: it takes the largest number that it can hold for no body at all.
    length = headers.get(hdrs.CONTENT_LENGTH)
    if length is not None and (len(length) > _MAX_LENGTH_DIGITS or int(length) > MAX_BODY_BYTES):
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)


def _is_identity(codings: str) -> bool:
    return all(coding.strip().lower() in {"", "identity"} for coding in codings.split(","))


def _check_expectation(request: Request) -> None:
    """Refuse every expectation but 100-continue (RFC 9110 10.1.1). aiohttp sends the 100, and none to HTTP/1.0."""
    headers = request.headers
    if hdrs.EXPECT in headers and any(expected.lower() not in {"", "100-continue"} for expected in headers.getall(hdrs.EXPECT)):
        raise RefusedError(HTTPStatus.EXPECTATION_FAILED, "the only Expect supported is 100-continue")
