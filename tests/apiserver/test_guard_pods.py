"""The guard over Pods on the real API server: each may set its own label and condition, and nothing else."""

from typing import Any

from tests.apiserver.guarded import Guarded, refused

JSON = dict[str, Any]


def test_a_pod_sets_its_own_label_and_takes_it_away(guarded: Guarded) -> None:
    """And no other value than the two."""
    pod = guarded.pod("web-0")
    for value in ("leader", "follower", None):
        body = {"metadata": {"uid": pod.uid, "labels": {"leader-sidecar/role": value}}}
        assert pod.patch_pod(pod.name, body) == (200, ""), value
    assert refused(pod.patch_pod(pod.name, {"metadata": {"labels": {"leader-sidecar/role": "boss"}}}), "leader or follower")


def test_a_pod_sets_its_own_condition(guarded: Guarded) -> None:
    """Among those that are there; a patch of nothing, which is a look, is allowed as well."""
    pod = guarded.pod("web-0")
    path = f"/api/v1/namespaces/{guarded.namespace}/pods/{pod.name}/status"
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-23T08:00:00Z"}
    guarded.server.request("PATCH", path, {"status": {"conditions": [ready], "phase": "Running"}}, "application/strategic-merge-patch+json")
    for status in ("True", "False"):
        body = {"metadata": {"uid": pod.uid}, "status": {"conditions": [{"type": "leader-sidecar/leading", "status": status}]}}
        assert pod.patch_pod(pod.name, body, "/status") == (200, "")
    assert pod.patch_pod(pod.name, {"metadata": {"uid": pod.uid}}, "/status") == (200, "")
    found = {each["type"]: each["status"] for each in guarded.server.request("GET", path)[1]["status"]["conditions"]}
    assert found == {"Ready": "False", "leader-sidecar/leading": "False"}
    bodies: list[JSON] = [
        {"status": {"conditions": [{"type": "Ready", "status": "True"}]}},
        {"status": {"conditions": [{"type": "mine", "status": "True"}]}},
        {"status": {"conditions": [{"type": "Ready", "$patch": "delete"}]}},
        {"status": {"phase": "Failed"}},
        {"status": {"podIP": "10.0.0.9", "podIPs": [{"ip": "10.0.0.9"}]}},
        {"status": {"conditions": None}},
    ]
    for body in bodies:
        assert refused(pod.patch_pod(pod.name, body, "/status"), "a Pod's status"), body


def test_no_pod_touches_another(guarded: Guarded) -> None:
    """Though RBAC cannot but let it."""
    pod, other = guarded.pod("web-0"), guarded.pod("web-1")
    assert refused(pod.patch_pod(other.name, {"metadata": {"labels": {"leader-sidecar/role": "leader"}}}), "only the Pod")
    body = {"status": {"conditions": [{"type": "leader-sidecar/leading", "status": "True"}]}}
    assert refused(pod.patch_pod(other.name, body, "/status"), "only the Pod")


def test_a_pod_of_the_same_name_is_another_pod(guarded: Guarded) -> None:
    """A StatefulSet's Pod comes back under its name: the token of the former one writes neither it nor the Lease."""
    pod = guarded.pod("web-0")
    guarded.server.kubectl("delete", "pod", "web-0", "-n", guarded.namespace, "--force", "--grace-period=0")
    guarded.pod("web-0")
    assert pod.patch_pod("web-0", {"metadata": {"labels": {"leader-sidecar/role": "leader"}}})[0] in {401, 403}


def test_of_its_own_pod_a_pod_changes_nothing_else(guarded: Guarded) -> None:
    """Neither image nor labels nor annotations nor owners, by either door."""
    pod = guarded.pod("web-0")
    image = {"spec": {"containers": [{"name": guarded.template["spec"]["containers"][0]["name"], "image": "another"}]}}
    assert refused(pod.patch_pod(pod.name, image), "spec")
    for subresource in ("", "/status"):
        for change in ({"labels": {"leader-sidecar/lease": "x"}}, {"labels": {"a": "b"}}, {"annotations": {"a": "b"}}):
            assert refused(pod.patch_pod(pod.name, {"metadata": change}, subresource), "metadata"), change
    assert refused(pod.patch_pod(pod.name, {"metadata": {"finalizers": ["example.com/held"]}}), "metadata")
