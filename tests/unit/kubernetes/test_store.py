"""Every answer of an API server, and every way to get none, is a typed outcome; a write goes over the wire once."""

import asyncio
import json
import re
import threading

import pytest

from sidecar.election.record import Record, merge_patch
from sidecar.election.store import Busy, Conflict, Denied, Done, Missing, Outcome, Unknown
from sidecar.kubernetes.responses import LONGEST_RETRY_AFTER_SECONDS
from sidecar.kubernetes.store import KubernetesStore
from sidecar.kubernetes.transport import MAX_BODY_BYTES
from tests.support.scripted import LEASE, Reply, connected, refusal, reply, scripted, served, stream, until

PATCH = merge_patch(Record(version="", holder="web-0", duration_seconds=15), "7")
BODY = merge_patch(Record(version="", holder="web-0", duration_seconds=15), None)


async def ask(store: KubernetesStore, verb: str) -> Outcome:
    if verb == "get":
        return await store.read()
    return await (store.patch(PATCH) if verb == "patch" else store.create(BODY))


@pytest.mark.parametrize("verb", ["get", "patch", "create"])
@pytest.mark.parametrize("status", [200, 201])
async def test_a_lease_in_a_success_is_done(verb: str, status: int) -> None:
    async with served(reply(status, LEASE)) as (_, store):
        outcome = await ask(store, verb)
    assert isinstance(outcome, Done)
    assert (outcome.record.version, outcome.record.holder) == ("7", "web-0")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>welcome</html>",
        b"null",
        b"[]",
        b'{"kind": "Lease"}',
        b'{"kind": "Lease", "metadata": {"name": "web"}}',
        b'{"kind": "Lease", "metadata": {"name": "web", "resourceVersion": ""}}',
        b'{"kind": "Lease", "metadata": {"name": "web", "resourceVersion": 7}}',
        b'{"kind": "Lease", "metadata": {"name": "other", "resourceVersion": "7"}}',
        b'{"kind": "Status", "metadata": {"name": "web", "resourceVersion": "7"}}',
        b"[" * 100_000,
        b"1" * 5000,
        b"\xff\xfe\x00",
        json.dumps(LEASE).encode()[:-5],
    ],
)
async def test_a_success_that_is_not_this_lease_is_unknown(body: bytes) -> None:
    async with served(reply(200, body)) as (_, store):
        outcome = await store.patch(PATCH)
    assert isinstance(outcome, Unknown)
    assert "\n" not in outcome.message
    assert len(outcome.message) < 500


@pytest.mark.parametrize("status", [202, 204, 206, 301, 302, 304, 307, 308, 402, 406, 408, 410, 418, 500, 501, 502, 503, 504, 599])
async def test_any_other_status_is_unknown(status: int) -> None:
    body = b"" if status in (204, 304) else b"<html>\n<b>no</b>\n</html>"
    async with served(reply(status, body, Location="/elsewhere", Retry_After="1")) as (server, store):
        outcome = await store.patch(PATCH)
    assert isinstance(outcome, Unknown)
    assert str(status) in outcome.message
    assert "\n" not in outcome.message
    assert len(server.requests) == 1, "no redirect is followed, nothing repeated"


async def test_missing_and_conflict_are_told_apart() -> None:
    async with served(refusal(404, "not found"), refusal(404, "not found"), refusal(409, "modified"), refusal(409, "exists")) as (_, store):
        assert await store.read() == Missing()
        assert await store.patch(PATCH) == Missing()
        assert await store.patch(PATCH) == Conflict()
        assert await store.create(BODY) == Conflict()


@pytest.mark.parametrize("verb", ["get", "patch", "create"])
@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_names_verb_resource_name_namespace_and_the_servers_reason(verb: str, status: int) -> None:
    async with served(refusal(status, "RBAC: role not found")) as (server, store):
        outcome = await ask(store, verb)
    assert isinstance(outcome, Denied)
    for part in (f"verb {verb} ", "leases.coordination.k8s.io", '"web"', '"shop"', "RBAC: role not found"):
        assert part in outcome.message
    assert len(server.requests) == 1, "there are no other credentials to try"


@pytest.mark.parametrize(
    ("message", "cured"),
    [
        ('leases.coordination.k8s.io is forbidden: User "u" cannot create resource "leases" in API group "coordination.k8s.io"', True),
        ("leases.coordination.k8s.io is forbidden: ValidatingAdmissionPolicy 'leader-sidecar-guard-lease' denied request: no", False),
    ],
    ids=["no right", "a policy"],
)
async def test_a_create_without_the_right_names_the_cure(message: str, cured: bool) -> None:  # noqa: FBT001 - what the case is about
    """The component, or the Lease itself: Argo CD leaves Leases out, and nothing else would say so. A policy is another matter."""
    async with served(refusal(403, message)) as (_, store):
        outcome = await store.create({"spec": {}})
        assert isinstance(outcome, Denied)
        assert message in outcome.message
        assert all((word in outcome.message) is cured for word in ("apply it", "k8s/components/create", "Argo CD"))


@pytest.mark.parametrize("status", [400, 405, 413, 415, 422])
async def test_what_is_not_valid_is_denied(status: int) -> None:
    async with served(refusal(status, "spec.renewTime: Invalid value")) as (_, store):
        outcome = await store.patch(PATCH)
    assert isinstance(outcome, Denied)
    assert outcome.message.startswith("the API server refuses the request as invalid: ")
    assert "spec.renewTime" in outcome.message


async def test_a_servers_long_reason_keeps_its_end() -> None:
    """An API server quotes the whole object first; what is wrong with it comes last."""
    async with served(refusal(422, '"" is invalid: ' + "x" * 5000 + ": cannot unmarshal\x00\nstring")) as (_, store):
        outcome = await store.patch(PATCH)
    assert isinstance(outcome, Denied)
    assert outcome.message.endswith(": cannot unmarshal string")
    assert len(outcome.message) < 500


async def test_a_create_that_finds_nothing_names_the_namespace() -> None:
    async with served(refusal(404, 'namespaces "shop" not found')) as (_, store):
        outcome = await store.create(BODY)
    assert isinstance(outcome, Denied)
    assert 'the namespace "shop" does not exist' in outcome.message


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({}, 0.0),
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": " 0 "}, 0.0),
        ({"Retry_After": "soon"}, 0.0),
        ({"Retry_After": "-3"}, 0.0),
        ({"Retry_After": "1e9"}, 0.0),
        ({"Retry_After": "nan"}, 0.0),
        ({"Retry_After": "٣"}, 0.0),
        ({"Retry_After": "9" * 400}, LONGEST_RETRY_AFTER_SECONDS),
        ({"Retry_After": "Mon, 23 Nov 2026 08:00:30 GMT", "Date": "Mon, 23 Nov 2026 08:00:00 GMT"}, 30.0),
        ({"Retry_After": "Mon, 23 Nov 2026 07:00:00 GMT", "Date": "Mon, 23 Nov 2026 08:00:00 GMT"}, 0.0),
        ({"Retry_After": "Mon, 23 Nov 2026 08:00:30 GMT"}, 0.0),
    ],
)
async def test_429_is_busy_for_as_long_as_the_server_asks_within_reason(header: dict[str, str], seconds: float) -> None:
    async with served(refusal(429, "too many requests", **header)) as (_, store):
        assert await store.read() == Busy(seconds)


@pytest.mark.parametrize("verb", ["get", "patch", "create"])
@pytest.mark.parametrize(
    "answer",
    [
        Reply(b"", "close"),
        Reply(b"", "abort"),
        Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", "close"),
        Reply(b"HTTP/1.1 200 OK\r\nContent-Le", "abort"),
        Reply(b"SSH-2.0-OpenSSH_9.2\r\n", "close"),
        Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Encoding: gzip\r\n\r\nnot gzip.", "close"),
        stream(b'{"kind": ', end=False, then="close"),
    ],
)
async def test_half_an_answer_is_unknown_and_the_request_went_out_once(verb: str, answer: Reply) -> None:
    """One request on the wire, also on a connection that served before, where aiohttp would send a GET again."""
    async with served(reply(200, LEASE), answer) as (server, store):
        assert isinstance(await store.read(), Done)
        outcome = await ask(store, verb)
    assert isinstance(outcome, Unknown)
    assert outcome.message
    assert "\n" not in outcome.message
    assert len(server.requests) == 2


async def test_an_answer_beyond_all_measure_is_unknown() -> None:
    """A body is read up to a limit; the rest of it is never taken for another answer."""
    async with served(stream(*[b"x" * 65536] * (MAX_BODY_BYTES // 65536 + 1), end=False, then="hang"), reply(200, LEASE)) as (
        server,
        store,
    ):
        assert isinstance(await store.read(), Unknown)
        assert isinstance(await store.read(), Done)
        assert [seen.connection for seen in server.requests] == [1, 2]


async def test_no_server_and_no_such_address_are_unknown() -> None:
    async with served(reply(200, LEASE)) as (server, _):
        url = server.url
    for dead in (url, "http://127.0.0.1:99999", "http://[::1"):
        async with connected(dead) as store:
            assert isinstance(await store.patch(PATCH), Unknown)


async def test_a_call_given_up_leaves_its_connection_and_the_next_dials_anew() -> None:
    """What comes late on the old connection can never be taken for a later request's answer."""
    async with served(reply(200, LEASE), Reply(b"", "hang"), reply(200, LEASE)) as (server, store):
        assert isinstance(await store.read(), Done)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await store.patch(PATCH)
        await until(lambda: server.ended == 1)
        assert isinstance(await store.read(), Done)
        assert [seen.connection for seen in server.requests] == [1, 1, 2]


async def test_what_goes_over_the_wire_is_what_the_api_asks_for() -> None:
    async with served(reply(200, LEASE)) as (server, store):
        await store.read()
        await store.patch(PATCH)
        await store.create(BODY)
    get, patch, create = server.requests
    path = "/apis/coordination.k8s.io/v1/namespaces/shop/leases"
    assert (get.method, get.path) == ("GET", f"{path}/web"), "no resourceVersion: a quorum read"
    assert (patch.method, patch.path) == ("PATCH", f"{path}/web")
    assert patch.headers["content-type"] == "application/merge-patch+json"
    assert json.loads(patch.body) == PATCH
    assert (create.method, create.path) == ("POST", path)
    whole = json.loads(create.body)
    assert (whole["apiVersion"], whole["kind"], whole["metadata"]["name"]) == ("coordination.k8s.io/v1", "Lease", "web")
    assert whole["spec"] == BODY["spec"]
    assert {seen.connection for seen in server.requests} == {1}
    assert all(re.fullmatch(r"leader-sidecar/\d+\.\d+\.\d+.*", seen.headers["user-agent"]) for seen in server.requests)
    assert not any("authorization" in seen.headers or "cookie" in seen.headers for seen in server.requests)


async def test_cookies_of_a_load_balancer_are_not_kept() -> None:
    async with (
        scripted(reply(200, LEASE, Set_Cookie="stick=1")) as server,
        connected(server.url.replace("127.0.0.1", "localhost")) as store,
    ):
        await store.read()
        await store.read()
    assert "cookie" not in server.requests[1].headers


async def test_proxy_variables_and_netrc_of_the_image_are_not_obeyed_and_no_thread_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    threads = threading.active_count()
    async with served(reply(200, LEASE)) as (server, store):
        assert isinstance(await store.read(), Done)
        assert "authorization" not in server.requests[0].headers
        assert threading.active_count() == threads


async def test_a_closed_store_answers_unknown() -> None:
    async with served(reply(200, LEASE)) as (server, store):
        await store.read()
        await store.close()
        assert isinstance(await store.read(), Unknown)
        await store.close()
        assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [Reply(b"", "hang"), stream(b'{"kind"', end=False, then="hang")])
async def test_closing_the_store_ends_a_call_under_way(answer: Reply) -> None:
    async with served(answer) as (server, store):
        call = asyncio.create_task(store.read())
        await until(lambda: len(server.requests) == 1)
        await store.close()
        async with asyncio.timeout(10):
            assert isinstance(await call, Unknown)


async def test_a_dead_peer_is_noticed_by_the_kernel() -> None:
    """Keepalive, and TCP_USER_TIMEOUT where there is one, stand on every connection."""
    import socket  # noqa: PLC0415 - named for its constants alone

    async with served(reply(200, LEASE)) as (_, store):
        made = store._client._transport._socket((socket.AF_INET, socket.SOCK_STREAM, 0))
        with made:
            assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
