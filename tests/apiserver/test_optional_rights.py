"""Early takeover and `create`: each right of their shipped Roles is needed, missed by name, and its lack holds no election up.

Likewise in `test_rights.py` for the base's, `test_yield.py` for that of yield, `test_pod.py` for those of label, condition and Events.
"""

import signal
import time
from datetime import datetime

import pytest

from sidecar.kubernetes.responses import CURE
from tests.apiserver.conftest import SHORT, Field, shipped
from tests.apiserver.gate import Gate
from tests.apiserver.kustomized import K8S
from tests.apiserver.own_pod import COMPONENTS, create_pod
from tests.apiserver.roles import Right, rights, without
from tests.apiserver.sidecar_process import Sidecar, until
from tests.support.share import first

EARLY = shipped("components/early-takeover/role.yaml")
CREATE = shipped("components/create/role.yaml")
LEASE_SECONDS = 8
TIMES = {"LEADER_LEASE_DURATION": f"{LEASE_SECONDS}s", "LEADER_RENEW_DEADLINE": "6s", "LEADER_RETRY_PERIOD": "1s"}
ALL: Right = ("", "")


def test_every_role_of_a_component_is_taken_apart_somewhere() -> None:
    """Who ships another shows what each of its rights is for."""
    found = {path.parent.name for path in (K8S / "components").glob("*/role.yaml")}
    assert found == {"create", "early-takeover", "rollout-handover", *COMPONENTS.values()}


def early(ground: Field, gate: Gate, name: str, right: Right) -> Sidecar:
    """A sidecar with early takeover in a Pod of its own, with all of the Role but that right; serving."""
    settings = TIMES | {"POD_NAMESPACE": ground.namespace, "LEADER_EARLY_TAKEOVER": "true"}
    sidecar = ground.sidecar(name, uid=create_pod(ground, name), port=gate.port, times=settings)
    ground.grant(sidecar, EARLY if right == ALL else without(EARLY, right))
    return sidecar.start().serving()


def has_looked(gate: Gate, name: str, right: Right) -> bool:
    """Whether the Pod of that name is watched; where it may not be, whether the read after that has been answered, the last for long."""
    watched = [asked for asked in gate.asked if "/pods?" in asked.path and "watch=1" in asked.path]
    read = [asked for asked in gate.answered if asked.path.endswith(f"/pods/{name}")]
    return bool(watched) and (right == ALL or len(read) > 1)


def has_ended(ground: Field, name: str) -> None:
    """What a kubelet reports when the processes of a Pod have ended for good."""
    state = {"terminated": {"exitCode": 137}}
    entry = {"name": "app", "ready": False, "restartCount": 0, "image": "x", "imageID": "x", "state": state}
    path = f"/api/v1/namespaces/{ground.namespace}/pods/{name}/status"
    body = {"status": {"phase": "Failed", "containerStatuses": [entry]}}
    status, found = ground.server.request("PATCH", path, body, "application/merge-patch+json")
    assert status == 200, found


@pytest.mark.parametrize("right", first([ALL, *rights(EARLY)], kept=2))
def test_early_takeover_needs_each_of_its_rights(ground: Field, gate: Gate, right: Right) -> None:
    """With all of them the next leads as soon as the holder's Pod is reported to have ended. Less one: said, and at the Lease's end."""
    old = early(ground, gate, "web-0", right)
    until(old.leads, within_seconds=10)
    new = early(ground, gate, "web-1", right)
    new.informed(old.name)
    old.kill()
    renewed = datetime.fromisoformat(ground.lease()["spec"]["renewTime"]).timestamp()
    verb, resource = right
    said = f"not allowed: verb {verb} on {resource}"
    if right != ALL:
        until(lambda: said in new.ask("/readyz?verbose").body.decode(), within_seconds=5, message=said)
    if verb != "get":
        until(lambda: has_looked(gate, old.name, right), within_seconds=5)
    has_ended(ground, old.name)
    until(new.leads, within_seconds=LEASE_SECONDS + 2)
    after_seconds = time.time() - renewed
    assert ("contending early" in new.log) == (right == ALL), new.log
    if right == ALL:
        assert after_seconds < LEASE_SECONDS - 1
        assert "failed why" not in new.log
    else:
        assert after_seconds >= LEASE_SECONDS - 0.1, "two clocks: the record's is the wall's"
        assert new.log.count(f"pods {verb} failed") == 1


@pytest.mark.parametrize("right", first([ALL, *rights(CREATE)], kept=2))
def test_a_deleted_lease_is_back_by_the_right_to_create_alone(ground: Field, right: Right) -> None:
    """Without it: said, with verb and resource; there is none until it is applied again, and then one leads, with no restart."""
    sidecar = ground.sidecar("web-0", times=SHORT | {"LEADER_NATIVE_SIDECAR": "true"})
    if right == ALL:
        ground.grant(sidecar, CREATE)
    else:
        assert without(CREATE, right)["rules"] == [], "it has no other"
    sidecar.start().serving()
    until(sidecar.leads, within_seconds=5)
    ground.delete_lease()
    if right == ALL:
        until(lambda: ground.server.lease(ground.namespace), within_seconds=3)
        assert sidecar.leads()
        assert "failed why" not in sidecar.log
        return
    verb, resource = right
    until(
        lambda: f"[-]{verb} failed: not allowed: verb {verb} on {resource}" in sidecar.ask("/readyz?verbose").body.decode(),
        within_seconds=5,
    )
    assert all(CURE in said for said in (sidecar.ask("/readyz?verbose").body.decode(), sidecar.log))
    until(lambda: not sidecar.leads(), within_seconds=3)
    assert ground.server.lease(ground.namespace) is None
    ground.apply_lease()
    until(sidecar.leads, within_seconds=10)
    sidecar.signal(signal.SIGTERM)
    assert sidecar.wait(5) == 0
