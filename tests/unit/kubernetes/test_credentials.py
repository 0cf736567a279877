"""Where the API server is and who the sidecar is to it: found as kubectl does, followed as it changes, and junk refused in one line."""

import sys
from pathlib import Path
from typing import Any

import pytest

from sidecar.kubernetes import credentials
from sidecar.kubernetes.credentials import ConfigurationError
from sidecar.kubernetes.in_cluster import in_cluster_namespace
from tests.support.accounts import in_pod, make_service_account, write_kubeconfig

__all__ = ["make_service_account"]


async def refused(environ: dict[str, str], service_account: Path = Path("/nowhere")) -> str:
    with pytest.raises(ConfigurationError) as error:
        await credentials.load(environ, service_account)
    message = str(error.value)
    assert "\n" not in message
    assert 20 < len(message) < 500
    return message


def test_the_namespace_is_the_service_accounts(service_account: Path) -> None:
    assert in_cluster_namespace(service_account) == "shop"
    (service_account / "namespace").write_text("  \n")
    assert in_cluster_namespace(service_account) is None
    (service_account / "namespace").unlink()
    assert in_cluster_namespace(service_account) is None


async def test_a_pod_has_the_service_account_also_where_a_kubeconfig_is_named(service_account: Path, tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "config", user={"token": "other"})
    access = await credentials.load(in_pod() | {"KUBECONFIG": str(kubeconfig)}, service_account)
    assert access.configuration.host == "https://127.0.0.1:443"
    assert access.configuration.api_key["BearerToken"] == "Bearer first"
    access = await credentials.load(in_pod() | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, service_account)
    assert access.configuration.host == "https://[fd00::1]:443"


async def test_a_pod_without_a_usable_service_account_is_refused(service_account: Path) -> None:
    assert "KUBERNETES_SERVICE_PORT" in await refused({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}, service_account)
    (service_account / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\njunk\n-----END CERTIFICATE-----\n")
    assert "ca.crt" in await refused(in_pod(), service_account)
    (service_account / "ca.crt").unlink()
    assert "ca.crt" in await refused(in_pod(), service_account)
    for junk in ("", " \n", "two words", "bell\a", "é"):
        (service_account / "token").write_text(junk)
        assert "empty or cannot be read" in await refused(in_pod(), service_account)
    (service_account / "token").unlink()
    assert "mount a projected service-account token" in await refused(in_pod(), service_account)


async def test_outside_a_pod_without_a_kubeconfig_there_is_no_guess(tmp_path: Path) -> None:
    """Never localhost, as some clients do."""
    assert str(tmp_path / ".kube" / "config") in await refused({"HOME": str(tmp_path)})
    assert "/gone/config" in await refused({"KUBECONFIG": "/gone/config", "HOME": str(tmp_path)})


CONTEXT = "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "junk",
        "[1, 2]",
        "{{{ : -",
        "a: b: c",
        "\x00",
        "apiVersion: v1\nkind: Config\n",
        "current-context: x\ncontexts: 7\n",
        "current-context: x\ncontexts: [{name: x}]\n",
        "current-context: x\ncontexts: [{name: y, context: {}}]\nclusters: []\nusers: []\n",
        CONTEXT + "clusters: [{name: d}]\nusers: []\n",
        CONTEXT + "clusters: [{name: c, cluster: {}}]\nusers: [{name: u}]\n",
    ],
)
async def test_a_junk_kubeconfig_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    assert str(path) in await refused({"KUBECONFIG": str(path)})


async def test_what_is_wrong_in_a_kubeconfig_is_said(tmp_path: Path) -> None:
    path = tmp_path / "config"
    environ = {"KUBECONFIG": str(path)}

    async def said(**settings: Any) -> str:
        write_kubeconfig(path, **settings)
        return await refused(environ)

    assert "current-context" in await said(current_context=None)
    assert "name gone" in await said(current_context="gone")
    assert "no server" in await said(server="")
    assert "no server" in await said(server="localhost:80")
    assert "no user" in await said(users=[])
    assert "tokenFile" in await said(user={"token": "t", "tokenFile": "/gone/token"})
    assert "/gone/ca" in await said(cluster={"certificate-authority": "/gone/ca"})
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": sys.executable}
    assert "ended with exit code 3" in await said(user={"exec": plugin | {"args": ["-c", "import sys; sys.exit(3)"]}})


async def test_no_secret_of_a_kubeconfig_is_ever_in_a_message(tmp_path: Path) -> None:
    path = tmp_path / "config"
    for users in (
        [{"name": "u", "token": "s3cret"}],
        [{"name": "u", "user": "s3cret"}],
        [{"name": "u", "user": {"auth-provider": {"name": "oidc", "config": {"id-token": "s3cret"}}}}],
        [{"name": "u", "user": {"client-certificate-data": "s3cret", "client-key-data": "s3cret"}}],
        [{"token": "s3cret"}],
    ):
        write_kubeconfig(path, users=users)
        assert "s3cret" not in await refused({"KUBECONFIG": str(path)})


async def test_kubeconfigs_are_merged_as_kubectl_merges_them(tmp_path: Path) -> None:
    """Files that are not there are passed over; the first that sets a thing wins; HOME's is taken where none is named."""
    first = write_kubeconfig(tmp_path / "first", server="https://127.0.0.1:2", user={"token": "one"})
    second = write_kubeconfig(tmp_path / "second", server="https://127.0.0.1:3", user={"token": "two"}, current_context="y")
    access = await credentials.load({"KUBECONFIG": f"/gone/config:{first}:{second}:"})
    assert (access.configuration.host, access.configuration.api_key["BearerToken"]) == ("https://127.0.0.1:2", "Bearer one")
    (tmp_path / ".kube").mkdir()
    second.rename(tmp_path / ".kube" / "config")
    write_kubeconfig(tmp_path / ".kube" / "config", server="https://127.0.0.1:4", user={"token": "t"})
    access = await credentials.load({"HOME": str(tmp_path), "KUBECONFIG": "", "KUBERNETES_SERVICE_HOST": ""})
    assert access.configuration.host == "https://127.0.0.1:4"
