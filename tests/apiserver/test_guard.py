"""The guard over the Lease on the real API server, with writes that are stored; and the election runs under it.

What else may be written and what not, row by row: test_guard_table.py.
"""

import json
import signal
from pathlib import Path
from typing import Any

from sidecar.election.record import STANDBY_ANNOTATION, TERM_ANNOTATION
from tests.apiserver.conftest import SHORT
from tests.apiserver.guard_stage import Stage, with_spec
from tests.apiserver.guarded import Guarded, enforced, made, refused
from tests.apiserver.kustomized import BoundPod
from tests.apiserver.server import ApiServer
from tests.apiserver.sidecar_process import the_leader, until

JSON = dict[str, Any]


def staged(guarded: Guarded) -> Stage:
    """Two Pods and the Lease as it is shipped."""
    return Stage(guarded, guarded.pod("web-0"), guarded.pod("web-1"))


def test_a_pod_writes_its_own_identity_and_releases_it(guarded: Guarded) -> None:
    """Acquire, renew, release with a successor, and anew; with its own Pod named in the term, whose name has a dot."""
    pod = guarded.pod("web.x-0")  # a dot is no wildcard here
    there = Stage(guarded, pod, guarded.pod("web-1"))
    for write in (there.acquired, there.renewed, lambda by: there.released(by, "web-1"), there.acquired, there.acquired):
        assert pod.patch(pod.leases("web"), write(pod)) == (200, "")


def test_a_pod_takes_over_what_another_held(guarded: Guarded) -> None:
    """When it may, the election says; whose name it writes, and with which token, the guard."""
    there = staged(guarded)
    for pod in (there.first, there.second, there.first):
        before = there.record.token
        assert pod.patch(pod.leases("web"), there.acquired(pod)) == (200, "")
        assert (there.record.token or 0) > (before or 0)


def test_a_follower_stands_by_and_strikes_off(guarded: Guarded) -> None:
    """It adds itself, or strikes somebody off, while another holds the Lease."""
    there, other = staged(guarded), guarded.pod("web-2")
    lease = there.first.leases("web")

    def stand_by(*pods: BoundPod) -> JSON:
        names = [pod.identity for pod in pods]
        return {"metadata": {"annotations": {STANDBY_ANNOTATION: json.dumps(names, separators=(",", ":")) if names else None}}}

    assert there.first.patch(lease, there.acquired(there.first))[0] == 200
    pod = there.second
    for who, names in ((pod, (pod,)), (other, (pod, other)), (pod, (other,)), (other, ())):
        assert who.patch(lease, stand_by(*names)) == (200, "")
    assert refused(pod.patch(lease, stand_by(other)), STANDBY_ANNOTATION)


def test_the_missing_lease_is_created_in_nobodys_name_and_claimed_back(guarded: Guarded) -> None:
    """By its name, for the placeholder; the former holder claims it back."""
    there = staged(guarded)
    assert there.first.patch(there.first.leases("web"), there.acquired(there.first))[0] == 200
    record = there.record
    guarded.server.delete_lease(guarded.namespace)
    body = there.placeholder(record.token)
    status, _ = guarded.server.request("POST", there.second.leases(), body, token=there.second.token)
    assert status == 201
    assert there.first.patch(there.first.leases("web"), there.renewed(there.first, record.token)) == (200, "")
    assert there.record.token == record.token


def test_a_token_that_is_bound_to_no_pod_writes_nothing(guarded: Guarded) -> None:
    """Whoever may ask for tokens of the account gains no leadership by one."""
    path = f"/api/v1/namespaces/{guarded.namespace}/serviceaccounts/web-leader-sidecar/token"
    status, found = guarded.server.request("POST", path, {"spec": {"expirationSeconds": 3600}})
    assert status == 201, found
    there = staged(guarded)
    nobody = BoundPod(guarded.server, guarded.namespace, "web-0", there.first.uid, found["status"]["token"])
    assert refused(nobody.patch(nobody.leases("web"), there.acquired(there.first)), "not bound to a Pod")
    assert refused(nobody.patch(nobody.leases("web"), {"spec": {"holderIdentity": "_"}}), "not bound to a Pod")
    assert refused(nobody.patch_pod("web-0", {"metadata": {"labels": {"leader-sidecar/role": "leader"}}}), "only the Pod")
    guarded.server.delete_lease(guarded.namespace)
    status, found = guarded.server.request("POST", nobody.leases(), there.placeholder(), token=nobody.token)
    assert refused((status, found["message"]), "not bound to a Pod")


def test_others_are_not_its_business(guarded: Guarded) -> None:
    """The administrator writes what it likes, into the Lease and into Pods."""
    pod = guarded.pod("web-0")
    guarded.server.patch_lease(guarded.namespace, {"spec": {"holderIdentity": "anyone"}})
    path = f"/api/v1/namespaces/{guarded.namespace}/pods/{pod.name}"
    assert guarded.server.request("PATCH", path, {"metadata": {"labels": {"a": "b"}}}, "application/merge-patch+json")[0] == 200


def test_a_rolebinding_that_does_not_say_which_lease_allows_none(guarded: Guarded) -> None:
    """A guard that is half set up is no hole, and says so."""
    there = staged(guarded)
    pod, body = there.first, there.acquired(there.first)
    guarded.server.kubectl("annotate", "rolebinding", "web-leader-sidecar", "leader-sidecar/lease-", "-n", guarded.namespace)
    until(lambda: pod.patch(pod.leases("web"), body)[0] == 403, within_seconds=5)
    assert refused(pod.patch(pod.leases("web"), body), "leader-sidecar/lease")


def test_an_account_of_two_guarded_rolebindings_writes_neither_lease(guarded: Guarded) -> None:
    """Each holds it to its own Lease: one account, one Lease. Two accounts with one each share a namespace."""
    there = staged(guarded)
    pod, body = there.first, there.acquired(there.first)
    assert pod.patch(pod.leases("web") + "?dryRun=All", body)[0] == 200
    account = {"kind": "ServiceAccount", "name": "another"}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "another", "labels": {"leader-sidecar/guard": "true"}, "annotations": {"leader-sidecar/lease": "another"}},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "of-nothing"},
        "subjects": [account],
    }
    own = {"kind": "ServiceAccount", "name": "web-leader-sidecar", "namespace": guarded.namespace}
    guarded.server.apply({**binding, "subjects": [account, own]}, namespace=guarded.namespace)
    until(lambda: pod.patch(pod.leases("web") + "?dryRun=All", body)[0] == 403, within_seconds=10)
    assert refused(pod.patch(pod.leases("web") + "?dryRun=All", body), "only the Lease")
    guarded.server.apply({**binding, "subjects": [account]}, namespace=guarded.namespace)
    until(lambda: pod.patch(pod.leases("web") + "?dryRun=All", body)[0] == 200, within_seconds=10)


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


def test_what_a_coordinated_election_goes_by_stays(tmp_path: Path) -> None:
    """Strategy and preferred holder: an API server that keeps them (a feature gate) is needed to see it."""
    gate = ("--feature-gates=CoordinatedLeaderElection=true", "--runtime-config=coordination.k8s.io/v1beta1=true")
    server = ApiServer(flags=gate)
    try:
        enforced(server.start(), tmp_path / "policy")
        there = staged(made(server, tmp_path / "app"))
        pod, lease = there.second, there.second.leases("web")
        assert there.first.patch(lease, there.acquired(there.first)) == (200, "")
        for field, value in (("strategy", "OldestEmulationVersion"), ("preferredHolder", "x")):
            fields = {"strategy": "OldestEmulationVersion", field: value}
            assert refused(pod.patch(lease, with_spec(there.acquired(pod), **fields)), "spec.strategy"), field
        there.administer({"spec": {"strategy": "OldestEmulationVersion", "preferredHolder": "x"}})
        assert refused(pod.patch(lease, with_spec(there.acquired(pod), preferredHolder=None)), "spec.strategy")
        assert pod.patch(lease, there.acquired(pod)) == (200, "")
        assert there.lease["spec"]["preferredHolder"] == "x"
    finally:
        server.stop()


def test_what_the_guard_does_not_know_is_refused_and_the_sidecar_says_what_to_do(guarded: Guarded, tmp_path: Path) -> None:
    """A newer sidecar under an older guard, or one that carries on what a newer one has left; without it somebody leads."""
    left = {"holder": "", "token": 1, "process": "i", "place": "p", "released": True, "later": {"a": 1}}
    guarded.server.patch_lease(guarded.namespace, {"metadata": {"annotations": {TERM_ANNOTATION: json.dumps(left)}}})
    sidecar = guarded.sidecar(guarded.pod("web-0"), tmp_path, SHORT).start().serving()
    said = until(lambda: sidecar.ask("/readyz?verbose").body.decode().partition("leader-sidecar's guard: ")[2], within_seconds=10)
    assert "Newer sidecar? Apply its policy first." in said
    assert "…" not in said.splitlines()[0], "nothing of it is cut"
    assert "Newer sidecar? Apply its policy first." in sidecar.log
    guarded.server.patch_lease(guarded.namespace, {"metadata": {"annotations": {TERM_ANNOTATION: None}}})
    until(sidecar.leads, within_seconds=10)


def _holder(guarded: Guarded) -> str:
    lease = guarded.server.lease(guarded.namespace) or {}
    return str(lease.get("spec", {}).get("holderIdentity", ""))
