"""Yielding on a real API server: its objects, rights and timestamps; what controllers and a kubelet would write, a test writes."""

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest

from tests.apiserver.conftest import Field, shipped
from tests.apiserver.roles import rights, without
from tests.apiserver.sidecar_process import Sidecar, the_leader, until
from tests.support.workloads import JSON, ago, controlled_by, pod_spec

APPS = "/apis/apps/v1/namespaces"
TIMES = {"LEADER_LEASE_DURATION": "6s", "LEADER_RENEW_DEADLINE": "4500ms", "LEADER_RETRY_PERIOD": "1s"}
SETTINGS = {**TIMES, "LEADER_NATIVE_SIDECAR": "true", "LEADER_ROLLOUT_HANDOVER": "true"}
LOOKS_SECONDS = 40
"""Two looks, and room for a machine under load."""


class Rollout:
    """A Deployment `web` with its ReplicaSets and Pods, as its controller and a kubelet keep them."""

    def __init__(self, ground: Field) -> None:
        self.ground = ground
        self.deployment = self.post("deployments", {
            "metadata": {"name": "web", "annotations": {"deployment.kubernetes.io/revision": "1"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template({"app": "web"})},
        })  # fmt: skip
        self.sets: dict[str, JSON] = {}
        for number, name in enumerate(("old", "new"), 1):
            labels = {"app": "web", "pod-template-hash": name}
            annotations = {"deployment.kubernetes.io/revision": str(number)}
            owner = controlled_by("Deployment", "web", self.deployment["metadata"]["uid"])
            self.sets[name] = self.post("replicasets", {
                "metadata": {"name": f"web-{name}", "labels": labels, "annotations": annotations, "ownerReferences": owner},
                "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template(labels)},
            })  # fmt: skip

    def post(self, plural: str, body: JSON, root: str = APPS) -> JSON:
        """Create."""
        status, found = self.ground.server.request("POST", f"{root}/{self.ground.namespace}/{plural}", body)
        assert status == 201, found
        return found

    def patch(self, plural: str, name: str, body: JSON, *, root: str = APPS) -> None:
        """A merge patch; with a status, of the status."""
        path = f"{root}/{self.ground.namespace}/{plural}/{name}" + ("/status" if "status" in body else "")
        status, found = self.ground.server.request("PATCH", path, body, "application/merge-patch+json")
        assert status == 200, found

    def is_at(self, revision: int, *, of: str) -> None:
        """What the Deployment's controller writes when it has looked at a new spec."""
        annotations = {"metadata": {"annotations": {"deployment.kubernetes.io/revision": str(revision)}}}
        self.patch("replicasets", f"web-{of}", annotations)
        self.patch("deployments", "web", annotations)
        status, found = self.ground.server.request("GET", f"{APPS}/{self.ground.namespace}/deployments/web")
        assert status == 200
        self.patch("deployments", "web", {"status": {"observedGeneration": found["metadata"]["generation"]}})

    def pod(self, name: str, of: str) -> str:
        """A Pod of that ReplicaSet; its uid."""
        replica_set = self.sets[of]
        owner = controlled_by("ReplicaSet", replica_set["metadata"]["name"], replica_set["metadata"]["uid"])
        spec = pod_spec(native=True) | {"nodeName": "nowhere"}
        metadata = {"name": name, "labels": {"app": "web", "pod-template-hash": of}, "ownerReferences": owner}
        found = self.post("pods", {"metadata": metadata, "spec": spec}, "/api/v1/namespaces")
        return str(found["metadata"]["uid"])

    def runs(self, name: str, *, since_seconds: float) -> None:
        """What a kubelet reports; its clock is this machine's, as the API server's is here."""
        running = {"state": {"running": {"startedAt": ago(since_seconds, datetime.now(UTC))}}}
        entry = {"ready": True, "restartCount": 0, "image": "x", "imageID": "x"}
        done: JSON = {"state": {"terminated": {"exitCode": 0}}}
        statuses = {
            "phase": "Running",
            "containerStatuses": [{"name": "app", **entry, **running}],
            "initContainerStatuses": [{"name": "migrate", **entry, **done}, {"name": "leader", **entry, **running}],
        }
        self.patch("pods", name, {"status": statuses}, root="/api/v1/namespaces")

    def sidecar(self, name: str, of: str, role: JSON | None = None) -> Sidecar:
        """A Pod and its sidecar, started; the Pod's containers run, and have for an hour."""
        uid = self.pod(name, of)
        self.runs(name, since_seconds=3600)
        sidecar = self.ground.sidecar(name, uid=uid, times=SETTINGS | {"POD_NAMESPACE": self.ground.namespace})
        self.ground.grant(sidecar, role or shipped("components/rollout-handover/role.yaml"))
        return sidecar.start().serving()


def template(labels: JSON) -> JSON:
    """A Pod template."""
    return {"metadata": {"labels": labels}, "spec": pod_spec(native=True)}


def says(sidecar: Sidecar, text: str) -> bool:
    """In /readyz?verbose."""
    return text in sidecar.ask("/readyz?verbose").body.decode()


OF_A_DEPLOYMENT = [("get", "pods"), ("list", "pods"), ("get", "replicasets"), ("get", "deployments")]
OF_OTHERS = [("get", "statefulsets"), ("get", "daemonsets"), ("list", "controllerrevisions")]


def test_no_right_of_the_shipped_role_is_left_out_below() -> None:
    """Who adds one shows here what it is for."""
    assert sorted(rights(shipped("components/rollout-handover/role.yaml"))) == sorted(OF_A_DEPLOYMENT + OF_OTHERS)


@pytest.mark.long
def test_y_a_leader_of_an_old_revision_yields_and_an_undone_rollout_is_followed_back(ground: Field) -> None:
    """To nobody that has been there for less than a lease duration; by the ReplicaSets' numbers; and the Lease remembers it."""
    rollout = Rollout(ground)
    rollout.is_at(1, of="old")
    old = rollout.sidecar("web-old-a", "old")
    until(old.leads, within_seconds=10)
    new = rollout.sidecar("web-new-a", "new")
    new.informed("web-old-a")
    rollout.runs("web-new-a", since_seconds=-30)
    rollout.is_at(2, of="new")
    began = time.monotonic()
    time.sleep(20)
    assert old.leads(), "it has looked, and the new one's containers have not run for a lease duration"
    the_leader([old, new], within_seconds=30 + LOOKS_SECONDS, other_than=old)
    assert time.monotonic() - began > 30 + 6 - 2, "by the API server's clock, of whole seconds"
    note = ground.lease()["metadata"]["annotations"]["leader-sidecar/yielded"]
    assert '"to": "web-new-a"' in note
    assert rollout.deployment["metadata"]["uid"] in note
    assert "handing over to a Pod of the current revision" in old.log
    rollout.is_at(3, of="old")
    the_leader([old, new], within_seconds=LOOKS_SECONDS + 6, other_than=new)
    time.sleep(15)
    assert old.leads(), "and there it stays"
    assert ground.lease()["spec"]["leaseTransitions"] == 2, f"{old.log}\n---\n{new.log}"


@pytest.mark.long
def test_a_revision_that_crashes_is_not_yielded_to_again(ground: Field) -> None:
    """The new leader dies; an old one leads, another process than the one that yielded; it sees in the Lease what was, and stays."""
    rollout = Rollout(ground)
    rollout.is_at(1, of="old")
    first = rollout.sidecar("web-old-a", "old")
    until(first.leads, within_seconds=10)
    new = rollout.sidecar("web-new-a", "new")
    new.informed("web-old-a")
    rollout.is_at(2, of="new")
    until(new.leads, within_seconds=LOOKS_SECONDS)
    first.signal(signal.SIGTERM)
    first.wait(10)
    second = rollout.sidecar("web-old-b", "old")
    second.informed("web-new-a")
    new.kill()
    until(second.leads, within_seconds=20)
    new.start().serving().informed("web-old-b")
    time.sleep(30)
    assert second.leads()
    assert "yielding" not in second.log


def test_each_right_of_the_shipped_role_is_needed_and_missed_by_name(grounds: Callable[[str], Field]) -> None:
    """For a Deployment, one without each of the rights, side by side; in the log once, and in /readyz?verbose."""
    lacking: dict[tuple[str, str], Sidecar] = {}
    for right in OF_A_DEPLOYMENT:
        rollout = Rollout(grounds("-".join(right)))
        rollout.is_at(2, of="new")
        lacking[right] = rollout.sidecar("web-old-a", "old", without(shipped("components/rollout-handover/role.yaml"), right))
    for (verb, resource), old in lacking.items():
        until(old.leads, within_seconds=10)
        until(partial(says, old, f"not allowed: verb {verb} on {resource}"), within_seconds=LOOKS_SECONDS)
    time.sleep(12)
    for right, old in lacking.items():
        assert old.log.count("rollout-handover failed") == 1, right
        assert old.leads(), right


@pytest.mark.parametrize(
    ("kind", "resource", "verb"),
    [
        ("StatefulSet", "", ""),
        ("DaemonSet", "", ""),
        *(
            pytest.param("StatefulSet" if resource == "statefulsets" else "DaemonSet", resource, verb, marks=pytest.mark.long)
            for verb, resource in OF_OTHERS
        ),
    ],
)
def test_a_stateful_set_and_a_daemon_set_are_followed_too(ground: Field, kind: str, resource: str, verb: str) -> None:
    """By the API's own word; without the right to hear it, that is said."""
    rollout = Rollout(ground)
    body: JSON = {
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template({"app": "web"})},
    }
    plural = f"{kind.lower()}s"
    if kind == "StatefulSet":
        body["spec"] |= {"serviceName": "web"}
    owner = rollout.post(plural, body)
    uid, hashes = owner["metadata"]["uid"], {"old": "zzz", "new": "aaa"}
    status: JSON = {"observedGeneration": owner["metadata"]["generation"]}
    if kind == "StatefulSet":
        hashes = {of: f"web-{hashed}" for of, hashed in hashes.items()}
        status |= {"replicas": 2, "updateRevision": hashes["new"], "currentRevision": hashes["old"]}
    else:
        status |= {"currentNumberScheduled": 2, "desiredNumberScheduled": 2, "numberMisscheduled": 0, "numberReady": 0}
    rollout.patch(plural, "web", {"status": status})
    for number, of in enumerate(("old", "new"), 1):
        labels = {"app": "web", "controller-revision-hash": hashes[of]}
        metadata = {"name": f"web-{of}", "labels": labels, "ownerReferences": controlled_by(kind, "web", uid)}
        rollout.post("controllerrevisions", {"metadata": metadata, "revision": number, "data": {}})
    sidecars = []
    for name, of in (("web-0", "old"), ("web-1", "new")):
        labels = {"app": "web", "controller-revision-hash": hashes[of]}
        metadata = {"name": name, "labels": labels, "ownerReferences": controlled_by(kind, "web", uid)}
        pod = rollout.post("pods", {"metadata": metadata, "spec": pod_spec(native=True) | {"nodeName": "nowhere"}}, "/api/v1/namespaces")
        rollout.runs(name, since_seconds=3600)
        sidecars.append(ground.sidecar(name, uid=pod["metadata"]["uid"], times=SETTINGS | {"POD_NAMESPACE": ground.namespace}))
        shipped_role = shipped("components/rollout-handover/role.yaml")
        ground.grant(sidecars[-1], without(shipped_role, (verb, resource)) if resource else shipped_role)
        sidecars[-1].start().serving().informed("web-0")
    old, new = sidecars
    if resource:
        said = f"not allowed: verb {verb} on {resource}"
        until(partial(says, old, said), within_seconds=LOOKS_SECONDS)
        return
    # The Pods were made just now, and have to be as old as a lease duration by the API server's clock.
    until(new.leads, within_seconds=LOOKS_SECONDS)
    assert f"{kind}/{uid}/{hashes['new']}" in ground.lease()["metadata"]["annotations"]["leader-sidecar/yielded"]
