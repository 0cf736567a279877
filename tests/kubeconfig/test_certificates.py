"""A server's certificates that Go takes and OpenSSL does not: by kubectl, and by the sidecar with LEADER_TLS_STRICT=false and without."""

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from sidecar.election.store import Missing, Unknown
from sidecar.kubernetes import credentials
from sidecar.kubernetes.store import KubernetesStore
from tests.binaries.build import ensure
from tests.kubeconfig.echo import Echo, echoing
from tests.kubeconfig.table import config
from tests.support.authority import Authority

CLIENT_ALONE = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.16.840.1.113730.1.1"), bytes.fromhex("03020780"))
"""nsCertType: client, as some guides to clusters by hand have it for every certificate."""


@pytest.fixture(name="echo")
def serve() -> Iterator[Echo]:
    with echoing() as echo:
        yield echo


def environment(echo: Echo, authority: Authority, folder: Path) -> dict[str, str]:
    """A kubeconfig that trusts the authority."""
    echo.context.load_cert_chain(folder / "server.crt", folder / "server.key")
    trusted = base64.b64encode(authority.pem.encode()).decode()
    (folder / "config").write_text(json.dumps(config({"server": echo.https, "certificate-authority-data": trusted})))
    return {"KUBECONFIG": str(folder / "config"), "HOME": str(folder)}


def kubectl_reaches(echo: Echo, environ: dict[str, str]) -> bool:
    command = [str(ensure("kubectl")["kubectl"]), "get", "--raw", "/api/x"]
    mine = {"PATH": os.environ["PATH"]} | environ
    subprocess.run(command, env=mine, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    return bool(echo.take())


async def said(environ: dict[str, str], *, strict: bool) -> str:
    """Why the sidecar does not reach the server; empty where it does."""
    store = await KubernetesStore.connect(await credentials.load(environ, tls_strict=strict), "shop", "web")
    found = await store.read()
    await store.close()
    assert isinstance(found, Missing | Unknown)
    return found.message if isinstance(found, Unknown) else ""


WEAK: list[Callable[[], Authority]] = [
    lambda: Authority(_key=rsa.generate_private_key(65537, 1024)),  # noqa: S505 - as short as they are out there
    lambda: Authority(key_identifiers=False),
    lambda: Authority(key_usage=False, critical_constraints=False),
]


@pytest.mark.parametrize("make", WEAK, ids=["a CA key of 1,024 bits", "no key identifiers", "no keyUsage"])
async def test_what_kubectl_takes_the_setting_takes(echo: Echo, tmp_path: Path, make: Callable[[], Authority]) -> None:
    authority = make()
    authority.issue("127.0.0.1", certificate=tmp_path / "server.crt", key=tmp_path / "server.key")
    environ = environment(echo, authority, tmp_path)
    assert kubectl_reaches(echo, environ)
    assert not await said(environ, strict=False)
    assert "LEADER_TLS_STRICT=false" in await said(environ, strict=True)


async def test_a_certificate_for_clients_alone_is_taken_by_no_setting_and_the_message_says_so(echo: Echo, tmp_path: Path) -> None:
    authority = Authority()
    authority.issue("127.0.0.1", certificate=tmp_path / "server.crt", key=tmp_path / "server.key", more=[CLIENT_ALONE])
    environ = environment(echo, authority, tmp_path)
    assert kubectl_reaches(echo, environ)
    for strict in (True, False):
        why = await said(environ, strict=strict)
        assert "No setting accepts it" in why
        assert "nsCertType" in why
        assert "LEADER_TLS_STRICT" not in why


async def test_a_ca_that_is_not_the_servers_is_refused_by_both(echo: Echo, tmp_path: Path) -> None:
    authority, stranger = WEAK[0](), Authority()
    authority.issue("127.0.0.1", certificate=tmp_path / "server.crt", key=tmp_path / "server.key")
    environ = environment(echo, stranger, tmp_path)
    assert not kubectl_reaches(echo, environ)
    assert "certificate verify failed" in await said(environ, strict=False)
