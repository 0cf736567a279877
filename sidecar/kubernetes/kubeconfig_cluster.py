"""A kubeconfig's cluster: the API server's address, the certificate that it must show, and a proxy to it."""

import base64
import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

from sidecar.kubernetes.credentials import one_line
from sidecar.kubernetes.in_cluster import Configuration
from sidecar.kubernetes.kubeconfig_fields import Fields

_EXEC_EXTENSION: Final = "client.authentication.k8s.io/exec"
"""The cluster's extension for credential plugins (client-go clientcmd, clusterExtensionKey)."""
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def configuration(cluster: Fields) -> Configuration:
    """The configuration, but for the user. Raises ConfigurationError."""
    made = Configuration(_server(cluster))
    made.ca_data, made.ssl_ca_cert = cluster.data("certificate-authority-data"), cluster.path("certificate-authority")
    if made.ca_data and made.ssl_ca_cert:
        raise cluster.refused("certificate-authority-data", "and certificate-authority are both given: give only one, as for kubectl")
    if made.ca_data and not _CERTIFICATE.search(made.ca_data):
        raise cluster.refused("certificate-authority-data", "holds no certificate in PEM")
    made.verify_ssl = not cluster.flag("insecure-skip-tls-verify")
    if not made.verify_ssl and (made.ca_data or made.ssl_ca_cert):
        raise cluster.refused("insecure-skip-tls-verify", "is true and a certificate-authority is given: give only one, as for kubectl")
    made.tls_server_name = cluster.text("tls-server-name") or None
    made.proxy = _proxy(cluster)
    return made


def info(cluster: Fields, made: Configuration) -> dict[str, Any]:
    """What to tell a plugin with provideClusterInfo (client.authentication.k8s.io/v1, Cluster). Raises ConfigurationError."""
    try:
        authority = made.ca_data or (Path(made.ssl_ca_cert).read_bytes() if made.ssl_ca_cert else b"")
    except OSError as error:
        raise cluster.refused("certificate-authority", f"cannot be read: {error.strerror}") from None
    extension = next((entry for entry in cluster.list_of("extensions") if entry.text("name") == _EXEC_EXTENSION), None)
    told = {
        "server": cluster.text("server"),
        "tls-server-name": cluster.text("tls-server-name"),
        "insecure-skip-tls-verify": not made.verify_ssl,
        "certificate-authority-data": base64.b64encode(authority).decode(),
        "proxy-url": cluster.text("proxy-url"),
        "disable-compression": cluster.flag("disable-compression"),
        "config": extension.raw("extension") if extension is not None else None,
    }
    return {name: value for name, value in told.items() if value}


def _server(cluster: Fields) -> str:
    server = cluster.text("server")
    parts = _url(server)
    if parts is None or parts.scheme not in ("http", "https") or any(char.isspace() or not char.isprintable() for char in server):
        raise cluster.refused("server", "gives no server: an http(s) URL is needed, such as https://127.0.0.1:6443")
    if parts.username is not None:
        raise cluster.refused("server", "holds a user name: move it to an entry of users")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def _url(text: str) -> SplitResult | None:
    """The parts of `text`, if it is a URL with a host; else None."""
    try:
        parts = urlsplit(text)
        usable = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if usable else None


def _proxy(cluster: Fields) -> str | None:
    text = cluster.text("proxy-url")
    if not text:
        return None
    parts = _url(text)
    if parts is None or parts.scheme != "http":
        scheme = f" ({one_line(parts.scheme)} is not supported)" if parts is not None else ""
        raise cluster.refused("proxy-url", f"must be the URL of an HTTP proxy, such as http://127.0.0.1:3128{scheme}")
    return text
