"""k8s/ grants what the sidecar needs and nothing else. That what it grants is enough, tests/apiserver shows."""

from pathlib import Path
from typing import Any

import pytest
import yaml

K8S = Path(__file__).resolve().parents[2] / "k8s"


def manifest(path: str) -> dict[str, Any]:
    """One manifest."""
    loaded: dict[str, Any] = yaml.safe_load((K8S / path).read_text())
    return loaded


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


def test_the_optional_role_allows_create_alone() -> None:
    """It cannot be limited to a name, so nothing else goes with it."""
    assert manifest("create/role.yaml")["rules"] == [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]}]


def test_the_role_to_yield_only_reads() -> None:
    """What a yielding leader asks for, and no verb that changes anything; the Lease is in the other Role."""
    assert manifest("yield/role.yaml")["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["replicasets", "deployments", "statefulsets", "daemonsets"], "verbs": ["get"]},
        {"apiGroups": ["apps"], "resources": ["controllerrevisions"], "verbs": ["list"]},
    ]


def test_the_lease_is_shipped_without_a_spec() -> None:
    """Applying it again must not empty it under its holder."""
    assert "spec" not in manifest("base/lease.yaml")


def test_the_account_mounts_its_token_nowhere_by_itself() -> None:
    """The application beside the sidecar gains no right."""
    assert manifest("base/serviceaccount.yaml")["automountServiceAccountToken"] is False


@pytest.mark.parametrize("folder", ["base", "create", "yield"])
def test_a_kustomization_names_every_manifest_beside_it(folder: str) -> None:
    """None forgotten, none missing, and no namespace fixed in any."""
    files = {path.name for path in (K8S / folder).glob("*.yaml")} - {"kustomization.yaml"}
    assert set(manifest(f"{folder}/kustomization.yaml")["resources"]) == files
    assert all("namespace" not in manifest(f"{folder}/{file}")["metadata"] for file in files)


@pytest.mark.parametrize("folder", ["base", "create", "yield"])
def test_a_binding_gives_the_role_beside_it_to_the_one_account(folder: str) -> None:
    """Names that do not match would be a Role for nobody."""
    binding = manifest(f"{folder}/rolebinding.yaml")
    assert binding["roleRef"]["name"] == manifest(f"{folder}/role.yaml")["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": manifest("base/serviceaccount.yaml")["metadata"]["name"]}]
