"""Addresses as settings write them: `localhost:4040`, `host:port`, `[::1]:port`, `*:4041`, `unix:/path`, several with commas.

For the listeners, and for the commands that ask them; so it imports nothing that would slow a command's start.
"""

import os
import socket

ALLOWED = "write host:port, localhost:port, [::1]:port, *:port or unix:/path, several with commas"
LISTEN = "localhost:4040"
"""The app listener's address, unless LEADER_LISTEN says otherwise."""
PROBE_LISTEN = "*:4041"
"""The probe listener's address, unless LEADER_PROBE_LISTEN says otherwise."""
_MAX_PORT = 65535
_MAX_NAME = 253
_MAX_LABEL = 63
_MAX_UNIX_PATH = 107
"""unix(7): sun_path holds 108 bytes, the last of them zero."""


def parse(text: str) -> list[tuple[str, int, str]]:
    """Host, port and path of each address in `text`: a path alone for a unix socket; none in an empty text. Raises ValueError."""
    return [_parse_one(part.strip()) for part in text.split(",")] if text.strip() else []


def _parse_one(text: str) -> tuple[str, int, str]:
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or len(os.fsencode(path)) > _MAX_UNIX_PATH:
            raise ValueError(f"{text!r}: the path of a unix socket must be absolute, of {_MAX_UNIX_PATH} bytes at most")
        return "", 0, path
    host, colon, port = text.rpartition(":")
    bare = _host(host)
    if not (colon and bare and port.isascii() and port.isdigit() and int(port) <= _MAX_PORT):
        raise ValueError(f"{text!r} is not an address to listen on: {ALLOWED}")
    return bare, int(port), ""


def _host(text: str) -> str:
    """The host in `text` (`*`, an IPv4 address, an IPv6 address in brackets, a name) in lower case, without brackets; "" for none."""
    if text.startswith("[") and text.endswith("]"):
        address, percent, zone = text[1:-1].partition("%")
        return text[1:-1].lower() if _is_literal(socket.AF_INET6, address) and bool(percent) == bool(zone) else ""
    if text == "*" or _is_literal(socket.AF_INET, text):
        return text
    labels = text.lower().removesuffix(".").split(".")
    # Some programs read a name whose last label is a number as an IPv4 address, such as 127.1 or 0x7f000001.
    is_number = labels[-1].isdigit() or labels[-1].startswith("0x")
    return text.lower() if len(text) <= _MAX_NAME and not is_number and all(map(_is_label, labels)) else ""


def _is_label(text: str) -> bool:
    """Whether `text` is a label of a DNS name (RFC 1123 2.1)."""
    return 0 < len(text) <= _MAX_LABEL and text.isascii() and text.replace("-", "x").isalnum() and "-" not in (text[0], text[-1])


def _is_literal(family: int, text: str) -> bool:
    try:
        socket.inet_pton(family, text)
    except (OSError, ValueError):
        return False
    return True
