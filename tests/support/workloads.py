"""Pods and their owners as an API server shows them: hand-made, for tests that have no controller and no kubelet."""

from datetime import UTC, datetime, timedelta
from typing import Any

JSON = dict[str, Any]

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
DATE = "Mon, 23 Nov 2026 08:00:00 GMT"
"""NOW, as an API server's header says it."""


def ago(seconds: float, now: datetime = NOW) -> str:
    """metav1.Time: whole seconds."""
    return (now - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def controlled_by(kind: str, name: str, uid: str) -> list[JSON]:
    """metadata.ownerReferences."""
    return [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True, "blockOwnerDeletion": True}]


def deployment(name: str = "web", revision: int = 2, *, uid: str = "d1", generation: int = 4, observed: int = 4) -> JSON:
    """A Deployment at that revision."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "uid": uid,
            "generation": generation,
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        },
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": template(name)},
        "status": {"observedGeneration": observed},
    }


def replica_set(name: str, revision: int, *, uid: str = "", owner: tuple[str, str] | None = ("web", "d1")) -> JSON:
    """A ReplicaSet of a Deployment; its name ends in the template's hash."""
    hashed = name.rpartition("-")[2]
    labels = {"app": "web", "pod-template-hash": hashed}
    metadata: JSON = {
        "name": name,
        "uid": uid or name,
        "labels": labels,
        "annotations": {"deployment.kubernetes.io/revision": str(revision)},
    }
    if owner is not None:
        metadata["ownerReferences"] = controlled_by("Deployment", *owner)
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template("web", labels)}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}


def stateful_set(update_revision: str, *, uid: str = "s1", observed: int = 4) -> JSON:
    """A StatefulSet `web` on its way to that revision."""
    spec = {"replicas": 2, "serviceName": "web", "selector": {"matchLabels": {"app": "web"}}, "template": template("web")}
    status = {"observedGeneration": observed, "replicas": 2, "updateRevision": update_revision, "currentRevision": "web-0ld"}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "web", "uid": uid, "generation": 4},
        "spec": spec,
        "status": status,
    }


def daemon_set(*, uid: str = "ds1", observed: int = 4) -> JSON:
    """A DaemonSet `web`: its status says nothing of revisions."""
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": template("web")}
    status = {"observedGeneration": observed, "currentNumberScheduled": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "web", "uid": uid, "generation": 4},
        "spec": spec,
        "status": status | {"numberMisscheduled": 0, "numberReady": 0},
    }


def controller_revision(hashed: str, revision: int, *, uid: str = "ds1", kind: str = "DaemonSet") -> JSON:
    """What a DaemonSet's controller keeps of a template."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"web-{hashed}",
            "labels": {"app": "web", "controller-revision-hash": hashed},
            "ownerReferences": controlled_by(kind, "web", uid),
        },
        "revision": revision,
        "data": {"spec": {"template": {"$patch": "replace"}}},
    }


def template(name: str, labels: JSON | None = None) -> JSON:
    """A Pod template."""
    return {"metadata": {"labels": labels or {"app": name}}, "spec": pod_spec(native=True)}


def pod_spec(*, native: bool) -> JSON:
    """An app, a one-time init container and the sidecar."""
    sidecar: JSON = {"name": "leader", "image": "leader-sidecar", "env": [{"name": "LEADER_ROLLOUT_HANDOVER", "value": "true"}]}
    inits: list[JSON] = [{"name": "migrate", "image": "app"}]
    app: JSON = {"name": "app", "image": "app"}
    if native:
        return {"initContainers": [*inits, sidecar | {"restartPolicy": "Always"}], "containers": [app]}
    return {"initContainers": inits, "containers": [app, sidecar]}


def pod(  # noqa: PLR0913 - each is what some test is about
    name: str,
    owner: tuple[str, str, str],
    labels: JSON,
    *,
    uid: str = "",
    native: bool = True,
    since: str = "",
    restarted: str = "",
    age: str = "",
    running: bool = True,
    **metadata: Any,
) -> JSON:
    """A Pod whose containers run since `since`; the app's, since it was `restarted`."""
    spec, since = pod_spec(native=native), since or ago(3600)
    run = {"running": {"startedAt": since}} if running else {"waiting": {"reason": "CrashLoopBackOff"}}
    done = {"terminated": {"exitCode": 0, "startedAt": since, "finishedAt": since, "reason": "Completed"}}
    states = {"app": {"running": {"startedAt": restarted or since}}, "leader": run, "migrate": done}

    def statuses(containers: list[JSON]) -> list[JSON]:
        named = [container["name"] for container in containers]
        return [
            {"name": one, "state": states[one], "ready": True, "restartCount": 0, "image": one, "imageID": "", "started": True}
            for one in named
        ]

    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "uid": uid or f"uid-{name}",
            "labels": {"app": "web"} | labels,
            "creationTimestamp": age or since,
            "ownerReferences": controlled_by(*owner),
            **metadata,
        },
        "spec": spec,
        "status": {
            "phase": "Running",
            "containerStatuses": statuses(spec["containers"]),
            "initContainerStatuses": statuses(spec["initContainers"]),
        },
    }
