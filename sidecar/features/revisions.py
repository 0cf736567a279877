"""Which revision of its owner a Pod belongs to, and whether it can be handed over to: pure functions over API objects, total on any JSON.

The API tells which revision is current. Nothing here compares hashes or ages, so an undone rollout counts like any other.

- Deployment: the ReplicaSet whose annotation `deployment.kubernetes.io/revision` equals the Deployment's own; its controller renumbers a
  ReplicaSet that a rollout goes back to.
- StatefulSet: `status.updateRevision`, the name that its Pods carry as label `controller-revision-hash`.
- DaemonSet: its status (apps/v1 DaemonSetStatus) has no updateRevision, unlike a StatefulSet's. Its controller keeps a ControllerRevision
  for each template and gives the current one the largest `revision`, renumbering one that a rollout goes back to; that one's label
  `controller-revision-hash` is the Pods' label.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sidecar.election.record import parse_time
from sidecar.json_values import mapping, string

DEPLOYMENT_REVISION: Final = "deployment.kubernetes.io/revision"
REVISION_HASH: Final = "controller-revision-hash"
TEMPLATE_HASH: Final = "pod-template-hash"
_MARK: Final = "LEADER_ROLLOUT_HANDOVER"
_FLAG: Final = "--rollout-handover"


@dataclass(frozen=True, slots=True)
class Owner:
    """The controller of an object."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a Pod must show to be handed over to."""

    container: str
    """The name of the sidecar's container."""
    now_us: int
    """The API server's time, microseconds since the epoch."""
    for_us: int
    """For how long the Pod must have existed, and each of its containers must have run."""


def controller(found: object) -> Owner | None:
    """The controller of an object, if that is of the group `apps`."""
    for reference in _list(_metadata(found).get("ownerReferences")):
        owner = mapping(reference)
        if owner.get("controller") is True and string(owner.get("apiVersion")).startswith("apps/"):
            return Owner(string(owner.get("kind")), string(owner.get("name")), string(owner.get("uid")))
    return None


def name(found: object) -> str:
    """metadata.name."""
    return string(_metadata(found).get("name"))


def uid(found: object) -> str:
    """metadata.uid."""
    return string(_metadata(found).get("uid"))


def version(found: object) -> str:
    """metadata.resourceVersion."""
    return string(_metadata(found).get("resourceVersion"))


def label(found: object, key: str) -> str:
    """A label's value; "" where the object has no such label."""
    return string(mapping(_metadata(found).get("labels")).get(key))


def annotation(found: object, key: str) -> str:
    """An annotation's value; "" where the object has none such."""
    return string(mapping(_metadata(found).get("annotations")).get(key))


def is_settled(owner: object) -> bool:
    """Whether the owner is not being deleted, and its controller has seen its present spec (before that it shows the former revision)."""
    generation, observed = _metadata(owner).get("generation"), mapping(mapping(owner).get("status")).get("observedGeneration")
    stays = "deletionTimestamp" not in _metadata(owner)
    return stays and isinstance(generation, int) and isinstance(observed, int) and observed >= generation


def update_revision(stateful_set: object) -> str:
    """`status.updateRevision`; "" where it is missing."""
    return string(mapping(mapping(stateful_set).get("status")).get("updateRevision"))


def newest_hash(controller_revisions: Iterable[object], owner_uid: str) -> str:
    """The hash of a DaemonSet's ControllerRevision with the largest number; "" where there is none, or two have that number."""
    owned = [found for found in controller_revisions if (owner := controller(found)) is not None and owner.uid == owner_uid]
    newest = max((_number(found) for found in owned), default=-1)
    hashes = {label(found, REVISION_HASH) for found in owned if _number(found) == newest}
    return hashes.pop() if len(hashes) == 1 else ""


def selector(owner: object) -> str:
    """The owner's `spec.selector` as a `labelSelector`; "" where it cannot be written as one."""
    found = mapping(mapping(mapping(owner).get("spec")).get("selector"))
    terms = [f"{key}={value}" for key, value in mapping(found.get("matchLabels")).items()]
    shapes = {"In": "{key} in ({values})", "NotIn": "{key} notin ({values})", "Exists": "{key}", "DoesNotExist": "!{key}"}
    for expression in map(mapping, _list(found.get("matchExpressions"))):
        shape = shapes.get(string(expression.get("operator")), "")
        values = ",".join(map(str, _list(expression.get("values"))))
        if not shape:
            return ""
        terms.append(shape.format(key=expression.get("key"), values=values))
    return ",".join(terms)


def sidecar_container(pod: object) -> str:
    """The name of the own Pod's container that has the setting to yield; "" where the Pod's spec does not tell which one has."""
    for container in _meant_to_run(pod):
        variables = {string(mapping(entry).get("name")) for entry in _list(container.get("env"))}
        words = [*_list(container.get("command")), *_list(container.get("args"))]
        if _MARK in variables or any(word == _FLAG or string(word).startswith(f"{_FLAG}=") for word in words):
            return string(container.get("name"))
    return ""


def can_lead(pod: object, what: Waiting) -> bool:
    """Whether the Pod has the sidecar, and every container that is meant to run, the sidecar's included, has run for `what.for_us`.

    A crash of any container begins that time anew. The start of a container is by its node's clock, the age of the Pod by the API server's.
    """
    meant = {string(container.get("name")) for container in _meant_to_run(pod)}
    since_us = _since_us(pod, meant)
    there = what.container in meant and not is_going(pod)
    return there and since_us is not None and since_us <= what.now_us - what.for_us


def is_going(pod: object) -> bool:
    """Whether the Pod is being deleted or does not run."""
    return "deletionTimestamp" in _metadata(pod) or mapping(mapping(pod).get("status")).get("phase") != "Running"


def _since_us(pod: object, meant: set[str]) -> int | None:
    """Since when the Pod exists and all containers of `meant` run; None where one does not run, or where the status does not tell."""
    status = mapping(mapping(pod).get("status"))
    statuses = map(mapping, [*_list(status.get("containerStatuses")), *_list(status.get("initContainerStatuses"))])
    running = {string(found.get("name")): mapping(mapping(found.get("state")).get("running")).get("startedAt") for found in statuses}
    times = [parse_time(running.get(container)) for container in meant]
    times.append(parse_time(_metadata(pod).get("creationTimestamp")))
    told = [time for time in times if time is not None]
    return max(told) if len(told) == len(times) else None


def _meant_to_run(pod: object) -> list[Mapping[str, Any]]:
    """The containers of a Pod that run for as long as it does: the plain ones and the native sidecars."""
    spec = mapping(mapping(pod).get("spec"))
    natives = [container for container in map(mapping, _list(spec.get("initContainers"))) if container.get("restartPolicy") == "Always"]
    return [*natives, *map(mapping, _list(spec.get("containers")))]


def _number(controller_revision: object) -> int:
    found = mapping(controller_revision).get("revision")
    return found if isinstance(found, int) and not isinstance(found, bool) else -1


def _metadata(found: object) -> Mapping[str, Any]:
    return mapping(mapping(found).get("metadata"))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
