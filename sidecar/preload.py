"""Loads the modules that serving needs while another process checks the settings, and without the CA certificates that nothing uses."""

import importlib
import os
from typing import Final

_SYSTEMS_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL looks for the system's CA certificates (SSL_CTX_set_default_verify_paths(3))."""

_AHEAD: Final = (
    "json", "asyncio.sslproto", "aiohttp.client", "aiohttp.client_proto", "aiohttp.cookiejar", "aiohttp.http_parser", "aiohttp.payload",
    "aiohttp.tcp_helpers", "aiohttp.web_app", "aiohttp.web_exceptions", "aiohttp.web_protocol", "aiohttp.web_runner",
    "aiohttp.web_urldispatcher", "aiohappyeyeballs.impl", "sidecar.election.machine", "sidecar.runtime.runner", "sidecar.http.server",
    "sidecar.http.app", "sidecar.http.probes", "sidecar.http.openapi", "sidecar.kubernetes.credentials", "sidecar.kubernetes.store",
    "sidecar.kubernetes.client", "sidecar.kubernetes.transport", "sidecar.kubernetes.watch", "sidecar.kubernetes.responses",
)  # fmt: skip
"""Modules that every sidecar in a Pod loads sooner or later. A local store does not need those of `sidecar.kubernetes`."""


def load_ahead() -> None:
    """Load what serving needs, also where imports are lazy: meanwhile another process checks the settings, on another core."""
    load_aiohttp()
    for name in _AHEAD:
        importlib.import_module(name)


def load_aiohttp() -> None:
    """Import aiohttp's client while no CA certificates can be found.

    At its import aiohttp makes a TLS context with all of the system's CA certificates, for requests that name no context: 1.6 MB, and each
    request of the sidecar names its own. A request with this default context fails verification: safe, and noticed.
    """
    before = {name: os.environ.get(name) for name in _SYSTEMS_CERTIFICATES}
    os.environ.update(dict.fromkeys(before, os.devnull))
    try:
        import aiohttp.connector  # noqa: F401 - now
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
