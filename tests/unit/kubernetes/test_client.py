"""One request to the API server: where it goes, and what its answer means, whatever object it is about."""

import json
from pathlib import Path
from typing import Any

import pytest
import trustme

from sidecar.election.record import JSON
from sidecar.election.store import Busy, Denied, Missing, Unknown
from sidecar.kubernetes import resource
from sidecar.kubernetes.client import Client
from sidecar.kubernetes.credentials import Access
from sidecar.kubernetes.in_cluster import Configuration
from sidecar.kubernetes.resource import Resource
from sidecar.kubernetes.responses import Answer, Conflicted, NotFound, Received
from sidecar.kubernetes.store import KubernetesStore

WEB = resource.lease("shop", "web")
POD = resource.pod("shop", "web-0")
STATUS = resource.pod("shop", "web-0", "status")
EVENTS = resource.events("shop")


class Scripted(Client):
    """Answers as a test says, and notes what was asked."""

    def __init__(self, answer: Answer | Unknown, trouble: str = "") -> None:
        self.asked: list[tuple[str, str, JSON | None, str]] = []
        self._answer, self._trouble = answer, trouble

    @property
    def trouble(self) -> str:
        """Of the credentials."""
        return self._trouble

    async def exchange(
        self,
        method: str,
        path: str,
        body: JSON | None,
        *,
        content_type: str,
        limit_seconds: float | None,  # noqa: ARG002 - it answers at once
    ) -> Answer | Unknown:
        """Noted."""
        self.asked.append((method, path, body, content_type))
        return self._answer


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    """With that JSON."""
    return Answer(status, headers, json.dumps({} if body is None else body).encode())


@pytest.mark.parametrize(
    ("what", "path", "rbac"),
    [
        (WEB, "/apis/coordination.k8s.io/v1/namespaces/shop/leases/web", "leases.coordination.k8s.io"),
        (WEB.collection, "/apis/coordination.k8s.io/v1/namespaces/shop/leases", "leases.coordination.k8s.io"),
        (POD, "/api/v1/namespaces/shop/pods/web-0", "pods"),
        (STATUS, "/api/v1/namespaces/shop/pods/web-0/status", "pods/status"),
        (STATUS.collection, "/api/v1/namespaces/shop/pods", "pods"),
        (EVENTS, "/apis/events.k8s.io/v1/namespaces/shop/events", "events.events.k8s.io"),
    ],
)
def test_a_resource_has_the_path_of_the_api_and_the_name_of_a_role(what: Resource, path: str, rbac: str) -> None:
    assert (what.path, what.rbac) == (path, rbac)
    assert what.asked("get").startswith(f"verb get on {rbac}")
    assert what.asked("get").endswith(' in namespace "shop"')


@pytest.mark.parametrize(
    ("verb", "what", "asked"),
    [
        ("get", POD, ("GET", POD.path, None, "application/json")),
        ("list", POD, ("GET", f"{POD.collection.path}?labelSelector=a%3Db", None, "application/json")),
        ("patch", STATUS, ("PATCH", STATUS.path, {"x": 1}, "application/merge-patch+json")),
        ("create", WEB, ("POST", WEB.collection.path, {"x": 1}, "application/json")),
    ],
)
async def test_a_verb_says_how_and_where_it_is_sent(verb: str, what: Resource, asked: tuple[str, str, JSON | None, str]) -> None:
    client = Scripted(answer(200, {}))
    await client.request(verb, what, asked[2], query={"labelSelector": "a=b"} if verb == "list" else None)
    assert client.asked == [asked]


@pytest.mark.parametrize("what", [WEB, POD, EVENTS], ids=lambda what: what.rbac)
@pytest.mark.parametrize("verb", ["get", "list", "patch", "create"])
@pytest.mark.parametrize(
    ("status", "meant"),
    [
        (200, Received),
        (201, Received),
        (400, Denied),
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (409, Conflicted),
        (422, Denied),
        (429, Busy),
        (302, Unknown),
        (500, Unknown),
        (503, Unknown),
    ],
)
async def test_a_status_means_the_same_of_every_object(what: Resource, verb: str, status: int, meant: type) -> None:
    """But where a create finds nothing it is the namespace that is missing: nothing was written."""
    found = await Scripted(answer(status, {"message": "so it is"})).request(verb, what)
    assert isinstance(found, Denied if (status, verb) == (404, "create") else meant)
    assert isinstance(found, Received | Busy) or "so it is" in found.message


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'"x"'])
async def test_a_success_that_carries_no_object_tells_nothing(body: bytes) -> None:
    assert isinstance(await Scripted(Answer(200, {}, body)).request("get", POD), Unknown)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"reason": "NotFound", "message": 'pods "web-0" not found'}, True),
        ({"reason": "NotFound", "message": "the server could not find the requested resource"}, False),
        ({"message": 'pods "web-0" not found'}, False),
        ([], False),
    ],
)
async def test_a_404_tells_whether_it_is_the_api_servers_own_word_about_that_kind(body: object, named: bool) -> None:  # noqa: FBT001 - what the case is about
    found = await Scripted(answer(404, body)).request("get", POD)
    assert isinstance(found, NotFound)
    assert found.named is named


@pytest.mark.parametrize("came", [answer(401, {}), Unknown("no answer within 2 s")])
async def test_trouble_with_the_credentials_is_said_with_what_fails(came: Answer | Unknown) -> None:
    found = await Scripted(came, "the token file has gone").request("get", POD)
    assert isinstance(found, Denied | Unknown)
    assert found.message.endswith("; the token file has gone")


async def test_two_leases_are_asked_for_through_one_client() -> None:
    """As several elections of one process may."""
    client = Scripted(answer(404, {}))
    stores = [KubernetesStore(client, resource.lease("shop", name), lambda: 0.5) for name in ("web", "batch")]
    assert [await store.read() for store in stores] == [Missing(), Missing()]
    assert [path.rpartition("/")[2] for _, path, _, _ in client.asked] == ["web", "batch"]


async def test_every_client_of_one_server_has_the_same_tls_context(tmp_path: Path) -> None:
    """It is made again where a file has changed, once for all of them, or where the server's certificate was refused."""
    file = tmp_path / "ca.crt"
    authorities = [trustme.CA() for _ in range(2)]
    authorities[0].cert_pem.write_to_path(file)
    access = Access(Configuration(host="https://127.0.0.1:1", ssl_ca_cert=str(file)))
    first = access.tls_context()
    assert access.tls_context() is first
    authorities[1].cert_pem.write_to_path(tmp_path / "next")
    (tmp_path / "next").replace(file)
    second = access.tls_context()
    assert second is not first
    assert access.tls_context() is second
    assert access.tls_context(anew=True) is not second
