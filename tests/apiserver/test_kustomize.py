"""k8s/ as a team uses it: each kustomization builds, the API server takes each object as it is, and restricted namespaces take the Pods."""

import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.loading import load
from tests.apiserver.kustomized import K8S, build, kustomization, only, sidecar_of
from tests.apiserver.server import ApiServer
from tests.apiserver.sidecar_process import until

JSON = dict[str, Any]
OPTIONS = ["create", "pod-label", "pod-condition", "events", "early-takeover", "yield", "guard"]
ROOTS = ["base", "example", "several", "guard"]
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app"}}


def workload(kind: str, **more: Any) -> JSON:
    """A workload of a user's that says nothing of an election; init containers and volumes of its own."""
    safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    spec = {
        "serviceAccountName": "app",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [{"name": "migrate", "image": "app", "securityContext": safe}],
        "containers": [{"name": "app", "image": "app", "securityContext": safe}],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    labels = {"app.kubernetes.io/name": "shop"}
    own: JSON = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}}
    if kind == "StatefulSet":
        own["serviceName"] = "shop"
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "shop", **more}, "spec": own}


def restricted(server: ApiServer) -> str:
    """A namespace that refuses Pods that are not restricted."""
    namespace = server.namespace()
    server.kubectl("label", "namespace", namespace, *(f"{key}={value}" for key, value in RESTRICTED.items()))
    return namespace


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
    assert {parts[0] for parts in folders} == {*ROOTS, "components"}
    assert {parts[1] for parts in folders if parts[0] == "components"} == {*OPTIONS, "sidecar", "plain", "own-account"}


@pytest.mark.parametrize("last", [[], ["plain"], ["own-account"], ["own-account", "plain"]], ids=" and ".join)
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_every_kind_of_workload_takes_the_sidecar_with_every_option(
    apiserver: ApiServer, tmp_path: Path, kind: str, last: list[str]
) -> None:
    """All at once, accepted, and what the application brought is still there."""
    accounts = [ACCOUNT] if "own-account" in last else []
    built = build(apiserver, kustomization(tmp_path / "app", ["base", workload(kind), *accounts], ["sidecar", *OPTIONS, *last]))
    check(apiserver, built)
    spec = only(built, kind)["spec"]["template"]["spec"]
    native = "plain" not in last
    assert [each["name"] for each in spec["initContainers"]] == ["leader", "migrate"][0 if native else 1 :]
    assert [each["name"] for each in spec["containers"]] == ["app"] if native else ["app", "leader"]
    assert {"scratch", "leader-token"} == {each["name"] for each in spec["volumes"]}
    settings = {each["name"]: each.get("value", "from-the-pod") for each in sidecar_of(only(built, kind))["env"]}
    assert ("LEADER_APP_ENDS_FIRST" in settings) is native
    assert ("restartPolicy" in sidecar_of(only(built, kind))) is native
    assert {name for name, value in settings.items() if value == "true"} - {"LEADER_APP_ENDS_FIRST"} == {
        "LEADER_POD_LABEL", "LEADER_POD_CONDITION", "LEADER_EVENTS", "LEADER_EARLY_TAKEOVER", "LEADER_YIELD"
    }  # fmt: skip
    assert spec["readinessGates"] == [{"conditionType": "leader-sidecar/leading"}]


@pytest.mark.parametrize("component", OPTIONS)
def test_each_option_goes_alone(apiserver: ApiServer, tmp_path: Path, component: str) -> None:
    """On top of the example, as an overlay."""
    check(apiserver, build(apiserver, kustomization(tmp_path / "overlay", ["example"], [component])))


def test_without_options_there_is_no_option(apiserver: ApiServer) -> None:
    """The example has the one Role, and settings that the sidecar accepts."""
    built = build(apiserver, K8S / "example")
    assert [each["metadata"]["name"] for each in built if each["kind"] == "Role"] == ["leader-sidecar"]
    environ = {each["name"]: each.get("value", "web") for each in sidecar_of(only(built, "Deployment"))["env"]}
    settings, faults = load({}, environ, None)
    assert (faults, settings is not None and settings.app_ends_first) == ([], True)


@pytest.mark.parametrize("form", ["native", "plain"])
def test_the_container_is_one_that_every_cluster_takes(apiserver: ApiServer, tmp_path: Path, form: str) -> None:
    """No uid of its own (OpenShift gives one), requests and no CPU limit, no readiness probe, no hook; the token for it alone.
    No liveness probe natively: its kill would say that the application has ended.
    """
    last = ["plain"] if form == "plain" else []
    built = build(apiserver, kustomization(tmp_path / "app", ["base", workload("Deployment")], ["sidecar", *last]))
    spec = only(built, "Deployment")["spec"]["template"]["spec"]
    sidecar = sidecar_of(only(built, "Deployment"))
    assert "runAsUser" not in sidecar["securityContext"]
    assert sidecar["securityContext"]["readOnlyRootFilesystem"]
    assert sidecar["resources"] == {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}
    assert {"readinessProbe", "lifecycle"}.isdisjoint(sidecar)
    probes = {name: sidecar[name]["httpGet"]["path"] for name in sidecar if name.endswith("Probe")}
    assert probes == {"startupProbe": "/livez"} | ({"livenessProbe": "/livez"} if form == "plain" else {})
    assert spec["serviceAccountName"] == only(built, "ServiceAccount")["metadata"]["name"]
    assert spec["automountServiceAccountToken"] is False
    mounts = {
        each["name"]: [mount["name"] for mount in each.get("volumeMounts", ())] for each in [*spec["containers"], *spec["initContainers"]]
    }
    assert [name for name, volumes in mounts.items() if "leader-token" in volumes] == ["leader"]


def names(built: list[JSON]) -> dict[str, str]:
    """Every place where the Lease's name stands, and the account's."""
    workloads = [each for each in built if "template" in each.get("spec", {})]
    (template,) = (each["spec"]["template"] for each in workloads)
    binding = next(each for each in built if each["kind"] == "RoleBinding" and "annotations" in each["metadata"])
    (named,) = (rule["resourceNames"] for each in built if each["kind"] == "Role" for rule in each["rules"] if "resourceNames" in rule)
    variables = {each["name"]: each for each in sidecar_of(workloads[0])["env"]}
    assert variables["LEADER_LEASE_NAME"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['leader-sidecar/lease']"
    subjects = {subject["name"] for each in built if each["kind"] == "RoleBinding" for subject in each["subjects"]}
    return {
        "lease": only(built, "Lease")["metadata"]["name"],
        "role": ",".join(named),
        "pods": template["metadata"]["labels"]["leader-sidecar/lease"],
        "guard": binding["metadata"]["annotations"]["leader-sidecar/lease"],
        "service": only(built, "Service")["spec"]["selector"]["leader-sidecar/lease"],
        "account": ",".join(subjects),
        "pod's account": template["spec"]["serviceAccountName"],
    }


RENAME = {
    "target": {"kind": "Lease"},
    "patch": "- {op: replace, path: /metadata/name, value: shop}",
    "options": {"allowNameChange": True},
}


@pytest.mark.parametrize(
    "renamed",
    [
        ({}, "web", "leader-sidecar"),
        ({"patches": [RENAME]}, "shop", "leader-sidecar"),
        ({"namePrefix": "prod-"}, "prod-web", "prod-leader-sidecar"),
        ({"nameSuffix": "-2", "patches": [RENAME], "namespace": "shop"}, "shop-2", "leader-sidecar-2"),
    ],
    ids=["as shipped", "a patch", "a prefix", "a patch and a suffix"],
)
@pytest.mark.parametrize("where", ["beside", "around"])
def test_a_name_stands_in_one_place(apiserver: ApiServer, tmp_path: Path, renamed: tuple[JSON, str, str], where: str) -> None:
    """Renamed in any of kustomize's ways, beside the components or in an overlay, all that goes by the name follows."""
    how, lease, account = renamed
    components = ["sidecar", "pod-label", "events", "guard"]
    folder = kustomization(tmp_path / "app", ["base", workload("StatefulSet")], components, **(how if where == "beside" else {}))
    if where == "around":
        (tmp_path / "overlay").mkdir()
        (tmp_path / "overlay" / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["../app"], **how}), encoding="utf-8")
        folder = tmp_path / "overlay"
    leases = dict.fromkeys(("lease", "role", "pods", "guard", "service"), lease)
    assert names(build(apiserver, folder)) == leases | {"account": account, "pod's account": account}


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


def test_a_workload_that_shall_have_none_gets_none(apiserver: ApiServer, tmp_path: Path) -> None:
    """By its label, whatever components are there."""
    without = workload("Deployment", labels={"leader-sidecar/sidecar": "none"})
    built = build(apiserver, kustomization(tmp_path / "app", ["base", workload("StatefulSet"), without], ["sidecar", *OPTIONS, "plain"]))
    assert only(built, "Deployment") == without
    assert sidecar_of(only(built, "StatefulSet"))


def test_an_account_of_the_applications_own_gets_the_roles(apiserver: ApiServer, tmp_path: Path) -> None:
    """Every one of them, the guard too; leader-sidecar's is left out, and the application's token is as it was."""
    built = build(
        apiserver, kustomization(tmp_path / "app", ["base", workload("Deployment"), ACCOUNT], ["sidecar", *OPTIONS, "own-account"])
    )
    assert only(built, "ServiceAccount") == ACCOUNT
    assert {subject["name"] for each in built if each["kind"] == "RoleBinding" for subject in each["subjects"]} == {"app"}
    spec = only(built, "Deployment")["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == "app"
    assert "automountServiceAccountToken" not in spec
    assert only(built, "RoleBinding", "leader-sidecar")["metadata"]["labels"]["leader-sidecar/guard"] == "true"


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
    status, found = apiserver.request("POST", "/api/v1/namespaces/shop/serviceaccounts/leader-sidecar/token", {"spec": {}})
    assert status == 201, found
    lease = f"https://127.0.0.1:{apiserver.port}/apis/coordination.k8s.io/v1/namespaces/shop/leases/web"
    request = urllib.request.Request(lease, headers={"Authorization": f"Bearer {found['status']['token']}"})

    def schema() -> str:
        with urllib.request.urlopen(request, timeout=10, context=apiserver.ssl) as answer:  # noqa: S310
            return str(answer.headers["X-Kubernetes-PF-FlowSchema-UID"])

    apiserver.kubectl("apply", "-f", str(K8S / "optional/flowschema.yaml"))
    try:
        ours = apiserver.kubectl("get", "flowschema", "leader-sidecar", "-o", "jsonpath={.metadata.uid}")
        until(lambda: schema() == ours, within_seconds=30)
    finally:
        apiserver.kubectl("delete", "-f", str(K8S / "optional/flowschema.yaml"))
