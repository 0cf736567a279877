"""HTTP/1.1 as both listeners speak it: what any request must be before a route sees it, and what every answer carries.

Here because aiohttp's middlewares come too late: `Expect` is answered before them, and an answer to what is no request never passes one.
"""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web

from sidecar.http import authority
from sidecar.http.authority import Authority
from sidecar.http.errors import MAX_BODY_BYTES, TOO_LARGE, VERSIONS, Refused, refusal

Check = Callable[[web.BaseRequest, Authority | None], None]
"""Of a request and to whom it is made. Raises Refused."""

_SPOKEN: Final = (HttpVersion11, HttpVersion10)
_MAX_LENGTH_DIGITS: Final = 20


class Request(web.Request):
    """A request whose answer, whoever makes it (a route, a stream, the parser's errors), says nothing of what serves it."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        headers = response.headers
        del headers[hdrs.SERVER]  # aiohttp has just put it there
        headers["X-Content-Type-Options"] = "nosniff"


def speak(server: web.Server, application: web.Application, guard: Check | None = None) -> None:
    """Let every connection that `server` takes from now on speak it. `guard`: who may ask this listener."""
    handle = server.request_handler

    async def checked(request: web.BaseRequest) -> web.StreamResponse:
        assert isinstance(request, Request)  # noqa: S101 - of the factory below
        try:
            _check_version(request)
            asked = authority.of(request)
            if guard is not None:
                guard(request, asked)
            _check_body(request)
            _check_expectation(request)
        except Refused as refused:
            answer = refusal(refused.status, str(refused), refused.headers)
            answer.force_close()  # what follows may be the body of what was refused
            return answer
        return await handle(request)

    server.request_handler = checked
    server.request_factory = partial(application._make_request, _cls=Request)  # noqa: SLF001 - the one place that says of which class they are


def _check_version(request: Request) -> None:
    """Another major version is not understood (RFC 9110 15.6.6); the answer is in HTTP/1.1, which is spoken here (2.5)."""
    if request._version not in _SPOKEN:  # noqa: SLF001 - `version` is kept once it was read, and the status line would echo it
        request._version = HttpVersion11  # noqa: SLF001
        raise Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, VERSIONS)


def _check_body(request: Request) -> None:
    """Whether what comes as its body can be read as what was meant: else it might count as none."""
    headers = request.headers
    if hdrs.CONTENT_ENCODING in headers and not all(map(_is_identity, headers.getall(hdrs.CONTENT_ENCODING))):
        message = "a body with a Content-Encoding is not read here: send it as it is, or none"
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message, {"Accept-Encoding": "identity"})
    transfer = headers.get(hdrs.TRANSFER_ENCODING)
    # One that has no such field yet has faulty framing (RFC 9112 6.1).
    if transfer is not None and (transfer.lower() != "chunked" or request.version == HttpVersion10):
        raise Refused(HTTPStatus.BAD_REQUEST, "the body cannot be read: of Transfer-Encoding HTTP/1.1's chunked alone is understood")
    # Before the parser counts with it: it takes the largest number that it can hold for no body at all.
    length = headers.get(hdrs.CONTENT_LENGTH)
    if length is not None and (len(length) > _MAX_LENGTH_DIGITS or int(length) > MAX_BODY_BYTES):
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)


def _is_identity(codings: str) -> bool:
    return all(coding.strip().lower() in {"", "identity"} for coding in codings.split(","))


def _check_expectation(request: Request) -> None:
    """RFC 9110 10.1.1; aiohttp sends the 100, and to HTTP/1.0 none."""
    headers = request.headers
    if hdrs.EXPECT in headers and any(expected.lower() not in {"", "100-continue"} for expected in headers.getall(hdrs.EXPECT)):
        raise Refused(HTTPStatus.EXPECTATION_FAILED, "of Expect 100-continue alone is understood")
