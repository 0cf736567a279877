"""SIGTERM in a Pod that is being deleted, while a connection is open: somebody who looks at the page by a port-forward, say (S11)."""

import http.client
import signal

import pytest

from tests.apiserver.conftest import SHORT, Field, shipped
from tests.apiserver.sidecar_process import Sidecar, boottime_ns, until

ROLES = {"LEADER_EARLY_TAKEOVER": "early-takeover", "LEADER_ROLLOUT_HANDOVER": "rollout-handover"}
"""Which setting lets the sidecar read its own Pod, and by which component's Role."""


def in_a_pod(ground: Field, setting: str) -> Sidecar:
    """A sidecar that leads, with that setting on, in a Pod that stays for as long as its finalizer does."""
    sidecar = {"name": "leader", "image": "registry.example/leader-sidecar", "restartPolicy": "Always"}
    spec = {"containers": [{"name": "app", "image": "registry.example/app"}], "initContainers": [sidecar]}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "finalizers": ["example.com/kept"]}, "spec": spec}
    pods = f"/api/v1/namespaces/{ground.namespace}/pods"
    status, made = ground.server.request("POST", pods, body | {"spec": spec | {"automountServiceAccountToken": False}})
    assert status == 201, made
    settings = SHORT | {"POD_NAMESPACE": ground.namespace, "LEADER_NATIVE_SIDECAR": "true", setting: "true"}
    found = ground.sidecar("web-0", uid=str(made["metadata"]["uid"]), times=settings)
    ground.grant(found, shipped(f"components/{ROLES[setting]}/role.yaml"))
    found.start().serving()
    until(found.leads, within_seconds=10)
    return found


@pytest.mark.parametrize("setting", ROLES)
@pytest.mark.parametrize("deleted", [True, False])
def test_where_it_may_read_its_pod_a_deletion_says_that_the_application_has_ended(ground: Field, setting: str, deleted: bool) -> None:  # noqa: FBT001
    """And what is not deleted says nothing: the deadlines are kept."""
    leader = in_a_pod(ground, setting)
    if deleted:
        status, _ = ground.server.request("DELETE", f"/api/v1/namespaces/{ground.namespace}/pods/web-0")
        assert status == 200
    kept = http.client.HTTPConnection("127.0.0.1", leader.port)
    kept.request("GET", "/leader")
    kept.getresponse().read()
    given_ns = leader.leader()["valid_until_boottime_ns"]
    leader.signal(signal.SIGTERM)
    until(lambda: not ground.lease()["spec"]["holderIdentity"], within_seconds=10)
    assert (boottime_ns() < given_ns) is deleted
    assert ("this Pod is being deleted" in leader.log) is deleted
    assert leader.wait(5) == 0
    kept.close()
