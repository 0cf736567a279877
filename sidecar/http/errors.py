"""Every error of the HTTP contract is JSON: `{"error": …, "message": …}`, what was wrong and what is allowed."""

import json
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

_log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A request that is answered with an error."""

    def __init__(self, status: HTTPStatus, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


def refusal(status: HTTPStatus, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error as the contract has it."""
    body = json.dumps({"error": status.phrase.lower(), "message": message})
    plain = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return web.Response(status=status, text=body, content_type="application/json", headers=plain | (headers or {}))


@web.middleware
async def as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever goes wrong into JSON; nobody sees a traceback."""
    try:
        return await handler(request)
    except Refused as refused:
        return refusal(refused.status, str(refused), refused.headers)
    except web.HTTPException as error:
        status = HTTPStatus(error.status)
        allow = error.headers.get("Allow", "")
        message = {
            HTTPStatus.NOT_FOUND: f"there is no {request.path}; see the README for the routes",
            HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not allowed on {request.path}, {allow} is",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is too large: 64 KiB at most",
        }.get(status, error.reason)
        return refusal(status, message, {"Allow": allow} if allow else None)
    except web.RequestPayloadError:
        return refusal(HTTPStatus.BAD_REQUEST, "the body cannot be decoded: send it whole, as its Content-Encoding and -Length say")
    except Exception:  # noqa: BLE001 - the last resort before a user
        _log.exception("a request failed", extra={"fields": {"method": request.method, "path": request.path}})
        return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of the sidecar's own; its log says more")
