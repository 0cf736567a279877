"""k8s/ as a team uses it: each kustomization builds, the API server takes each object as it is, and restricted namespaces take the Pods."""

import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver.kustomized import K8S, OPTIONS, build, kustomization, only, restricted, sidecar_of, workload
from tests.apiserver.server import ApiServer
from tests.apiserver.sidecar_process import until
from tests.support.given import load

JSON = dict[str, Any]
ROOTS = ["base", "rights", "example", "several", "guard"]


def check(server: ApiServer, objects: list[JSON]) -> None:
    """The API server takes all of it, no field unknown, and a restricted namespace takes the Pods."""
    namespace = restricted(server)
    text = yaml.safe_dump_all(objects)
    said = server.kubectl("apply", "--dry-run=server", "--validate=strict", "-n", namespace, "-f", "-", stdin=text)
    assert len(said.splitlines()) == len(objects)
    for each in objects:
        if "template" in each.get("spec", {}):
            template = each["spec"]["template"]
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"] | {"name": "one"}, "spec": template["spec"]}
            path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict"
            status, found = server.request("POST", path, pod)
            assert status == 201, found


@pytest.mark.parametrize("root", ROOTS)
def test_what_is_applied_straight_from_the_repository_is_accepted(apiserver: ApiServer, root: str) -> None:
    """`kubectl apply -k`."""
    check(apiserver, build(apiserver, K8S / root))


def test_nothing_in_k8s_is_left_out_here() -> None:
    """A folder that comes later is tested as well."""
    folders = {path.parent.relative_to(K8S).parts for path in K8S.rglob("kustomization.yaml")}
    assert {parts[0] for parts in folders} == {*ROOTS, "components", "names"}
    assert {parts[1] for parts in folders if parts[0] == "components"} == {*OPTIONS, "sidecar", "regular-container", "own-account"}


@pytest.mark.parametrize("form", [[], ["regular-container"], ["own-account"], ["own-account", "regular-container"]], ids=" and ".join)
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_every_kind_of_workload_takes_the_sidecar_with_every_option(
    apiserver: ApiServer, tmp_path: Path, kind: str, form: list[str]
) -> None:
    """All at once, accepted, and what the application brought is still there."""
    first, last = ([each for each in form if (each == "own-account") is own] for own in (True, False))
    account = "app" if first else ""
    built = build(apiserver, kustomization(tmp_path / "app", ["base", workload(kind, account)], [*first, "sidecar", *OPTIONS, *last]))
    check(apiserver, built)
    spec = only(built, kind)["spec"]["template"]["spec"]
    native = "regular-container" not in last
    assert [each["name"] for each in spec["initContainers"]] == ["leader", "migrate"][0 if native else 1 :]
    assert [each["name"] for each in spec["containers"]] == ["app"] if native else ["app", "leader"]
    assert {"scratch", "leader-token"} == {each["name"] for each in spec["volumes"]}
    settings = {each["name"]: each.get("value", "from-the-pod") for each in sidecar_of(only(built, kind))["env"]}
    assert ("LEADER_NATIVE_SIDECAR" in settings) is native
    assert ("restartPolicy" in sidecar_of(only(built, kind))) is native
    assert {name for name, value in settings.items() if value == "true"} - {"LEADER_NATIVE_SIDECAR"} == {
        "LEADER_POD_LABEL", "LEADER_POD_CONDITION", "LEADER_EVENTS", "LEADER_EARLY_TAKEOVER", "LEADER_ROLLOUT_HANDOVER"
    }  # fmt: skip
    assert spec["readinessGates"] == [{"conditionType": "leader-sidecar/leading"}]


@pytest.mark.parametrize("component", OPTIONS)
def test_each_option_goes_alone(apiserver: ApiServer, tmp_path: Path, component: str) -> None:
    """On top of the example, as an overlay."""
    check(apiserver, build(apiserver, kustomization(tmp_path / "overlay", ["example"], [component])))


def test_without_options_there_is_no_option(apiserver: ApiServer) -> None:
    """The example has the one Role, and settings that the sidecar accepts."""
    built = build(apiserver, K8S / "example")
    assert [each["metadata"]["name"] for each in built if each["kind"] == "Role"] == ["web-leader-sidecar"]
    environ = {each["name"]: each.get("value", "web") for each in sidecar_of(only(built, "Deployment"))["env"]}
    settings, faults = load({}, environ)
    assert (faults, settings is not None and settings.native_sidecar) == ([], True)


@pytest.mark.parametrize("form", ["native", "regular-container"])
def test_the_container_is_one_that_every_cluster_takes(apiserver: ApiServer, tmp_path: Path, form: str) -> None:
    """No uid of its own (OpenShift gives one), requests and no CPU limit, no readiness probe, no hook; the token for it alone.
    No liveness probe natively: its kill would say that the application has ended.
    """
    last = ["regular-container"] if form == "regular-container" else []
    built = build(apiserver, kustomization(tmp_path / "app", ["base", workload("Deployment")], ["sidecar", *last]))
    spec = only(built, "Deployment")["spec"]["template"]["spec"]
    sidecar = sidecar_of(only(built, "Deployment"))
    assert "runAsUser" not in sidecar["securityContext"]
    assert sidecar["securityContext"]["readOnlyRootFilesystem"]
    assert sidecar["resources"] == {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}
    assert {"readinessProbe", "lifecycle"}.isdisjoint(sidecar)
    probes = {name: sidecar[name]["httpGet"]["path"] for name in sidecar if name.endswith("Probe")}
    assert probes == {"startupProbe": "/livez"} | ({"livenessProbe": "/livez"} if form == "regular-container" else {})
    assert spec["serviceAccountName"] == only(built, "ServiceAccount")["metadata"]["name"]
    assert spec["automountServiceAccountToken"] is False
    mounts = {
        each["name"]: [mount["name"] for mount in each.get("volumeMounts", ())] for each in [*spec["containers"], *spec["initContainers"]]
    }
    assert [name for name, volumes in mounts.items() if "leader-token" in volumes] == ["leader"]


def test_products_in_one_namespace_share_no_name(apiserver: ApiServer) -> None:
    """Two of everything, and no Deployment or Service selects the other's Pods."""
    built = build(apiserver, K8S / "several")
    assert [each["kind"] for each in built].count("Lease") == 2
    labels = {each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"] for each in built if each["kind"] == "Deployment"}
    leading = {name: found | {"leader-sidecar/role": "leader"} for name, found in labels.items()}
    selectors = [
        each["spec"]["selector"].get("matchLabels", each["spec"]["selector"]) for each in built if "selector" in each.get("spec", {})
    ]
    assert len(selectors) == 4
    for selector in selectors:
        assert len([name for name, found in leading.items() if selector.items() <= found.items()]) == 1


def test_a_list_in_flow_style_is_no_obstacle(apiserver: ApiServer, tmp_path: Path) -> None:
    """Kustomize keeps the style of the user's list, and reads again what it wrote."""
    folder = kustomization(tmp_path / "app", ["base", workload("Deployment")], ["sidecar", "pod-label"])
    (folder / "1.yaml").write_text(yaml.safe_dump(workload("Deployment"), default_flow_style=True), encoding="utf-8")
    assert sidecar_of(only(build(apiserver, folder), "Deployment"))


def test_applied_again_it_takes_nothing_from_the_leader(apiserver: ApiServer) -> None:
    """The whole example, by `kubectl apply -k`, twice: the holder stays."""
    namespace = apiserver.namespace()
    apiserver.kubectl("apply", "-n", namespace, "-k", str(K8S / "example"))
    apiserver.patch_lease(namespace, {"spec": {"holderIdentity": "web-0_1"}, "metadata": {"annotations": {"leader-sidecar/term": "{}"}}})
    apiserver.kubectl("apply", "-n", namespace, "-k", str(K8S / "example"))
    lease = apiserver.lease(namespace) or {}
    assert lease["spec"]["holderIdentity"] == "web-0_1"
    assert lease["metadata"]["annotations"]["leader-sidecar/term"] == "{}"


@pytest.mark.parametrize("file", ["flowschema.yaml", "networkpolicy.yaml"])
def test_what_is_optional_is_accepted(apiserver: ApiServer, file: str) -> None:
    """By the API server's own schema. PodMonitor and PrometheusRule are Prometheus Operator's."""
    said = apiserver.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-n", apiserver.namespace(), "-f", str(K8S / "optional" / file)
    )
    assert "created" in said


def test_the_flow_schema_takes_the_sidecars_requests(apiserver: ApiServer) -> None:
    """Onto the level of the control plane's elections: the API server's answer names the FlowSchema that it went by."""
    apiserver.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    apiserver.kubectl("apply", "-n", "shop", "-k", str(K8S / "base"))
    status, found = apiserver.request("POST", "/api/v1/namespaces/shop/serviceaccounts/web-leader-sidecar/token", {"spec": {}})
    assert status == 201, found
    lease = f"https://127.0.0.1:{apiserver.port}/apis/coordination.k8s.io/v1/namespaces/shop/leases/web"
    request = urllib.request.Request(lease, headers={"Authorization": f"Bearer {found['status']['token']}"})

    def schema() -> str:
        with urllib.request.urlopen(request, timeout=10, context=apiserver.ssl) as answer:  # noqa: S310
            return str(answer.headers["X-Kubernetes-PF-FlowSchema-UID"])

    apiserver.kubectl("apply", "-f", str(K8S / "optional/flowschema.yaml"))
    try:
        ours = apiserver.kubectl("get", "flowschema", "shop-web-leader-sidecar", "-o", "jsonpath={.metadata.uid}")
        until(lambda: schema() == ours, within_seconds=30)
    finally:
        apiserver.kubectl("delete", "-f", str(K8S / "optional/flowschema.yaml"))
