"""What credentials come from: service accounts, kubeconfigs, certificates."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from tests.support.scripted import Server


@pytest.fixture(name="service_account")
def make_service_account(tmp_path: Path) -> Path:
    """A projected volume: token, CA certificate and namespace."""
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("first\n")
    (folder / "namespace").write_text("shop\n")
    trustme.CA().cert_pem.write_to_path(folder / "ca.crt")
    return folder


def in_pod(port: object = 443) -> dict[str, str]:
    return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)}


def port_of(server: Server) -> str:
    return server.url.rsplit(":", 1)[1]


def server_context(ca: trustme.CA, client_ca: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    if client_ca is not None:
        client_ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def tokens(server: Server) -> list[str | None]:
    return [seen.headers.get("authorization") for seen in server.requests]


def write_kubeconfig(path: Path, *, server: str = "https://127.0.0.1:1", cluster: Any = (), user: Any = (), **whole: Any) -> Path:
    content = {
        "clusters": [{"name": "c", "cluster": {"server": server, **dict(cluster)}}],
        "users": [{"name": "u", "user": dict(user)}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    } | {key.replace("_", "-"): value for key, value in whole.items()}
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    return path
