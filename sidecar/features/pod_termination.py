"""Whether a Pod object proves that every process of that Pod has ended, for good. Total on any JSON; an odd object proves nothing.

A proof holds for ever. A status is the kubelet's last report, so "every container terminated" alone may be from before a restart that is
not reported yet. It counts together with a terminal phase (kubelets report one only when no container can be running), or with a report
that is later than the Pod's deletion, after which a kubelet restarts no container.
Shapes: core/v1 Pod (Kubernetes API reference, "Pod v1"); concepts, "Pod Lifecycle".
"""

from collections.abc import Mapping
from typing import Any, Final

from sidecar.json_values import mapping

_TERMINAL: Final = frozenset({"Succeeded", "Failed"})
_UNSEEN: Final = "ContainerStatusUnknown"
"""How a kubelet reports a container that it could not find: it may run on under a runtime that lost track of it."""
_COLLECTED: Final = frozenset({"DeletionByPodGC"})
"""Reasons of a DisruptionTarget condition with which the control plane itself marks a Pod failed, its node unreachable or gone."""


def is_pod(found: object, uid: str) -> bool:
    """Whether `found` is the Pod with that uid."""
    return bool(uid) and mapping(mapping(found).get("metadata")).get("uid") == uid


def has_ended(found: object, uid: str) -> bool:
    """Whether `found` shows the Pod with that uid in a final state: no process of the Pod runs, and none ever will."""
    pod = mapping(found)
    metadata, spec, status = mapping(pod.get("metadata")), mapping(pod.get("spec")), mapping(pod.get("status"))
    if not is_pod(found, uid) or _is_collected(status):
        return False
    if status.get("phase") not in _TERMINAL and not _reported_after_deletion(metadata, status):
        return False
    containers, first = spec.get("containers"), spec.get("initContainers", [])
    if not isinstance(containers, list) or not containers or not isinstance(first, list):
        return False
    sidecars = [container for container in first if mapping(container).get("restartPolicy") == "Always"]
    return (
        _all_terminated(containers, status.get("containerStatuses"))
        and _all_terminated(sidecars, status.get("initContainerStatuses"))
        and not _any_running(status)
    )


def _is_collected(status: Mapping[str, Any]) -> bool:
    conditions = status.get("conditions")
    found = [mapping(condition) for condition in conditions] if isinstance(conditions, list) else []
    return any(condition.get("type") == "DisruptionTarget" and condition.get("reason") in _COLLECTED for condition in found)


def _reported_after_deletion(metadata: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    """Whether the kubelet has acted on the deletion, which raises the generation: it reports the one it acted on (Kubernetes 1.34 on)."""
    asked, observed = metadata.get("generation"), status.get("observedGeneration")
    if not isinstance(metadata.get("deletionTimestamp"), str) or type(asked) is not int or type(observed) is not int:
        return False
    return observed >= asked > 0


def _all_terminated(containers: list[Any], statuses: object) -> bool:
    states = _states(statuses)
    names = [mapping(container).get("name") for container in containers]
    return all(isinstance(name, str) and _is_terminated(states.get(name, {})) for name in names)


def _is_terminated(state: Mapping[str, Any]) -> bool:
    terminated = state.get("terminated")
    return isinstance(terminated, dict) and set(state) == {"terminated"} and terminated.get("reason") != _UNSEEN


def _any_running(status: Mapping[str, Any]) -> bool:
    """Whether any container runs: init containers and those for debugging have processes as well."""
    kinds = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")
    return any("running" in state for kind in kinds for state in _states(status.get(kind)).values())


def _states(statuses: object) -> dict[object, Mapping[str, Any]]:
    """The state of each container, by name; two of one name are odd, and count as none."""
    found = [mapping(status) for status in statuses] if isinstance(statuses, list) else []
    names = [status.get("name") for status in found]
    return {
        name: mapping(status.get("state"))
        for name, status in zip(names, found, strict=True)
        if isinstance(name, str) and (names.count(name) == 1 or "running" in mapping(status.get("state")))
    }
