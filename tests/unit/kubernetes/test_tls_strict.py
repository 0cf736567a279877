"""Certificates that are not as RFC 5280 asks: refused in so many words, accepted with LEADER_TLS_STRICT=false, and never more than that."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from sidecar.election.store import Closed, Done, Unknown
from sidecar.kubernetes import credentials
from sidecar.kubernetes.credentials import Access
from tests.support.accounts import in_pod, make_service_account, port_of, write_kubeconfig
from tests.support.authority import Authority
from tests.support.scripted import LEASE, Server, connected, reply, scripted

__all__ = ["make_service_account"]

IN_POD_AND_OUTSIDE = pytest.mark.parametrize("kubeconfig", [False, True], ids=["service account", "kubeconfig"])
NOT_AS_ASKED = pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Authority(key_identifiers=False), "Key Identifier"),
        (lambda: Authority(critical_constraints=False), "Basic Constraints of CA cert not marked critical"),
        (lambda: Authority(key_usage=False), "CA cert does not include key usage extension"),
    ],
    ids=["without key identifiers", "basicConstraints not critical", "without keyUsage"],
)


def serving(authority: Authority, folder: Path, name: str = "127.0.0.1") -> ssl.SSLContext:
    authority.issue(name, certificate=folder / "server.crt", key=folder / "server.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    return context


@asynccontextmanager
async def api_server(authority: Authority, service_account: Path, name: str = "127.0.0.1") -> AsyncIterator[Server]:
    """With a certificate of that CA, which the service account trusts."""
    (service_account / "ca.crt").write_text(authority.pem)
    async with scripted(reply(200, LEASE), tls=serving(authority, service_account.parent, name)) as server:
        yield server


async def access(server: Server, service_account: Path, *, strict: bool, kubeconfig: bool = False) -> Access:
    if not kubeconfig:
        return await credentials.load(in_pod(port_of(server)), service_account, tls_strict=strict)
    cluster = {"certificate-authority": str(service_account / "ca.crt")}
    path = write_kubeconfig(service_account.parent / "config", server=server.url, cluster=cluster, user={"token": "t"})
    return await credentials.load({"KUBECONFIG": str(path)}, tls_strict=strict)


@IN_POD_AND_OUTSIDE
@NOT_AS_ASKED
async def test_a_ca_that_is_not_as_asked_is_refused_and_the_message_says_what_to_do(
    service_account: Path, make: Callable[[], Authority], said: str, *, kubeconfig: bool
) -> None:
    """The same for a request and for the watch; whole, since a log line has its limit."""
    async with (
        api_server(make(), service_account) as server,
        connected("", await access(server, service_account, strict=True, kubeconfig=kubeconfig)) as store,
    ):
        outcome: Any = await store.read()
        (closed,) = [event async for event in store.watch()]
        assert isinstance(closed, Closed)
        for refused in (outcome, closed.why):
            assert isinstance(refused, Unknown)
            for word in (said, "RFC 5280", "kubectl accepts", "LEADER_TLS_STRICT=false", "still verifies chain and host name"):
                assert word in refused.message
            assert "…" not in refused.message
        assert server.requests == []


@IN_POD_AND_OUTSIDE
@NOT_AS_ASKED
async def test_with_the_setting_it_is_accepted(
    service_account: Path, make: Callable[[], Authority], said: str, *, kubeconfig: bool
) -> None:
    """Also after the file has changed."""
    del said
    async with (
        api_server(make(), service_account) as server,
        connected("", await access(server, service_account, strict=False, kubeconfig=kubeconfig)) as store,
    ):
        assert isinstance(await store.read(), Done)
        with (service_account / "ca.crt").open("a") as file:
            file.write(Authority().pem)
        assert isinstance(await store.read(), Done)
        assert server.connections == 2


@pytest.mark.parametrize("strict", [True, False])
async def test_what_is_as_asked_is_accepted_either_way(service_account: Path, *, strict: bool) -> None:
    """And is what the other tests break, one thing at a time."""
    async with (
        api_server(Authority(), service_account) as server,
        connected("", await access(server, service_account, strict=strict)) as store,
    ):
        assert isinstance(await store.read(), Done)


@pytest.mark.parametrize("strict", [True, False])
async def test_chain_and_host_name_are_verified_either_way_and_blamed_on_nothing_else(service_account: Path, *, strict: bool) -> None:
    async with (
        api_server(Authority(), service_account, name="127.0.0.2") as server,
        connected("", await access(server, service_account, strict=strict)) as store,
    ):
        for expected in ("IP address mismatch", "certificate verify failed"):
            outcome = await store.read()
            assert isinstance(outcome, Unknown)
            assert expected in outcome.message
            assert "LEADER_TLS_STRICT" not in outcome.message
            (service_account / "ca.crt").write_text(Authority().pem)
        assert server.requests == []


@pytest.mark.parametrize("strict", [True, False])
async def test_an_intermediate_ca_is_trusted_without_its_root_as_kubectl_does(service_account: Path, *, strict: bool) -> None:
    """On every Python, and it alone."""
    root = trustme.CA()
    middle = root.create_child_ca()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    middle.issue_cert("127.0.0.1").configure_cert(context)
    middle.cert_pem.write_to_path(service_account / "ca.crt")
    async with (
        scripted(reply(200, LEASE), tls=context) as server,
        connected("", await access(server, service_account, strict=strict)) as store,
    ):
        assert isinstance(await store.read(), Done)
        root.create_child_ca().cert_pem.write_to_path(service_account / "ca.crt")
        assert isinstance(await store.read(), Unknown), "another one of that root"


async def test_a_strict_sidecar_goes_on_by_itself_when_the_ca_is_replaced(service_account: Path) -> None:
    """On the same port, as an API server that is restarted: nothing but the two files of the cluster has changed."""
    bad, good = Authority(key_identifiers=False), Authority()
    context = serving(bad, service_account.parent)
    (service_account / "ca.crt").write_text(bad.pem)
    async with (
        scripted(reply(200, LEASE), tls=context) as server,
        connected("", await access(server, service_account, strict=True)) as store,
    ):
        assert isinstance(await store.read(), Unknown)
        (service_account / "ca.crt").write_text(bad.pem + good.pem)
        assert isinstance(await store.read(), Unknown), "the server has its old certificate"
        good.issue("127.0.0.1", certificate=service_account.parent / "server.crt", key=service_account.parent / "server.key")
        context.load_cert_chain(service_account.parent / "server.crt", service_account.parent / "server.key")
        assert isinstance(await store.read(), Done)
        (service_account / "ca.crt").write_text(good.pem)
        assert isinstance(await store.read(), Done)


@pytest.mark.parametrize("strict", [True, False])
async def test_every_python_asks_for_the_same(service_account: Path, *, strict: bool) -> None:
    """Whatever its own default is."""
    found = await credentials.load(in_pod(), service_account, tls_strict=strict)
    assert bool(found.tls_context().verify_flags & ssl.VERIFY_X509_STRICT) is strict
    assert found.tls_context().verify_mode is ssl.CERT_REQUIRED
    assert found.tls_context().check_hostname
