"""Where the API server is, and with which credentials to ask it; without the library that a kubeconfig may need."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a Pod's token, CA certificate and namespace are mounted."""


@dataclass
class Configuration:
    """What every request needs. A certificate or key is a file, which may change, or PEM data."""

    host: str
    """A URL with scheme and port."""
    ssl_ca_cert: str | None = None
    """A file; without it and `ca_data`, the system's CA certificates."""
    api_key: dict[str, str] = field(default_factory=dict)
    """At `BearerToken` the whole value of the header Authorization."""
    cert_file: str | None = None
    key_file: str | None = None
    verify_ssl: bool = True
    tls_server_name: str | None = None
    proxy: str | None = None
    ca_data: bytes | None = None
    cert_data: bytes | None = None
    key_data: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """The user to act as: Impersonate-User and similar headers, some of them more than once."""
    expires_us: int | None = None
    """When the credentials end, in microseconds since the Unix epoch, as their issuer says; None where it does not say."""


def in_cluster_namespace(service_account: Path = SERVICE_ACCOUNT) -> str | None:
    """The Pod's namespace, as the service account's volume names it; None without one."""
    try:
        return (service_account / "namespace").read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def service_account_namespace(environ: Mapping[str, str]) -> str | None:
    """The Pod's namespace, where the environment says that this process runs in a Pod; else None."""
    return in_cluster_namespace() if "KUBERNETES_SERVICE_HOST" in environ else None
