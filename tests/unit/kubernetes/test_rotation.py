"""Tokens, CA bundles and client certificates that change on disk are followed while the store works."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from sidecar.election.store import Closed, Denied, Done, Opened, Unknown
from sidecar.kubernetes import credentials
from sidecar.kubernetes.credentials import Access
from tests.support.accounts import in_pod, make_service_account, port_of, server_context, tokens, write_kubeconfig
from tests.support.scripted import LEASE, Server, connected, refusal, reply, scripted, stream, until

__all__ = ["make_service_account"]


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
    """Whatever its expiry says."""
    runs, plugin_file = tmp_path / "runs", tmp_path / "plugin.py"
    plugin_file.write_text(
        "import json, pathlib\n"
        f"runs = pathlib.Path({str(runs)!r})\n"
        "number = len(runs.read_text()) if runs.exists() else 0\n"
        "runs.write_text('x' * (number + 1))\n"
        "status = {'token': f'run{number}', 'expirationTimestamp': '2100-01-01T00:00:00Z'}\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential', 'status': status}))\n"
    )
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "interactiveMode": "Never",
        "command": sys.executable,
        "args": [str(plugin_file)],
    }
    ca = trustme.CA()
    cluster = {"certificate-authority-data": base64.b64encode(ca.cert_pem.bytes()).decode()}
    replies = (reply(200, LEASE), refusal(401, "expired"), reply(200, LEASE))
    async with scripted(*replies, tls=server_context(ca)) as server:
        path = write_kubeconfig(tmp_path / "config", server=server.url, cluster=cluster, user={"exec": plugin})
        async with connected("", await credentials.load({"KUBECONFIG": str(path)})) as store:
            assert isinstance(await store.read(), Done)
            assert isinstance(await store.read(), Done)
    assert tokens(server) == ["Bearer run0", "Bearer run0", "Bearer run1"]


async def test_a_kubeconfig_that_turns_to_junk_leaves_the_credentials_that_were(tmp_path: Path) -> None:
    ca = trustme.CA()
    cluster = {"certificate-authority-data": base64.b64encode(ca.cert_pem.bytes()).decode()}
    async with scripted(refusal(401, "no"), refusal(401, "no"), reply(200, LEASE), tls=server_context(ca)) as server:
        path = write_kubeconfig(tmp_path / "config", server=server.url, cluster=cluster, user={"token": "one"})
        async with connected("", await credentials.load({"KUBECONFIG": str(path)})) as store:
            path.write_text("junk")
            assert isinstance(await store.read(), Denied)
            write_kubeconfig(path, server=server.url, cluster=cluster, user={"token": "two"})
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
