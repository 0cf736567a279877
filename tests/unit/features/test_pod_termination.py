"""What a Pod object proves: table by table; whatever is odd proves nothing, and no JSON is an exception."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.election.record import JSON
from sidecar.features.pod_termination import has_ended

UID = "9f6c"
ENDED = {"terminated": {"exitCode": 137, "reason": "Error"}}
RUNS: JSON = {"running": {"startedAt": "2026-11-23T08:00:00Z"}}


def pod(*, phase: str = "Failed", native: bool = True, **status: Any) -> JSON:
    """Of an app beside a sidecar, both ended."""
    app, leader = {"name": "app"}, {"name": "leader"}
    first = [{"name": "prepare"}, leader | {"restartPolicy": "Always"}]
    spec = {"containers": [app], "initContainers": first} if native else {"containers": [app, leader]}
    states = [{"name": "app", "state": ENDED}]
    kept = {"containerStatuses": states if native else [*states, {"name": "leader", "state": ENDED}]}
    if native:
        kept["initContainerStatuses"] = [{"name": "prepare", "state": ENDED}, {"name": "leader", "state": ENDED}]
    return {"kind": "Pod", "metadata": {"name": "web-0", "uid": UID}, "spec": spec, "status": {"phase": phase, **kept, **status}}


def deleted(found: JSON, *, asked: object = 2, observed: object = 2) -> JSON:
    """It is to end, and the kubelet has heard so; or not."""
    metadata = found["metadata"] | {"deletionTimestamp": "2026-11-23T08:00:00Z", "generation": asked}
    return found | {"metadata": metadata, "status": found["status"] | {"observedGeneration": observed}}


def with_state(name: str, state: object, found: JSON) -> JSON:
    """The same, but that container's state."""
    found = copy.deepcopy(found)
    for kind in ("containerStatuses", "initContainerStatuses"):
        for status in found["status"].get(kind, []):
            if status["name"] == name:
                status["state"] = state
    return found


@pytest.mark.parametrize(
    "found",
    [
        pod(),
        pod(phase="Succeeded"),
        pod(native=False),
        deleted(pod(phase="Running")),
        deleted(pod(phase="Running", native=False), asked=3, observed=4),
        with_state("prepare", {"waiting": {}}, pod()),
    ],
)
def test_final_is_a_terminal_phase_or_a_deletion_that_the_kubelet_has_acted_on_with_every_container_terminated(found: JSON) -> None:
    assert has_ended(found, UID)
    assert not has_ended(found, "another")


@pytest.mark.parametrize("final", [pod(), pod(native=False), deleted(pod(phase="Running"))])
@pytest.mark.parametrize("name", ["app", "leader"])
@pytest.mark.parametrize(
    "state",
    [
        RUNS,
        {},
        None,
        "terminated",
        {"waiting": {}},
        {"terminated": None},
        ENDED | RUNS,
        {"terminated": {"reason": "ContainerStatusUnknown"}},
    ],
)
def test_one_container_that_is_not_surely_terminated_is_enough_to_prove_nothing(final: JSON, name: str, state: object) -> None:
    """The app's or the sidecar's, native or not: a container that the kubelet has lost sight of may run on."""
    assert not has_ended(with_state(name, state, final), UID)


@pytest.mark.parametrize(
    "found",
    [
        pod(phase="Running"),
        pod(phase="Unknown"),
        deleted(pod(phase="Running"), observed=1),
        deleted(pod(phase="Running"), observed=None),
        deleted(pod(phase="Running"), asked=None),
        deleted(pod(phase="Running"), asked=True, observed=True),
        pod() | {"spec": {"containers": []}},
        pod() | {"spec": {"containers": [{"name": "app"}, {"name": "another"}]}},
        pod(containerStatuses=None),
        pod(initContainerStatuses="junk"),
        pod(containerStatuses=[{"name": "app", "state": ENDED}] * 2),
        pod(ephemeralContainerStatuses=[{"name": "debugger", "state": RUNS}]),
        with_state("prepare", RUNS, pod()),
        pod(conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"}]),
        pod() | {"metadata": {"name": "web-0"}},
    ],
)
def test_what_is_missing_odd_or_from_before_a_restart_proves_nothing(found: JSON) -> None:
    """A status older than the deletion may be from before a restart; what the control plane marks failed by itself may run on."""
    assert not has_ended(found, UID)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(JUNK, st.sampled_from(["metadata", "spec", "status"]))
def test_no_junk_is_an_exception_or_a_proof(junk: object, where: str) -> None:
    assert not has_ended(junk, UID)
    assert not has_ended(pod() | {where: junk}, UID)
