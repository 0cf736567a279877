"""TLS to the API server: what is trusted, how strictly, and what to say of a certificate that is refused for its form."""

import ssl
from typing import Any, Final

_NOT_IN_FORM: Final = range(79, 94)
"""What OpenSSL says of a certificate that is not as RFC 5280 asks (openssl/x509_vfy.h, X509_V_ERR_INVALID_CA to
X509_V_ERR_EXTENSIONS_REQUIRE_VERSION_3). All but the first come up under X509_V_FLAG_X509_STRICT alone."""


def context(configuration: Any, *, strict: bool) -> ssl.SSLContext:
    """From the files that a `kubernetes_asyncio.client.Configuration` names, as they are now.

    OSError (ssl.SSLError is one) where they are no good. `strict`: certificates must be as RFC 5280 asks. An intermediate CA in the bundle
    is trusted without its root, as in Go. Both are said here, since Python's own defaults changed with 3.13.
    """
    made = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    made.verify_flags = made.verify_flags | ssl.VERIFY_X509_STRICT if strict else made.verify_flags & ~ssl.VERIFY_X509_STRICT
    if configuration.cert_file:
        made.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if not configuration.verify_ssl:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def complaint(error: Exception) -> str:
    """What to tell the user of a certificate that a strict context refuses for its form; empty where it is refused for anything else."""
    if not isinstance(error, ssl.SSLCertVerificationError) or error.verify_code not in _NOT_IN_FORM:
        return ""
    return (
        f"the certificate of the API server or of its CA is not as RFC 5280 asks: {error.verify_message}. Where kubectl accepts it, "
        "LEADER_TLS_STRICT=false makes the sidecar accept it: chain and host name are verified all the same"
    )
