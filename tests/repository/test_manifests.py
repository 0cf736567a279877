"""k8s/ grants what the sidecar needs and nothing else. That what it grants is enough, and that it builds, tests/apiserver shows."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.kubernetes.responses import MAX_REASON_CHARS

K8S = Path(__file__).resolve().parents[2] / "k8s"
WITH_A_ROLE = sorted(str(path.parent.relative_to(K8S)) for path in K8S.rglob("role.yaml"))
FOLDERS = sorted(str(path.parent.relative_to(K8S)) for path in K8S.rglob("kustomization.yaml"))
CLUSTER_SCOPED = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "FlowSchema"}


def manifest(path: str) -> dict[str, Any]:
    """One manifest."""
    loaded: dict[str, Any] = yaml.safe_load((K8S / path).read_text())
    return loaded


def rules(path: str) -> dict[str, set[str]]:
    """What a Role grants: `resource` or `resource.group` to verbs."""
    found: dict[str, set[str]] = {}
    for rule in manifest(path)["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault(f"{resource}.{group}".rstrip("."), set()).update(rule["verbs"])
    return found


def test_the_role_allows_get_watch_and_patch_of_the_one_lease() -> None:
    """No list, no update, no create, and no other Lease than the one that is shipped."""
    assert manifest("base/role.yaml")["rules"] == [
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": [manifest("base/lease.yaml")["metadata"]["name"]],
            "verbs": ["get", "watch", "patch"],
        }
    ]


APPS = ("deployments", "replicasets", "statefulsets", "daemonsets")


@pytest.mark.parametrize(
    ("component", "granted"),
    [
        ("create", {"leases.coordination.k8s.io": {"create"}}),
        ("pod-label", {"pods": {"patch"}}),
        ("pod-condition", {"pods/status": {"patch"}}),
        ("events", {"events.events.k8s.io": {"create"}}),
        ("early-takeover", {"pods": {"get", "watch"}}),
        (
            "rollout-handover",
            {"pods": {"get", "list"}, "controllerrevisions.apps": {"list"}} | {f"{kind}.apps": {"get"} for kind in APPS},
        ),
    ],
)
def test_each_optional_part_has_a_small_role_of_its_own(component: str, granted: dict[str, set[str]]) -> None:
    """None can be limited to a name, so each goes alone."""
    assert rules(f"components/{component}/role.yaml") == granted


def test_no_role_is_left_out_of_that() -> None:
    """A component that comes later is tested as well."""
    parts = ("create", "pod-label", "pod-condition", "events", "early-takeover", "rollout-handover")
    assert sorted(["base", *(f"components/{name}" for name in parts)]) == WITH_A_ROLE


def test_the_lease_is_shipped_without_a_spec() -> None:
    """Applying it again must not empty it under its holder."""
    assert "spec" not in manifest("base/lease.yaml")


def test_the_account_mounts_its_token_nowhere_by_itself() -> None:
    """The application beside the sidecar gains no right."""
    assert manifest("base/serviceaccount.yaml")["automountServiceAccountToken"] is False


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_kustomization_names_every_manifest_beside_it(folder: str) -> None:
    """None forgotten, none missing."""
    content = manifest(f"{folder}/kustomization.yaml")
    named = [name for field in ("resources", "configurations", "transformers") for name in content.get(field, ())]
    named += [patch["path"] for patch in content.get("patches", ()) if "path" in patch]
    files = {path.name for path in (K8S / folder).glob("*.yaml")} - {"kustomization.yaml"}
    assert {name for name in named if name.endswith(".yaml")} == files
    assert all((K8S / folder / name).exists() for name in [*named, *content.get("components", ())])
    assert ("components/" in folder) == (content["kind"] == "Component")


def test_a_native_sidecar_has_a_startup_probe_and_no_other() -> None:
    """A kubelet's kill is a SIGTERM, and that says that the application has ended (S11). In a regular container it says nothing."""
    (native,) = manifest("components/sidecar/pod.yaml")["spec"]["template"]["spec"]["initContainers"]
    assert native["restartPolicy"] == "Always"
    assert {name for name in native if name.endswith("Probe")} == {"startupProbe"}
    (regular,) = manifest("components/regular-container/ordinary.yaml")["spec"]["template"]["spec"]["initContainers"]
    assert regular["livenessProbe"]["httpGet"] == native["startupProbe"]["httpGet"]


def test_no_object_has_a_fixed_namespace() -> None:
    """Where it goes, `kubectl -n` or the user's kustomization says."""
    for path in K8S.rglob("*.yaml"):
        for found in yaml.safe_load_all(path.read_text()):
            if isinstance(found, dict):
                assert "namespace" not in found.get("metadata", {}), path
                assert "namespace" not in found, path
                if found.get("kind") not in CLUSTER_SCOPED:
                    assert not re.search(r"\bnamespace: (?!metadata)", yaml.safe_dump(found.get("subjects", ""))), path


@pytest.mark.parametrize("folder", WITH_A_ROLE)
def test_a_binding_gives_the_role_beside_it_to_the_one_account(folder: str) -> None:
    """Names that do not match would be a Role for nobody."""
    binding = manifest(f"{folder}/rolebinding.yaml")
    assert binding["roleRef"]["name"] == manifest(f"{folder}/role.yaml")["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": manifest("base/serviceaccount.yaml")["metadata"]["name"]}]


@pytest.mark.parametrize("folder", WITH_A_ROLE)
def test_the_table_of_rights_says_what_each_role_grants(folder: str) -> None:
    """Each verb and each resource, in its row of docs/reference/rbac.md; and no other verb."""
    table = (K8S.parent / "docs/reference/rbac.md").read_text().split("\n## Rights\n")[1].split("\n## ")[0]
    (row,) = (line for line in table.splitlines() if line.startswith(f"| `{folder.removeprefix('components/')}` |"))
    rights = row.split("|")[2]
    granted = rules(f"{folder}/role.yaml")
    assert set(re.findall(r"`([a-z]+)`", rights)) == set().union(*granted.values())
    for resource in granted:
        assert re.search({"leases.coordination.k8s.io": "Leases?"}.get(resource, rf"\b{resource.split('.')[0]}\b"), rights), resource


def test_each_alert_asks_for_metrics_that_there_are() -> None:
    """An alert on a name that nothing has never fires."""
    source = (K8S.parent / "sidecar/http/metrics.py").read_text()
    groups = manifest("optional/alerts.yaml")["spec"]["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        names = re.findall(r"\bleader_[a-z]+_[a-z_]+", rule["expr"])
        assert names, rule
        for name in names:
            assert f'"{name.removesuffix("_bucket")}"' in source, name


def test_what_selects_the_pods_selects_by_what_the_sidecar_component_puts_there() -> None:
    """The label of the Lease, and the port's name."""
    template = manifest("components/sidecar/pod.yaml")["spec"]["template"]
    (label,) = template["metadata"]["labels"]
    (port,) = template["spec"]["initContainers"][0]["ports"]
    monitor, policy = manifest("optional/podmonitor.yaml")["spec"], manifest("optional/networkpolicy.yaml")["spec"]
    for selector in (monitor["selector"], policy["podSelector"]):
        assert selector["matchExpressions"] == [{"key": label, "operator": "Exists"}]
    assert monitor["podMetricsEndpoints"][0]["port"] == port["name"]
    assert policy["ingress"][0]["ports"][0]["port"] == port["containerPort"]
    assert label in manifest("components/pod-label/service.yaml")["spec"]["selector"]


@pytest.mark.parametrize("file", ["lease", "pod", "rolebinding"])
def test_a_refusal_of_the_guard_fits_into_what_a_sidecar_tells_of_an_answer(file: str) -> None:
    """Whole: which policy, and what is wrong and what is allowed. And the policy is told by its name."""
    policy, _ = yaml.safe_load_all((K8S / f"guard/{file}.yaml").read_text())
    name = policy["metadata"]["name"]
    policies = f"ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: "
    frame = f'leases.coordination.k8s.io "a-lease-of-average-length" is forbidden: {policies}'
    for rule in policy["spec"]["validations"]:
        assert rule["message"].startswith("leader-sidecar's guard: ")
        assert len(frame + rule["message"]) <= MAX_REASON_CHARS, rule["message"]
