"""What k8s/ makes of an application, built by kubectl's own kustomize, and Pods whose tokens are bound to them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.apiserver.server import ApiServer
from tests.apiserver.sidecar_process import ROOT

JSON = dict[str, Any]
K8S = ROOT / "k8s"
MERGE = "application/merge-patch+json"
OPTIONS = ["create", "pod-label", "pod-condition", "events", "early-takeover", "rollout-handover", "admission-policy"]
"""The components that may be left out."""
ACCOUNT: JSON = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "app", "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/app"}},
}
"""An application's own."""
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}


def build(server: ApiServer, folder: Path) -> list[JSON]:
    """The objects of a kustomization."""
    return [found for found in yaml.safe_load_all(server.kubectl("kustomize", str(folder))) if found]


def kustomization(folder: Path, resources: Sequence[str | JSON] = (), components: Sequence[str] = (), **fields: Any) -> Path:
    """A user's kustomization in `folder`: `resources` are folders of k8s/ or objects, `components` names below k8s/components."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number, resource in enumerate(resources):
        if isinstance(resource, str):
            found.append(os.path.relpath(K8S / resource, folder))
        else:
            (folder / f"{number}.yaml").write_text(yaml.safe_dump(resource), encoding="utf-8")
            found.append(f"{number}.yaml")
    content = {"resources": found, "components": [os.path.relpath(K8S / "components" / name, folder) for name in components], **fields}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def workload(kind: str, account: str = "", **more: Any) -> JSON:
    """A workload of a user's that says nothing of an election; init containers, volumes and perhaps an account of its own."""
    safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    spec = {
        **({"serviceAccountName": account} if account else {}),
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [{"name": "migrate", "image": "app", "securityContext": safe}],
        "containers": [{"name": "app", "image": "app", "securityContext": safe}],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    labels = {"app.kubernetes.io/name": "shop"}
    own: JSON = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}}
    if kind == "StatefulSet":
        own["serviceName"] = "shop"
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "shop"} | more, "spec": own}


def restricted(server: ApiServer) -> str:
    """A namespace that refuses Pods that are not restricted."""
    namespace = server.namespace()
    server.kubectl("label", "namespace", namespace, *(f"{key}={value}" for key, value in RESTRICTED.items()))
    return namespace


def only(objects: list[JSON], kind: str, name: str | None = None) -> JSON:
    """The one object of that kind (and name)."""
    (found,) = (each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"]))
    return found


def sidecar_of(workload: JSON) -> JSON:
    """The container named leader, wherever it is in a workload's Pod template."""
    spec = workload["spec"]["template"]["spec"]
    (found,) = (each for each in [*spec.get("initContainers", ()), *spec["containers"]] if each["name"] == "leader")
    assert isinstance(found, dict)
    return found


@dataclass
class BoundPod:
    """A Pod that no kubelet runs, and requests with the token that a kubelet would mount into it."""

    server: ApiServer
    namespace: str
    name: str
    uid: str
    token: str

    @classmethod
    def create(cls, server: ApiServer, namespace: str, name: str, template: JSON) -> "BoundPod":
        """One of a workload's Pod template."""
        metadata = template["metadata"] | {"name": name}
        status, pod = server.request("POST", f"/api/v1/namespaces/{namespace}/pods", {"metadata": metadata, "spec": template["spec"]})
        assert status == 201, pod
        uid = pod["metadata"]["uid"]
        reference = {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{template['spec']['serviceAccountName']}/token"
        status, found = server.request("POST", path, {"spec": {"boundObjectRef": reference, "expirationSeconds": 3600}})
        assert status == 201, found
        return cls(server, namespace, name, uid, found["status"]["token"])

    @property
    def identity(self) -> str:
        """What it may write as a holder."""
        return f"{self.name}_{self.uid}"

    def leases(self, name: str = "") -> str:
        """A Lease's path; without a name where they are created."""
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases" + (name and f"/{name}")

    def patch(self, path: str, body: JSON, kind: str = MERGE) -> tuple[int, str]:
        """Status, and the message of a refusal."""
        status, found = self.server.request("PATCH", path, body, kind, token=self.token)
        return status, str(found.get("message", ""))

    def patch_pod(self, name: str, body: JSON, subresource: str = "") -> tuple[int, str]:
        """A strategic merge patch of a Pod."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}{subresource}"
        return self.patch(path, body, "application/strategic-merge-patch+json")
