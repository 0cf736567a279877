"""The guard over the Lease on the real API server: what a Pod's token may write, what is refused; and the election runs under it."""

import json
import signal
from pathlib import Path
from typing import Any

from sidecar.lease import SENTINEL, STANDBY_ANNOTATION, SUCCESSOR_ANNOTATION, TERM_ANNOTATION, Term
from tests.apiserver.conftest import SHORT
from tests.apiserver.guarded import Guarded, refused
from tests.apiserver.kustomized import BoundPod
from tests.apiserver.sidecar_process import the_leader, until

JSON = dict[str, Any]


def write(holder: str, term: str | None, **annotations: str | None) -> JSON:
    """A patch or a create's body, as a sidecar makes them."""
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 1}
    return {"metadata": {"annotations": {TERM_ANNOTATION: term} | annotations}, "spec": spec}


def term(holder: str, **more: Any) -> str:
    """The annotation as a sidecar writes it."""
    return Term(holder, token=7, instance="i", place="p", **more).to_json()


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
    changes: list[JSON] = [
        {"labels": {"team": "b"}},
        {"labels": None},
        {"annotations": {"team": "b"}},
        {"annotations": {"team": None}},
        {"annotations": {"more": "b"}},
        {"finalizers": ["example.com/held"]},
        {"ownerReferences": [owner]},
    ]
    for change in changes:
        body = write(pod.identity, term(pod.identity))
        changed: JSON = {**change}
        if isinstance(change.get("annotations"), dict):
            changed["annotations"] = body["metadata"]["annotations"] | change["annotations"]
        body["metadata"] |= changed
        assert refused(pod.patch(pod.leases("web"), body), "labels, owners"), change
    assert pod.patch(pod.leases("web"), write(pod.identity, term(pod.identity)))[0] == 200


def test_a_follower_stands_by_and_writes_nothing_beside_it(guarded: Guarded) -> None:
    """It adds itself, or strikes somebody off, while another holds the Lease; to name others or to change anything else is refused."""
    leader, pod, other = guarded.pod("web-0"), guarded.pod("web-1"), guarded.pod("web-2")
    lease = pod.leases("web")

    def stand_by(*names: str) -> JSON:
        return {"metadata": {"annotations": {STANDBY_ANNOTATION: json.dumps(names, separators=(",", ":")) if names else None}}}

    assert leader.patch(lease, write(leader.identity, term(leader.identity)))[0] == 200
    for who, names in ((pod, (pod,)), (other, (pod, other)), (pod, (other,)), (other, ())):
        assert who.patch(lease, stand_by(*(one.identity for one in names))) == (200, "")
    own = stand_by(pod.identity)
    for body in (
        stand_by(other.identity),
        stand_by(pod.identity, "x"),
        own | {"spec": {"leaseDurationSeconds": 1}},
        {"metadata": {"annotations": own["metadata"]["annotations"] | {SUCCESSOR_ANNOTATION: pod.name}}},
        {"metadata": {"annotations": own["metadata"]["annotations"] | {TERM_ANNOTATION: None}}},
    ):
        assert refused(pod.patch(lease, body)), body
    assert leader.patch(lease, write(leader.identity, term(leader.identity), **{STANDBY_ANNOTATION: None}))[0] == 200


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


def test_the_election_runs_under_it(guarded: Guarded, tmp_path: Path) -> None:
    """A leader, a handover, a deleted Lease that is made anew, and no request that the guard refuses."""
    sidecars = [guarded.sidecar(guarded.pod(f"web-{number}"), tmp_path, SHORT).start() for number in range(3)]
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
