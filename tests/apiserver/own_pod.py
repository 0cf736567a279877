"""Sidecars in Pods of their own at a real API server, and what those Pods and the Events on the Lease say.

No kubelet is there, so a Pod stays Pending: enough of an object to carry label and condition.
"""

import json
from typing import Any

from tests.apiserver.conftest import SHORT, Field, shipped
from tests.apiserver.sidecar_process import Sidecar

ALL_ON = {"LEADER_POD_LABEL": "true", "LEADER_POD_CONDITION": "true", "LEADER_EVENTS": "true", "LEADER_NATIVE_SIDECAR": "true"}
COMPONENTS = {"pods": "pod-label", "pods/status": "pod-condition", "events": "events"}
"""Whose Role gives the right to which resource."""
RULES = {resource: shipped(f"components/{component}/role.yaml")["rules"] for resource, component in COMPONENTS.items()}
"""All that the three need beside the Lease's Role: as it is shipped."""

JSON = dict[str, Any]


def role(*resources: str) -> JSON:
    """A Role with those of the rules."""
    name = "-".join(["own-pod", *(resource.replace("/", "-") for resource in resources)])
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}}
    return kind | {"rules": [rule for resource in resources for rule in RULES[resource]]}


def create_pod(ground: Field, name: str, **labels: str) -> str:
    """A Pod of that name; its uid."""
    spec = {"containers": [{"name": "app", "image": "registry.example/app"}], "automountServiceAccountToken": False}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"} | labels}, "spec": spec}
    status, found = ground.server.request("POST", f"/api/v1/namespaces/{ground.namespace}/pods", body)
    assert status == 201, found
    return str(found["metadata"]["uid"])


def delete_pod(ground: Field, name: str) -> None:
    """Gone at once."""
    body = {"gracePeriodSeconds": 0}
    assert ground.server.request("DELETE", f"/api/v1/namespaces/{ground.namespace}/pods/{name}", body)[0] == 200


def in_its_pod(ground: Field, name: str, uid: str = "", port: int | None = None, **environment: str) -> Sidecar:
    """A sidecar of a new Pod (or of that uid) with all on, not yet started; `port`: the API server's, through a gate."""
    made = uid or create_pod(ground, name)
    proxied = environment.pop("proxied", "") != ""
    wanted = SHORT | ALL_ON | {"POD_NAMESPACE": ground.namespace} | environment
    return ground.sidecar(name, uid=made, proxied=proxied, port=port, times=wanted)


def two(ground: Field, port: int | None = None, **environment: str) -> list[Sidecar]:
    """web-0 and web-1 with every right, serving."""
    sidecars = [in_its_pod(ground, f"web-{number}", port=port, **environment) for number in range(2)]
    for sidecar in sidecars:
        ground.grant(sidecar, role(*RULES))
        sidecar.start()
    for sidecar in sidecars:
        sidecar.serving().informed()
    return sidecars


def pod(ground: Field, name: str) -> JSON:
    """As it stands."""
    status, found = ground.server.request("GET", f"/api/v1/namespaces/{ground.namespace}/pods/{name}")
    assert status == 200, found
    return found


def label(of: JSON) -> str | None:
    """Its role."""
    return dict(of["metadata"].get("labels", {})).get("leader-sidecar/role")


def condition(of: JSON) -> JSON:
    """Its condition; {} for none."""
    return next((dict(entry) for entry in of.get("status", {}).get("conditions", []) if entry["type"] == "leader-sidecar/leading"), {})


def says(ground: Field, name: str, role_: str) -> bool:
    """Whether label and condition both say that."""
    found = pod(ground, name)
    return label(found) == role_ and condition(found).get("status") == {"leader": "True", "follower": "False"}[role_]


def changes(ground: Field, path: str, since: str) -> list[JSON]:
    """Every state of the objects there since that version, as a watch replays them."""
    status, found = ground.server.request("GET", f"{path}?watch=1&resourceVersion={since}&timeoutSeconds=1")
    assert status == 200, found
    lines = [json.loads(line) for line in found["text"].splitlines()] if "text" in found else [found]
    return [line["object"] for line in lines if "object" in line]


def version(of: JSON) -> int:
    """Its resourceVersion: one count for all objects of an etcd."""
    return int(of["metadata"]["resourceVersion"])


def events(ground: Field) -> list[JSON]:
    """The Events on the Lease, the oldest first."""
    status, found = ground.server.request("GET", f"/apis/events.k8s.io/v1/namespaces/{ground.namespace}/events")
    assert status == 200, found
    about = [item for item in found["items"] if item["regarding"]["kind"] == "Lease"]
    return sorted(about, key=lambda item: str(item["eventTime"]))
