"""Every error of the HTTP contract is JSON, `{"error": …, "message": …}`, and says what was wrong and what is allowed."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from sidecar.escaping import cut, plain, to_json

_log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 64 * 1024
TOO_LARGE: Final = "the body is too large: 64 KiB at most"
VERSIONS: Final = "this version of HTTP is not supported: use HTTP/1.1 or HTTP/1.0"
_OTHER_VERSION: Final = ("Invalid HTTP version", "Pause on PRI/Upgrade")
"""llhttp's words for another version of HTTP; the second ones for HTTP/2's first bytes."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RefusedError(Exception):
    """Raised to answer a request with an error."""

    def __init__(self, status: HTTPStatus, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


def refusal(status: HTTPStatus, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error response as the contract has it."""
    body = to_json({"error": status.phrase.lower(), "message": message})
    found = {"Cache-Control": "no-store"} | (headers or {})
    return web.Response(status=status, text=body, content_type="application/json", headers=found)


@web.middleware
async def as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever goes wrong in a route in JSON; no client sees a traceback."""
    try:
        return await handler(request)
    except RefusedError as refused:
        return refusal(refused.status, str(refused), refused.headers)
    except web.HTTPException as error:
        status = HTTPStatus(error.status)
        allow = error.headers.get("Allow", "")
        message = {
            HTTPStatus.NOT_FOUND: f"there is no route {plain(request.path or request.raw_path, 200)}; GET /openapi.json lists all routes",
            HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not allowed on {request.path}; allowed: {allow}",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TOO_LARGE,
        }.get(status, error.reason)
        return refusal(status, message, {"Allow": allow} if allow else None)
    except web.RequestPayloadError:
        answer = refusal(HTTPStatus.BAD_REQUEST, "the body cannot be read: send all of it, as Content-Length or Transfer-Encoding says")
        answer.force_close()  # where the next request begins cannot be told
        return answer
    except Exception:  # noqa: BLE001 - the last resort before a user
        _log.exception("a request failed", extra={"fields": {"method": request.method, "path": request.path}})
        return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "an error inside the sidecar; its log has the details")


def unreadable(status: int, message: str) -> web.Response:
    """The answer to a request that cannot be read, which no middleware sees; then the connection ends."""
    if any(words in message for words in _OTHER_VERSION):
        status, said = HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, VERSIONS
    elif status == HTTPStatus.INTERNAL_SERVER_ERROR:
        said = "an error inside the sidecar; its log has the details"
    else:
        said = cut(message.partition("\n")[0].rstrip(":"), 300)
    answer = refusal(HTTPStatus(status), said or "this is no readable HTTP request")
    answer.force_close()
    return answer
