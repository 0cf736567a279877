"""Which clients the app listener answers: this Pod's own programs, and no page in a browser (DNS rebinding, cross-origin POSTs)."""

from functools import lru_cache
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address

from aiohttp import hdrs, web

from sidecar.escaping import plain
from sidecar.http import authority
from sidecar.http.errors import RefusedError

_READING = frozenset({"GET", "HEAD"})


@lru_cache(maxsize=64)  # asked for each request, and mostly of the same address
def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _is_local(host: str) -> bool:
    """Whether `host` is localhost's name, or one of its addresses (which DNS rebinding cannot forge)."""
    return host == "localhost" or _is_loopback(host[1:-1] if host.startswith("[") else host)


def local_only(request: web.BaseRequest, asked: authority.Authority | None) -> None:
    """Refuse an authority that is not localhost's (421), commands from a page of another origin or from another machine (403)."""
    where = request.transport.get_extra_info("sockname") if request.transport is not None else ("127.0.0.1", 0)
    if isinstance(where, tuple) and not _is_loopback(where[0]):
        if request.method not in _READING:
            message = "send commands over localhost or a unix socket: on other addresses only GET and HEAD are allowed"
            raise RefusedError(HTTPStatus.FORBIDDEN, message)
        return
    # Only a request of HTTP/1.0, which no browser speaks, may have no authority.
    if isinstance(where, tuple) and asked is not None and not _is_local(asked.host):
        message = f"the host '{plain(asked.host, 100)}' is not a name of this listener: use localhost, 127.0.0.1 or [::1]"
        raise RefusedError(HTTPStatus.MISDIRECTED_REQUEST, message)
    if request.method not in _READING:
        _check_origin(request, asked)


def _check_origin(request: web.BaseRequest, asked: authority.Authority | None) -> None:
    """Refuse (403) a request of a page, unless that page has the same scheme, host and port: another port is another program."""
    origins = request.headers.getall(hdrs.ORIGIN, ())
    origin = authority.parse_origin(origins[0]) if len(origins) == 1 else None
    foreign = bool(origins) and (origin is None or origin != asked)
    if foreign or request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        raise RefusedError(HTTPStatus.FORBIDDEN, "a web page of another origin may not send commands: use a program in the Pod")
