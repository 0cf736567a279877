"""Loading what the sidecar serves with, without what no sidecar uses."""

import os
from typing import Final

_SYSTEMS_CERTIFICATES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""Where OpenSSL looks for the system's CA certificates (SSL_CTX_set_default_verify_paths(3))."""


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
