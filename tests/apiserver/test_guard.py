"""The guard on the real API server, by tokens that are bound to Pods as a kubelet's are: what each may do, and what is refused."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sidecar.lease import SENTINEL, SUCCESSOR_ANNOTATION, TERM_ANNOTATION, Term
from tests.apiserver.conftest import SHORT
from tests.apiserver.kustomized import K8S, BoundPod, build, kustomization, only
from tests.apiserver.server import ApiServer
from tests.apiserver.sidecar_process import Sidecar, ending, the_leader, until

JSON = dict[str, Any]
GUARD = "leader-sidecar's guard"


@dataclass
class Guarded:
    """A namespace with the example application, the guard, and every right that a component gives."""

    server: ApiServer
    namespace: str
    template: JSON
    sidecars: list[Sidecar] = field(default_factory=list)

    def pod(self, name: str) -> BoundPod:
        """One more of its Pods."""
        return BoundPod.create(self.server, self.namespace, name, self.template)

    def sidecar(self, pod: BoundPod, folder: Path) -> Sidecar:
        """A real sidecar with that Pod's token."""
        kubeconfig = self.server.kubeconfig(pod.token, folder / f"{pod.name}.kubeconfig", namespace=self.namespace)
        settings = {"KUBECONFIG": str(kubeconfig), "LEADER_LEASE_NAME": "web", "LEADER_LEASE_NAMESPACE": self.namespace}
        sidecar = Sidecar(pod.name, folder, {**settings, **SHORT, "LEADER_APP_ENDS_FIRST": "true"}, uid=pod.uid)
        self.sidecars.append(sidecar)
        return sidecar


@pytest.fixture(scope="module")
def policy(apiserver: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The guard, in force."""
    apiserver.kubectl("apply", "-k", str(K8S / "guard"))
    ground = made(apiserver, tmp_path_factory.mktemp("policy"))
    pod = ground.pod("probe")
    until(lambda: pod.patch(pod.leases("web"), {"spec": {"holderIdentity": "x"}})[0] == 403, within_seconds=30)
    until(lambda: pod.patch_pod("probe", {"metadata": {"labels": {"in-force": "no"}}})[0] == 403, within_seconds=30)
    yield
    apiserver.kubectl("delete", "-k", str(K8S / "guard"))


def made(server: ApiServer, folder: Path) -> Guarded:
    """The example with the guard and all rights, in a namespace of its own."""
    namespace = server.namespace()
    built = build(server, kustomization(folder / "app", ["example"], ["create", "pod-label", "pod-condition", "guard"]))
    server.apply(*built, namespace=namespace)
    return Guarded(server, namespace, only(built, "Deployment")["spec"]["template"])


@pytest.fixture
def guarded(policy: None, apiserver: ApiServer, tmp_path: Path) -> Iterator[Guarded]:  # noqa: ARG001 - it is in force
    """A fresh one."""
    ground = made(apiserver, tmp_path)
    with ending(ground.sidecars):
        yield ground


def write(holder: str, term: str | None, **annotations: str | None) -> JSON:
    """A patch or a create's body, as a sidecar makes them."""
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 1}
    return {"metadata": {"annotations": {TERM_ANNOTATION: term} | annotations}, "spec": spec}


def term(holder: str, **more: Any) -> str:
    """The annotation as a sidecar writes it."""
    return Term(holder, token=7, instance="i", place="p", **more).to_json()


def refused(outcome: tuple[int, str], *saying: str) -> bool:
    """By the guard and not by RBAC, for the reason that is named."""
    status, message = outcome
    assert status == 403, outcome
    assert GUARD in message, message
    return all(word in message for word in saying)


# The Lease


def test_a_pod_writes_its_own_identity_and_releases_it(guarded: Guarded) -> None:
    """Acquire, renew, release with a successor; with keys of later versions, and with its own Pod named in the term."""
    pod = guarded.pod("web.x-0")  # a dot is no wildcard here
    for body in (
        write(pod.identity, term(pod.identity)),
        write(pod.identity, term(pod.identity, extra=(("later", '{"a":[1,"x"]}'),))),
        write(pod.identity, term(pod.identity)[:-1] + f',"pod":{{"name": "{pod.name}", "uid": "{pod.uid}", "renewed": null}}}}'),
        write("", term(pod.identity, released=True), **{SUCCESSOR_ANNOTATION: "web-1"}),
    ):
        assert pod.patch(pod.leases("web"), body) == (200, ""), body


def test_a_pod_takes_over_what_another_held(guarded: Guarded) -> None:
    """When it may, the election says; whose name it writes, the guard."""
    first, second = guarded.pod("web-0"), guarded.pod("web-1")
    assert first.patch(first.leases("web"), write(first.identity, term(first.identity)))[0] == 200
    assert second.patch(second.leases("web"), write(second.identity, term(second.identity)))[0] == 200


def test_no_pod_writes_another_ones_identity(guarded: Guarded) -> None:
    """Nor one that begins or ends like its own, nor the sentinel's into a Lease that exists."""
    pod, other = guarded.pod("web-0"), guarded.pod("web-1")
    for identity in (other.identity, f"{pod.name}_{other.uid}", f"{other.name}_{pod.uid}", f"{pod.identity}x", pod.name, SENTINEL):
        assert refused(pod.patch(pod.leases("web"), write(identity, term(pod.identity))), "holderIdentity"), identity


def test_no_pod_releases_another_ones_term(guarded: Guarded) -> None:
    """An emptied holder that was marked as released would be free at once, under a deadline that was given."""
    first, second = guarded.pod("web-0"), guarded.pod("web-1")
    assert first.patch(first.leases("web"), write(first.identity, term(first.identity)))[0] == 200
    assert refused(second.patch(second.leases("web"), write("", term(second.identity, released=True))), "holderIdentity")
    assert refused(second.patch(second.leases("web"), {"spec": {"holderIdentity": None}}), "holderIdentity")
    assert refused(second.patch(second.leases("web"), {"spec": None}), "holderIdentity")


def test_the_term_is_of_the_writers_own_identity(guarded: Guarded) -> None:
    """Whatever JSON hides another's: none, another's, twice, in an escape, in a string, in a member of a member, behind spaces."""
    pod, other = guarded.pod("web-0"), guarded.pod("web-1")
    mine, theirs = term(pod.identity), term(other.identity)
    tail = mine[1:]
    hidden = [
        None,
        "",
        "{}",
        "null",
        "[]",
        theirs,
        mine[:-1] + "," + theirs[1:],
        mine[:-1] + f', "holder": "{other.identity}"}}',
        mine[:-1] + f',"hold\\u0065r":"{other.identity}"}}',
        f'{{"holder":"{other.identity}","a":{mine}}}',
        f'{{"holder":"{other.identity}","\\{tail}',
        f'{{"holder":"{other.identity}","x{tail}',
        tail,
        mine + " ",
        mine.replace(pod.identity, pod.identity + "x"),
    ]
    for value in hidden:
        assert refused(pod.patch(pod.leases("web"), write(pod.identity, value)), TERM_ANNOTATION), value


def test_the_pod_that_a_term_names_is_the_writers_own(guarded: Guarded) -> None:
    """Early takeover goes by it."""
    pod, other = guarded.pod("web-0"), guarded.pod("web-1")
    own = f'"pod":{{"name":"{pod.name}","uid":"{pod.uid}"}}'
    mine = term(pod.identity)[:-1]
    assert pod.patch(pod.leases("web"), write(pod.identity, f"{mine},{own}}}"))[0] == 200
    for named in (
        f'"pod":{{"name":"{other.name}","uid":"{other.uid}"}}',
        f'"pod":{{"name": "{pod.name}", "uid": "{other.uid}"}}',
        f'{own},"pod":null',
        '"pod":"x"',
    ):
        assert refused(pod.patch(pod.leases("web"), write(pod.identity, f"{mine},{named}}}")), "Pod"), named


def test_what_others_put_on_the_lease_is_theirs(guarded: Guarded) -> None:
    """Labels, annotations, owners and finalizers."""
    pod = guarded.pod("web-0")
    guarded.server.patch_lease(guarded.namespace, {"metadata": {"annotations": {"team": "a"}, "labels": {"team": "a"}}})
    owner = {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid}
    for change in (
        {"labels": {"team": "b"}},
        {"labels": None},
        {"annotations": {"team": "b"}},
        {"annotations": {"team": None}},
        {"annotations": {"more": "b"}},
        {"finalizers": ["example.com/held"]},
        {"ownerReferences": [owner]},
    ):
        body = write(pod.identity, term(pod.identity))
        changed: JSON = {**change}
        if isinstance(change.get("annotations"), dict):
            changed["annotations"] = body["metadata"]["annotations"] | change["annotations"]
        body["metadata"] |= changed
        assert refused(pod.patch(pod.leases("web"), body), "labels, owners"), change
    assert pod.patch(pod.leases("web"), write(pod.identity, term(pod.identity)))[0] == 200


def test_the_missing_lease_is_created_in_nobodys_name(guarded: Guarded) -> None:
    """By its name, with the sentinel; not in one's own name (S5), and no other Lease."""
    pod = guarded.pod("web-0")
    guarded.server.delete_lease(guarded.namespace)

    def create(name: JSON, holder: str, of: str | None) -> tuple[int, str]:
        body = write(holder, of)
        body["metadata"] |= name
        status, found = guarded.server.request("POST", pod.leases(), body, token=pod.token)
        return status, str(found.get("message", ""))

    assert refused(create({"name": "other"}, SENTINEL, term(SENTINEL)), "no Lease but")
    assert refused(create({"generateName": "web"}, SENTINEL, term(SENTINEL)), "no Lease but")
    assert refused(create({"name": "web"}, pod.identity, term(pod.identity)), "holderIdentity")
    assert refused(create({"name": "web"}, "", term(SENTINEL)), "holderIdentity")
    assert refused(create({"name": "web"}, SENTINEL, term(pod.identity)), TERM_ANNOTATION)
    assert refused(create({"name": "web"}, SENTINEL, None), TERM_ANNOTATION)
    assert create({"name": "web"}, SENTINEL, term(SENTINEL)) == (201, "")


def test_a_token_that_is_bound_to_no_pod_writes_nothing(guarded: Guarded) -> None:
    """Whoever may ask for tokens of the account gains no leadership by one."""
    path = f"/api/v1/namespaces/{guarded.namespace}/serviceaccounts/leader-sidecar/token"
    status, found = guarded.server.request("POST", path, {"spec": {"expirationSeconds": 3600}})
    assert status == 201, found
    nobody = BoundPod(guarded.server, guarded.namespace, "web-0", "u", found["status"]["token"])
    assert refused(nobody.patch(nobody.leases("web"), write(nobody.identity, term(nobody.identity))), "bound to no Pod")
    assert refused(nobody.patch(nobody.leases("web"), write("", term(""))), "bound to no Pod")
    pod = guarded.pod("web-0")
    assert refused(nobody.patch_pod(pod.name, {"metadata": {"labels": {"leader-sidecar/role": "leader"}}}), "no Pod but")


def test_others_are_not_its_business(guarded: Guarded) -> None:
    """The administrator writes what it likes, into the Lease and into Pods."""
    pod = guarded.pod("web-0")
    guarded.server.patch_lease(guarded.namespace, {"spec": {"holderIdentity": "anyone"}})
    path = f"/api/v1/namespaces/{guarded.namespace}/pods/{pod.name}"
    assert guarded.server.request("PATCH", path, {"metadata": {"labels": {"a": "b"}}}, "application/merge-patch+json")[0] == 200


def test_a_rolebinding_that_does_not_say_which_lease_allows_none(guarded: Guarded) -> None:
    """A guard that is half set up is no hole, and says so."""
    pod = guarded.pod("web-0")
    guarded.server.kubectl("annotate", "rolebinding", "leader-sidecar", "leader-sidecar/lease-", "-n", guarded.namespace)
    body = write(pod.identity, term(pod.identity))
    until(lambda: pod.patch(pod.leases("web"), body)[0] == 403, within_seconds=5)
    assert refused(pod.patch(pod.leases("web"), body), "leader-sidecar/lease")


# Pods


def test_a_pod_sets_its_own_label_and_takes_it_away(guarded: Guarded) -> None:
    """And no other value than the two."""
    pod = guarded.pod("web-0")
    for value in ("leader", "follower", None):
        body = {"metadata": {"uid": pod.uid, "labels": {"leader-sidecar/role": value}}}
        assert pod.patch_pod(pod.name, body) == (200, ""), value
    assert refused(pod.patch_pod(pod.name, {"metadata": {"labels": {"leader-sidecar/role": "boss"}}}), "leader or follower")


def test_a_pod_sets_its_own_condition(guarded: Guarded) -> None:
    """Among those that are there; a patch of nothing, which is a look, is allowed as well."""
    pod = guarded.pod("web-0")
    path = f"/api/v1/namespaces/{guarded.namespace}/pods/{pod.name}/status"
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-23T08:00:00Z"}
    guarded.server.request("PATCH", path, {"status": {"conditions": [ready], "phase": "Running"}}, "application/strategic-merge-patch+json")
    for status in ("True", "False"):
        body = {"metadata": {"uid": pod.uid}, "status": {"conditions": [{"type": "leader-sidecar/leading", "status": status}]}}
        assert pod.patch_pod(pod.name, body, "/status") == (200, "")
    assert pod.patch_pod(pod.name, {"metadata": {"uid": pod.uid}}, "/status") == (200, "")
    found = {each["type"]: each["status"] for each in guarded.server.request("GET", path)[1]["status"]["conditions"]}
    assert found == {"Ready": "False", "leader-sidecar/leading": "False"}
    for body in (
        {"status": {"conditions": [{"type": "Ready", "status": "True"}]}},
        {"status": {"conditions": [{"type": "mine", "status": "True"}]}},
        {"status": {"conditions": [{"type": "Ready", "$patch": "delete"}]}},
        {"status": {"phase": "Failed"}},
        {"status": {"podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.9"}]}},
        {"status": {"conditions": None}},
    ):
        assert refused(pod.patch_pod(pod.name, body, "/status"), "status"), body


def test_no_pod_touches_another(guarded: Guarded) -> None:
    """Though RBAC cannot but let it."""
    pod, other = guarded.pod("web-0"), guarded.pod("web-1")
    assert refused(pod.patch_pod(other.name, {"metadata": {"labels": {"leader-sidecar/role": "leader"}}}), "no Pod but")
    body = {"status": {"conditions": [{"type": "leader-sidecar/leading", "status": "True"}]}}
    assert refused(pod.patch_pod(other.name, body, "/status"), "no Pod but")


def test_a_pod_of_the_same_name_is_another_pod(guarded: Guarded) -> None:
    """A StatefulSet's Pod comes back under its name: the token of the former one writes neither it nor the Lease."""
    pod = guarded.pod("web-0")
    guarded.server.kubectl("delete", "pod", "web-0", "-n", guarded.namespace, "--force", "--grace-period=0")
    guarded.pod("web-0")
    assert pod.patch_pod("web-0", {"metadata": {"labels": {"leader-sidecar/role": "leader"}}})[0] in {401, 403}


def test_of_its_own_pod_a_pod_changes_nothing_else(guarded: Guarded) -> None:
    """Neither image nor labels nor annotations nor owners, by either door."""
    pod = guarded.pod("web-0")
    image = {"spec": {"containers": [{"name": guarded.template["spec"]["containers"][0]["name"], "image": "another"}]}}
    assert refused(pod.patch_pod(pod.name, image), "spec")
    for subresource in ("", "/status"):
        for change in ({"labels": {"leader-sidecar/lease": "x"}}, {"labels": {"a": "b"}}, {"annotations": {"a": "b"}}):
            assert refused(pod.patch_pod(pod.name, {"metadata": change}, subresource), "metadata"), change
    assert refused(pod.patch_pod(pod.name, {"metadata": {"finalizers": ["example.com/held"]}}), "metadata")


# The election


def test_the_election_runs_under_it(guarded: Guarded, tmp_path: Path) -> None:
    """A leader, a handover, a deleted Lease that is made anew, and no request that the guard refuses."""
    sidecars = [guarded.sidecar(guarded.pod(f"web-{number}"), tmp_path).start() for number in range(3)]
    leader = the_leader([sidecar.serving() for sidecar in sidecars], within_seconds=10)
    leader.signal(signal.SIGTERM)
    others = [sidecar for sidecar in sidecars if sidecar is not leader]
    second = the_leader(others, within_seconds=5)
    token = second.leader()["fencing_token"]
    guarded.server.delete_lease(guarded.namespace)
    until(lambda: guarded.server.lease(guarded.namespace) is not None, within_seconds=10)
    until(lambda: _holder(guarded) == second.identity, within_seconds=10)
    assert second.leader()["fencing_token"] == token
    second.signal(signal.SIGKILL)
    the_leader([sidecar for sidecar in others if sidecar is not second], within_seconds=10)
    assert not [sidecar.log for sidecar in sidecars if "guard" in sidecar.log]


def _holder(guarded: Guarded) -> str:
    lease = guarded.server.lease(guarded.namespace) or {}
    return str(lease.get("spec", {}).get("holderIdentity", ""))
