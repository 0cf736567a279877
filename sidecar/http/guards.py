"""Who may speak to the app listener: this Pod's own programs, not a page in somebody's browser (DNS rebinding, cross-origin POSTs)."""

from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web

from sidecar.http.errors import Handler, Refused

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def _is_local(authority: str) -> bool:
    try:
        return urlsplit(f"//{authority}").hostname in _LOCAL
    except ValueError:
        return False


def _is_local_origin(origin: str) -> bool:
    _, scheme, authority = origin.partition("://")
    return bool(scheme) and _is_local(authority)


@web.middleware
async def local_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """421 for a Host that is not localhost's, 403 for a POST that comes from another origin."""
    over_tcp = request.transport is None or isinstance(request.transport.get_extra_info("sockname"), tuple)
    if over_tcp and not _is_local(request.headers.get("Host", "")):
        message = f"the Host header {request.headers.get('Host', '')!r} is not this listener's: ask localhost, 127.0.0.1 or [::1]"
        raise Refused(HTTPStatus.MISDIRECTED_REQUEST, message)
    if request.method not in {"GET", "HEAD"}:
        origin = request.headers.get("Origin")
        foreign = origin is not None and not _is_local_origin(origin)
        if foreign or request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            raise Refused(HTTPStatus.FORBIDDEN, "a page of another origin may not command this sidecar: POST from a program of the Pod")
    return await handler(request)
