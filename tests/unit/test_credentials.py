"""Where the API server is and who the sidecar is to it: found as kubectl does, followed as it changes, and junk refused in one line."""

import asyncio
import json
import os
import ssl
import sys
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from sidecar.stores import credentials
from sidecar.stores.credentials import Access, ConfigurationError, in_cluster_namespace
from sidecar.stores.protocol import Closed, Denied, Done, Opened, Unknown
from tests.unit.scripted import LEASE, Server, connected, refusal, reply, scripted, stream, until


@pytest.fixture
def service_account(tmp_path: Path) -> Path:
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
    assert "exec: process returned 3" in await said(
        user={"exec": {"apiVersion": "v1", "command": sys.executable, "args": ["-c", "import sys; sys.exit(3)"]}}
    )


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
    write_kubeconfig(tmp_path / ".kube" / "config", server="https://127.0.0.1:4")
    access = await credentials.load({"HOME": str(tmp_path), "KUBECONFIG": "", "KUBERNETES_SERVICE_HOST": ""})
    assert access.configuration.host == "https://127.0.0.1:4"


def replace_file(path: Path, content: str) -> None:
    """As a projected volume does it: another file under the same name."""
    fresh = path.with_name("fresh")
    fresh.write_text(content)
    fresh.replace(path)


async def cluster_access(service_account: Path, server: Server) -> Access:
    return await credentials.load(in_pod(port_of(server)), service_account)


async def kubeconfig_access(service_account: Path, server: Server) -> Access:
    cluster = {"certificate-authority": "serviceaccount/ca.crt"}
    path = write_kubeconfig(
        service_account.parent / "config",
        server=server.url,
        cluster=cluster,
        user={"tokenFile": "serviceaccount/token", "token": "goes after the file"},
    )
    return await credentials.load({"KUBECONFIG": str(path)})


@pytest.mark.parametrize("access_to", [cluster_access, kubeconfig_access])
async def test_a_token_file_that_changes_is_followed_and_an_empty_or_missing_one_is_not(
    service_account: Path, access_to: Callable[[Path, Server], Any]
) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(service_account / "ca.crt")
    path = service_account / "token"
    async with (
        scripted(reply(200, LEASE), tls=server_context(ca)) as server,
        connected("", await access_to(service_account, server)) as store,
    ):
        changes: list[Callable[[], object]] = [
            lambda: None,
            lambda: replace_file(path, "second"),
            lambda: path.write_text("third, in place"),
            lambda: path.write_text("third"),
            lambda: path.write_text(""),
            path.unlink,
            lambda: path.write_text("fourth\n"),
        ]
        for change in changes:
            change()
            assert isinstance(await store.read(), Done)
        expected = ["first", "second", "second", "third", "third", "third", "fourth"]
        assert tokens(server) == [f"Bearer {token}" for token in expected]
        assert server.connections == 1, "another token needs no other connection"


@pytest.mark.parametrize("access_to", [cluster_access, kubeconfig_access])
async def test_on_a_401_the_token_is_read_at_once_and_the_request_repeated_once_if_it_changed(
    service_account: Path, access_to: Callable[[Path, Server], Any]
) -> None:
    """Also where the file's change does not show: same size, same time, same inode."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(service_account / "ca.crt")
    path = service_account / "token"
    replies = (refusal(401, "expired"), reply(200, LEASE), refusal(401, "expired"), refusal(401, "expired"), refusal(401, "expired"))
    async with (
        scripted(*replies, tls=server_context(ca)) as server,
        connected("", await access_to(service_account, server)) as store,
    ):
        before = path.stat()
        path.write_text("FIRST\n")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert isinstance(await store.patch({"metadata": {"resourceVersion": "7"}}), Done)
        assert tokens(server) == ["Bearer first", "Bearer FIRST"]
        assert [json.loads(seen.body) for seen in server.requests] == [{"metadata": {"resourceVersion": "7"}}] * 2

        assert isinstance(await store.read(), Denied)
        assert len(server.requests) == 3, "no other token, no other try"
        path.write_text("third")
        assert isinstance(await store.read(), Denied)
        assert tokens(server)[3:] == ["Bearer third"], "it was taken up before the request: nothing else to show"


async def test_a_watch_shows_the_new_token_as_well(service_account: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(service_account / "ca.crt")
    async with (
        scripted(stream(), tls=server_context(ca)) as server,
        connected("", await cluster_access(service_account, server)) as store,
    ):
        for token in ("first", "second"):
            replace_file(service_account / "token", token)
            async with aclosing(store.watch()) as found:
                assert [event async for event in found] == [Opened(), Closed(None)]
        assert tokens(server) == ["Bearer first", "Bearer second"]


async def test_a_credential_plugin_is_run_again_on_a_401(tmp_path: Path) -> None:
    """As far as kubernetes_asyncio runs one: its token, whatever its expiry says."""
    runs, plugin_file = tmp_path / "runs", tmp_path / "plugin.py"
    plugin_file.write_text(
        "import json, pathlib\n"
        f"runs = pathlib.Path({str(runs)!r})\n"
        "number = len(runs.read_text()) if runs.exists() else 0\n"
        "runs.write_text('x' * (number + 1))\n"
        "status = {'token': f'run{number}', 'expirationTimestamp': '2100-01-01T00:00:00Z'}\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential', 'status': status}))\n"
    )
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": [str(plugin_file)]}
    async with scripted(reply(200, LEASE), refusal(401, "expired"), reply(200, LEASE)) as server:
        path = write_kubeconfig(tmp_path / "config", server=server.url, user={"exec": plugin})
        async with connected("", await credentials.load({"KUBECONFIG": str(path)})) as store:
            assert isinstance(await store.read(), Done)
            assert isinstance(await store.read(), Done)
    assert tokens(server) == ["Bearer run0", "Bearer run0", "Bearer run1"]


async def test_a_kubeconfig_that_turns_to_junk_leaves_the_credentials_that_were(tmp_path: Path) -> None:
    async with scripted(refusal(401, "no"), refusal(401, "no"), reply(200, LEASE)) as server:
        path = write_kubeconfig(tmp_path / "config", server=server.url, user={"token": "one"})
        async with connected("", await credentials.load({"KUBECONFIG": str(path)})) as store:
            path.write_text("junk")
            assert isinstance(await store.read(), Denied)
            write_kubeconfig(path, server=server.url, user={"token": "two"})
            assert isinstance(await store.read(), Done)
    assert tokens(server) == ["Bearer one", "Bearer one", "Bearer two"]


@pytest.mark.parametrize("access_to", [cluster_access, kubeconfig_access])
async def test_a_rotated_ca_is_followed_without_a_restart(service_account: Path, access_to: Callable[[Path, Server], Any]) -> None:
    """The server's certificate comes from a new CA: refused until the CA file holds it, and from then on taken."""
    old, new = trustme.CA(), trustme.CA()
    path = service_account / "ca.crt"
    old.cert_pem.write_to_path(path)
    async with (
        scripted(reply(200, LEASE), tls=server_context(new)) as server,
        connected("", await access_to(service_account, server)) as store,
    ):
        outcome = await store.read()
        assert isinstance(outcome, Unknown)
        assert "certificate verify failed" in outcome.message
        for junk in ("", "-----BEGIN CERTIFICATE-----\nhalf"):
            replace_file(path, junk)
            assert isinstance(await store.read(), Unknown)
        replace_file(path, (old.cert_pem.bytes() + new.cert_pem.bytes()).decode())
        assert isinstance(await store.read(), Done)
        replace_file(path, old.cert_pem.bytes().decode())
        assert isinstance(await store.read(), Unknown), "what is trusted no longer is not used any more"


async def test_a_ca_file_that_turns_to_junk_changes_nothing(service_account: Path, caplog: pytest.LogCaptureFixture) -> None:
    ca = trustme.CA()
    path = service_account / "ca.crt"
    ca.cert_pem.write_to_path(path)
    async with (
        scripted(reply(200, LEASE), tls=server_context(ca)) as server,
        connected("", await cluster_access(service_account, server)) as store,
    ):
        changes: list[Callable[[], object]] = [lambda: replace_file(path, "junk"), path.unlink]
        for change in changes:
            change()
            for _ in range(3):
                assert isinstance(await store.read(), Done)
        assert [record.levelname for record in caplog.records].count("WARNING") == 2, "told once for each change"


async def test_a_ca_whose_change_does_not_show_is_read_again_after_a_certificate_error(service_account: Path) -> None:
    old, new = trustme.CA(), trustme.CA()
    path = service_account / "ca.crt"
    text = max(len(old.cert_pem.bytes()), len(new.cert_pem.bytes()))
    path.write_bytes(old.cert_pem.bytes().ljust(text))
    async with (
        scripted(reply(200, LEASE), tls=server_context(new)) as server,
        connected("", await cluster_access(service_account, server)) as store,
    ):
        before = path.stat()
        path.write_bytes(new.cert_pem.bytes().ljust(text))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert isinstance(await store.read(), Unknown)
        assert isinstance(await store.read(), Done)


async def test_an_open_watch_outlives_a_rotation_and_the_old_connection_is_let_go(service_account: Path) -> None:
    ca = trustme.CA()
    path = service_account / "ca.crt"
    ca.cert_pem.write_to_path(path)
    replies = (reply(200, LEASE), stream(end=False, then="hang"), reply(200, LEASE))
    async with (
        scripted(*replies, tls=server_context(ca)) as server,
        connected("", await cluster_access(service_account, server)) as store,
    ):
        assert isinstance(await store.read(), Done)
        found = store.watch()
        assert await anext(found) == Opened()
        replace_file(path, ca.cert_pem.bytes().decode())
        assert isinstance(await store.read(), Done)
        assert [seen.connection for seen in server.requests] == [1, 2, 3]
        assert server.ended <= 1, "the watch is still there"
        await found.aclose()


async def test_a_request_under_way_outlives_a_rotation(service_account: Path) -> None:
    ca = trustme.CA()
    path = service_account / "ca.crt"
    ca.cert_pem.write_to_path(path)
    answer = asyncio.Event()
    async with (
        scripted(replace(reply(200, LEASE), when=answer), reply(200, LEASE), tls=server_context(ca)) as server,
        connected("", await cluster_access(service_account, server)) as store,
    ):
        first = asyncio.create_task(store.read())
        await until(lambda: len(server.requests) == 1)
        replace_file(path, ca.cert_pem.bytes().decode())
        assert isinstance(await store.read(), Done)
        answer.set()
        assert isinstance(await first, Done)
        await until(lambda: server.ended == 1)


async def test_a_client_certificate_is_shown_and_followed_and_verification_can_be_skipped(tmp_path: Path) -> None:
    ca, clients = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.crt")

    def issue(issuer: trustme.CA) -> None:
        certificate = issuer.issue_cert("web@example.org")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / "client.crt")
        certificate.private_key_pem.write_to_path(tmp_path / "client.key")

    issue(trustme.CA())
    user = {"client-certificate": "client.crt", "client-key": "client.key"}
    async with scripted(reply(200, LEASE), tls=server_context(ca, clients)) as server:
        for cluster in ({"certificate-authority": "ca.crt"}, {"insecure-skip-tls-verify": True}):
            issue(trustme.CA())
            path = write_kubeconfig(tmp_path / "config", server=server.url, cluster=cluster, user=user)
            async with connected("", await credentials.load({"KUBECONFIG": str(path)})) as store:
                assert isinstance(await store.read(), Unknown)
                issue(clients)
                assert isinstance(await store.read(), Done)
