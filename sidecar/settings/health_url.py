"""Which URLs may be probed for the application's health: those of the sidecar's own Pod."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

ALLOWED: Final = "http://HOST:PORT/PATH with localhost or an IP address as HOST, such as http://localhost:8080/healthz"


def is_usable(text: str) -> bool:
    """Whether `text` is such a URL. The only name is localhost: the app has the Pod's addresses, and a look-up might lead elsewhere."""
    try:
        url = urlsplit(text)
        _ = url.port
        host = url.hostname or ""
        if host != "localhost":
            ipaddress.ip_address(host)
    except ValueError:
        return False
    return url.scheme == "http" and "@" not in url.netloc and not url.fragment and text.isascii() and text.isprintable() and " " not in text
