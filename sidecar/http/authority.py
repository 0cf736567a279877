"""A request's authority: the host and port that it is made to, from its target or its Host (RFC 9112 3.2 and 3.3); and origins."""

import re
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from sidecar.escaping import plain
from sidecar.http.errors import RefusedError

SCHEME: Final = "http"
_DEFAULT_PORT: Final = 80
_MAX_PORT: Final = 65535
_MAX_CHARS: Final = 300
"""A DNS name has 253, and a port follows."""

_AUTHORITY: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._~%-]*)?\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::(?P<port>[0-9]{0,5}))?"
)
"""uri-host [":" port] (RFC 9110 4.2, RFC 3986 3.2.2): no user information, no path. Of IP literals IPv6 alone, with a zone or without."""
_ABSOLUTE: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)")


@dataclass(frozen=True, slots=True)
class Authority:
    """A host in lower case, and a port; the host is "" for a URI without an authority."""

    host: str
    port: int


def parse(text: str) -> Authority | None:
    """The authority in `text`; None where it is none. Without a port: 80."""
    return _parse(text) if len(text) <= _MAX_CHARS else None


@lru_cache(maxsize=64)  # most requests have the same authority
def _parse(text: str) -> Authority | None:
    found = _AUTHORITY.fullmatch(text)
    port = int(found["port"] or _DEFAULT_PORT) if found is not None else 0
    return Authority(found["host"].lower(), port) if found is not None and port <= _MAX_PORT else None


def parse_origin(text: str) -> Authority | None:
    """The authority in an Origin header (RFC 6454 6.2); None for another scheme, for `null`, and for junk."""
    scheme, _, rest = text.partition("://")
    found = parse(rest) if scheme == SCHEME else None
    return found if found is not None and found.host else None


def written(request: web.BaseRequest) -> str | None:
    """The authority as the request writes it. That of an absolute target counts, not Host's (RFC 9112 3.2.2). None only in HTTP/1.0.

    Raises RefusedError (421) where the target is of another scheme.
    """
    target = request.raw_path
    if target.startswith("/") or target == "*":
        return request.headers.get(hdrs.HOST)
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        return target  # CONNECT has an authority for its target
    if absolute["scheme"].lower() != SCHEME:
        message = f"the scheme {plain(absolute['scheme'], 50)!r} of the request target is not supported: use http"
        raise RefusedError(HTTPStatus.MISDIRECTED_REQUEST, message)
    return absolute["authority"]


def of(request: web.BaseRequest) -> Authority | None:
    """The request's authority; None only in HTTP/1.0.

    Raises RefusedError: 400 where Host, or the target's authority, is not one (RFC 9112 3.2); 421 for a target of another
    scheme. The parser refuses two Hosts, and HTTP/1.1 without one.
    """
    host, text = request.headers.get(hdrs.HOST), written(request)
    if host is not None and host is not text:
        _parsed("Host header", host)
    return _parsed("authority", text) if text is not None else None


def _parsed(what: str, text: str) -> Authority:
    found = parse(text)
    if found is None:
        message = f"the {what} '{plain(text, 200)}' is not valid: write a host name or an address, and a port if needed"
        raise RefusedError(HTTPStatus.BAD_REQUEST, message)
    return found
