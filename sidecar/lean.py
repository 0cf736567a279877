"""Loading what the sidecar serves with: without what no sidecar uses, and while it has to wait for its settings anyway."""

import importlib
import os
from typing import Final

_SYSTEMS_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL looks for the system's CA certificates (SSL_CTX_set_default_verify_paths(3))."""

_AHEAD: Final = (
    "json", "asyncio.sslproto", "aiohttp.client", "aiohttp.client_proto", "aiohttp.cookiejar", "aiohttp.http_parser", "aiohttp.payload",
    "aiohttp.tcp_helpers", "aiohttp.web_app", "aiohttp.web_exceptions", "aiohttp.web_protocol", "aiohttp.web_runner",
    "aiohttp.web_urldispatcher", "aiohappyeyeballs.impl", "sidecar.election", "sidecar.runner", "sidecar.http.serve", "sidecar.http.app",
    "sidecar.http.probes", "sidecar.http.openapi", "sidecar.stores.credentials", "sidecar.stores.kubernetes",
    "sidecar.stores.client", "sidecar.stores.transport", "sidecar.stores.watch", "sidecar.stores.answers",
)  # fmt: skip
"""What every sidecar in a Pod comes to load sooner or later. A local store, which is for one machine, does without the stores' part."""


def load_ahead() -> None:
    """Load what serving needs, where imports are lazy as well: on another core than the one that checks the settings."""
    load_aiohttp()
    for name in _AHEAD:
        importlib.import_module(name)


def load_aiohttp() -> None:
    """Import aiohttp's client while there are no CA certificates to be found.

    It makes a TLS context of all the system's at its import, for requests that name none: 1.6 MB, and no request of the sidecar's is one.
    One that came to use it after all would trust nobody, in place of everybody.
    """
    before = {name: os.environ.get(name) for name in _SYSTEMS_CERTIFICATES}
    os.environ.update(dict.fromkeys(before, os.devnull))
    try:
        import aiohttp.connector  # noqa: F401, PLC0415 - now
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
