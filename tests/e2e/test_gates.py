"""Leading as a readiness gate: the deadlock of a rolling update, and the ways out of it."""

import json

import pytest

from tests.e2e.cluster import JSON, runs, until
from tests.e2e.watching import boottime
from tests.e2e.workload import NAME, Workload

pytestmark = pytest.mark.timeout(500)
GATE, YIELD = ("pod-condition",), ("pod-condition", "rollout-handover")
SHORT = {"LEADER_LEASE_DURATION": "5s", "LEADER_RENEW_DEADLINE": "3s", "LEADER_RETRY_PERIOD": "500ms"}
"""So that a Pod that is to be yielded to need not have run for long."""
LOOKED_SECONDS = 20
"""For how long it is looked at that nothing moves: two looks of a sidecar that yields, which would have moved it."""


def _is(pod: JSON, condition: str) -> bool:
    return any(entry["type"] == condition and entry["status"] == "True" for entry in pod["status"].get("conditions", ()))


def _of(pod: JSON) -> str:
    """Which revision a Pod is of."""
    return str(pod["metadata"]["labels"]["pod-template-hash"])


def _deployment(workload: Workload) -> JSON:
    return workload.cluster.get("deployment", NAME, "--namespace", workload.namespace)


def _wait_ready(workload: Workload) -> str:
    """Until the leader's Pod and no other is ready; gives its uid."""

    def one() -> str | None:
        ready = [pod["metadata"]["uid"] for pod in workload.pods() if _is(pod, "Ready")]
        return ready[0] if len(ready) == 1 and str(workload.lease()["spec"].get("holderIdentity")).endswith(ready[0]) else None

    return until("the leader's Pod alone is ready", one)


def _is_complete(workload: Workload) -> bool:
    """As `kubectl rollout status` sees it, which waits for every replica to be available."""
    status = ("rollout", "status", f"deployment/{NAME}", "--watch=false")
    return "successfully rolled out" in workload.kubectl(*status)


def _yielded(workload: Workload) -> JSON:
    """What the Lease remembers of the last yield."""
    found = json.loads(workload.lease()["metadata"]["annotations"]["leader-sidecar/yielded"])
    assert isinstance(found, dict)
    return found


def _stays(workload: Workload, before: set[str]) -> None:
    """For a while those Pods are there, running, and the rollout is not complete."""
    end = boottime() + LOOKED_SECONDS
    while boottime() < end:
        stay = {pod["metadata"]["uid"] for pod in workload.pods() if runs(pod)}
        assert before <= stay, "one of them has gone"
        assert not _is_complete(workload)


def test_one_replica_hangs_without_yield(workload: Workload) -> None:
    """The new Pod runs and is not ready, so the old one is not taken away, so it leads on. Taken away by hand, the rollout completes."""
    workload.deploy(replicas=1, components=GATE)
    old = _wait_ready(workload)
    workload.kubectl("rollout", "restart", f"deployment/{NAME}")
    both = {pod["metadata"]["uid"] for pod in workload.running(2)}
    new = (both - {old}).pop()
    _stays(workload, both)
    assert _is(workload.pod(new), "ContainersReady")
    assert not _is(workload.pod(new), "Ready")
    assert _is(workload.pod(old), "Ready")
    workload.kubectl("delete", "pod", workload.name_of(old), "--wait=false")
    until("the rollout is complete", lambda: _is_complete(workload))
    assert _wait_ready(workload) == new


def test_one_replica_completes_with_yield_and_so_does_undo(workload: Workload) -> None:
    """At the default strategy; the leader hands over to the Pod of the current revision, be that the older one."""
    workload.deploy(replicas=1, components=YIELD, settings=SHORT)
    old = _wait_ready(workload)
    for step in ("restart", "undo"):
        before = _of(workload.pod(old))
        began = boottime()
        workload.kubectl("rollout", step, f"deployment/{NAME}")
        until("the rollout is complete", lambda: _is_complete(workload), 120)
        new = _wait_ready(workload)
        print(f"rollout {step}: complete after {boottime() - began:.0f} s")
        assert new != old
        assert _of(workload.pod(new)) != before
        assert _yielded(workload)["to"] == workload.name_of(new)
        old = new


def test_three_replicas_are_all_replaced_with_room_in_the_strategy_and_yield(workload: Workload) -> None:
    """At the default strategy they are not: one of three is ready, and the rollout is never complete, not with room either."""
    workload.deploy(components=YIELD, settings=SHORT)
    first = _of(workload.pod(_wait_ready(workload)))
    workload.kubectl("rollout", "restart", f"deployment/{NAME}")
    until("the leader has yielded", lambda: _of(workload.pod(_wait_ready(workload))) != first, 120)
    workload.running(4)
    _stays(workload, {pod["metadata"]["uid"] for pod in workload.pods()})
    print("at the default strategy:", _revisions(workload, first), "|", _conditions(workload))

    room = {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 2}}}}
    workload.kubectl("patch", "deployment", NAME, "--patch", json.dumps(room))
    until("no Pod of the old revision is left", lambda: first not in {_of(pod) for pod in workload.running(3)}, 120)
    _shows_one_ready_of_three(workload, first)

    began = boottime()
    workload.kubectl("rollout", "undo", f"deployment/{NAME}")
    until("all Pods are of the first revision again", lambda: {_of(pod) for pod in workload.running(3)} == {first}, 120)
    print(f"maxUnavailable 2: rollout undo has replaced all three after {boottime() - began:.0f} s")
    assert _of(workload.pod(_wait_ready(workload))) == first
    assert _yielded(workload)["to"] in {pod["metadata"]["name"] for pod in workload.pods()}
    _shows_one_ready_of_three(workload, first)


def _shows_one_ready_of_three(workload: Workload, first: str) -> None:
    _wait_ready(workload)
    status = _deployment(workload)["status"]
    print("maxUnavailable 2:", _revisions(workload, first), "|", _conditions(workload))
    assert (status["updatedReplicas"], status["replicas"], status["readyReplicas"]) == (3, 3, 1)
    assert not _is_complete(workload)


def _revisions(workload: Workload, first: str) -> str:
    return ", ".join(("first" if _of(pod) == first else "second") + (" ready" if _is(pod, "Ready") else "") for pod in workload.pods())


def _conditions(workload: Workload) -> str:
    return ", ".join(f"{it['type']}={it['status']} {it['reason']}" for it in _deployment(workload)["status"]["conditions"])
