"""Addresses as settings write them: `localhost:4040`, `host:port`, `[::1]:port`, `*:4041`, `unix:/path`, several with commas.

Read by the listeners and by the commands that ask them; so it imports nothing that costs a command its start.
"""

import os

ALLOWED = "write host:port, localhost:port, [::1]:port, *:port or unix:/path, several with commas"
LISTEN = "localhost:4040"
"""Where the app asks, unless LEADER_LISTEN says otherwise."""
PROBE_LISTEN = "*:4041"
"""Where a kubelet asks, unless LEADER_PROBE_LISTEN says otherwise."""
_MAX_PORT = 65535
_MAX_UNIX_PATH = 107
"""unix(7): sun_path holds 108 bytes, the last of them zero."""


def parse(text: str) -> list[tuple[str, int, str]]:
    """Host, port and path of each address in `text`: a path alone for a unix socket; none in an empty text. Raises ValueError."""
    return [_parse_one(part.strip()) for part in text.split(",")] if text.strip() else []


def _parse_one(text: str) -> tuple[str, int, str]:
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or len(os.fsencode(path)) > _MAX_UNIX_PATH:
            raise ValueError(f"{text!r}: a unix socket's path is absolute and has {_MAX_UNIX_PATH} bytes at most")
        return "", 0, path
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not (colon and bare and port.isascii() and port.isdigit() and int(port) <= _MAX_PORT) or (":" in host and bare == host):
        raise ValueError(f"{text!r} is no address to listen on: {ALLOWED}")
    return bare, int(port), ""
