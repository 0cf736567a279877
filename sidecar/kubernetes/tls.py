"""TLS to the API server: which certificates to trust, how strictly, and what to tell the user of one that is refused for its form."""

import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from sidecar.kubernetes.in_cluster import Configuration

_NOT_IN_FORM: Final = range(79, 94)
"""OpenSSL's error codes for a certificate that is not as RFC 5280 asks (openssl/x509_vfy.h, X509_V_ERR_INVALID_CA to
X509_V_ERR_EXTENSIONS_REQUIRE_VERSION_3). All but the first need X509_V_FLAG_X509_STRICT."""


_WEAK: Final = (66, 67)
"""X509_V_ERR_EE_KEY_TOO_SMALL and X509_V_ERR_CA_KEY_TOO_SMALL."""
_LENIENT_CIPHERS: Final = "@SECLEVEL=1:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
"""Python's own list at OpenSSL's security level 1: keys of 1,024 bits, as Go takes them, and no SHA-1 signatures, as Go takes none."""
_INVALID_PURPOSE: Final = 26
"""X509_V_ERR_INVALID_PURPOSE."""


def context(configuration: Configuration, *, strict: bool) -> ssl.SSLContext:
    """A TLS context from the configuration's files and data, as they are now.

    Raises OSError (ssl.SSLError is one) where they cannot be used. `strict`: certificates must be as RFC 5280 asks, and keys as long as
    OpenSSL asks. An intermediate CA in the bundle is trusted without its root, as in Go. Every flag is set here, since Python's defaults
    changed with 3.13.
    """
    authority = configuration.ca_data
    made = ssl.create_default_context(
        cafile=None if authority else configuration.ssl_ca_cert, cadata=authority.decode("ascii", "replace") if authority else None
    )
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    made.verify_flags = made.verify_flags | ssl.VERIFY_X509_STRICT if strict else made.verify_flags & ~ssl.VERIFY_X509_STRICT
    if not strict:
        made.set_ciphers(_LENIENT_CIPHERS)
    _show(made, configuration)
    if not configuration.verify_ssl:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def unusable(configuration: Configuration) -> str:
    """What is wrong with the client certificate and its key; "" where nothing is, or where there is no certificate."""
    try:
        _show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), configuration)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


def _show(made: ssl.SSLContext, configuration: Configuration) -> None:
    """Load the client certificate, if there is one. OpenSSL reads only files: data is put into a file that no clean-up can delete."""
    with ExitStack() as stack:
        certificate = stack.enter_context(_as_file(configuration.cert_data)) if configuration.cert_data else configuration.cert_file
        key = stack.enter_context(_as_file(configuration.key_data)) if configuration.key_data else configuration.key_file
        if certificate:
            # Without a password OpenSSL would ask at the terminal for an encrypted key's.
            made.load_cert_chain(certificate, keyfile=key, password="")


@contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A path under which `data` can be read for as long as the context lasts; in memory where the system can (memfd_create(2))."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").exists():
        descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - it has no name
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{descriptor}"
        return
    with NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.name


def complaint(error: Exception) -> str:
    """What to tell the user of a certificate that is refused for its form; "" where it is refused for another reason."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return ""
    if error.verify_code == _INVALID_PURPOSE:
        return (
            f"the certificate of the API server or of its CA is not for this purpose: {error.verify_message}. Its keyUsage, "
            "extendedKeyUsage or nsCertType must allow a TLS server. No setting accepts it, though kubectl may: issue a new certificate"
        )
    if error.verify_code not in (*_NOT_IN_FORM, *_WEAK):
        return ""
    return (
        f"the certificate of the API server or of its CA does not follow RFC 5280: {error.verify_message}. If kubectl accepts it, set "
        "LEADER_TLS_STRICT=false: the sidecar then accepts it too, and still verifies chain and host name"
    )
