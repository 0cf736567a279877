"""Who may speak to the app listener: this Pod's own programs, not a page in somebody's browser (DNS rebinding, cross-origin POSTs)."""

from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from aiohttp import web

from sidecar.http.errors import Handler, Refused

_READING = frozenset({"GET", "HEAD"})


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _is_local(authority: str) -> bool:
    """Whether it is localhost's: by name, or by any of its addresses, which no foreign name stands behind."""
    try:
        host = urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return False
    return host == "localhost" or _is_loopback(host)


def _is_local_origin(origin: str) -> bool:
    _, scheme, authority = origin.partition("://")
    return bool(scheme) and _is_local(authority)


@web.middleware
async def local_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """421 for a Host that is not localhost's, 403 for a POST from another origin; from beyond this machine nothing but reading."""
    where = request.transport.get_extra_info("sockname") if request.transport is not None else ("127.0.0.1", 0)
    if isinstance(where, tuple) and not _is_loopback(where[0]):
        if request.method not in _READING:
            raise Refused(HTTPStatus.FORBIDDEN, "commands are taken over localhost or a unix socket alone: from elsewhere only read")
        return await handler(request)
    host = request.headers.get("Host")  # none in HTTP/1.0 alone, which no browser speaks
    if isinstance(where, tuple) and host is not None and not _is_local(host):
        message = f"the Host header {host!r} is not this listener's: ask localhost, 127.0.0.1 or [::1]"
        raise Refused(HTTPStatus.MISDIRECTED_REQUEST, message)
    if request.method not in _READING:
        origin = request.headers.get("Origin")
        foreign = origin is not None and not _is_local_origin(origin)
        if foreign or request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            raise Refused(HTTPStatus.FORBIDDEN, "a page of another origin may not command this sidecar: POST from a program of the Pod")
    return await handler(request)
