"""Names in k8s/ follow the Lease's, and an account of the application's own stays: built by kubectl's own kustomize."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver.kustomized import ACCOUNT, K8S, OPTIONS, build, kustomization, only, sidecar_of, workload
from tests.apiserver.server import ApiServer

JSON = dict[str, Any]


def names(built: list[JSON]) -> dict[str, str]:
    """Every place where the Lease's name stands, and the account's; and the one name that all others begin with."""
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


def objects(built: list[JSON]) -> dict[str, set[str]]:
    """The names of what there is beside the Lease and the application, by kind; what a RoleBinding refers to is there."""
    found: dict[str, set[str]] = {}
    for each in built:
        if "leader-sidecar/part" in each["metadata"].get("labels", {}):
            found.setdefault(each["kind"], set()).add(each["metadata"]["name"])
        if each["kind"] == "RoleBinding":
            assert each["roleRef"]["name"] == each["metadata"]["name"]
    return found


def called(name: str) -> dict[str, set[str]]:
    """What `objects` gives with the components below, where that stands in the Lease's place; `*`: what stands behind it."""
    name = name if "*" in name else f"{name}*"
    roles = {name.replace("*", f"-leader-sidecar{part}") for part in ("", "-pod-label", "-events")}
    account, service = ({name.replace("*", part)} for part in ("-leader-sidecar", "-leader"))
    return {"ServiceAccount": account, "Role": roles, "RoleBinding": roles, "Service": service}


RENAME = {
    "target": {"kind": "Lease"},
    "patch": "- {op: replace, path: /metadata/name, value: shop}",
    "options": {"allowNameChange": True},
}
NAMED = ["sidecar", "pod-label", "events", "admission-policy"]


@pytest.mark.parametrize(
    ("how", "now"),
    [
        ({}, ("web", "web")),
        ({"namePrefix": "prod-"}, ("prod-web", "prod-web")),
        ({"patches": [RENAME], "transformers": "names"}, ("shop", "shop")),
        ({"nameSuffix": "-2", "patches": [RENAME], "namespace": "shop", "transformers": "names"}, ("shop-2", "shop-2")),
        ({"patches": [RENAME]}, ("shop", "web")),
        ({"nameSuffix": "-2", "patches": [RENAME], "namespace": "shop"}, ("shop-2", "web*-2")),
    ],
    ids=["as shipped", "a prefix", "a patch", "a patch and a suffix", "a patch alone", "a patch and a suffix alone"],
)
@pytest.mark.parametrize("where", ["beside", "around"])
def test_a_name_stands_in_one_place(apiserver: ApiServer, tmp_path: Path, how: JSON, now: tuple[str, str], where: str) -> None:
    """Renamed in any of kustomize's ways, beside the components or in an overlay, all that goes by the name follows; rights do, whatever
    the objects are called: these follow a patch where k8s/names is listed.
    """
    lease, others = now
    how = how | ({"transformers": [os.path.relpath(K8S / "names", tmp_path / "any")]} if "transformers" in how else {})
    folder = kustomization(tmp_path / "app", ["base", workload("StatefulSet")], NAMED, **(how if where == "beside" else {}))
    if where == "around":
        (tmp_path / "overlay").mkdir()
        (tmp_path / "overlay" / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["../app"], **how}), encoding="utf-8")
        folder = tmp_path / "overlay"
    built = build(apiserver, folder)
    assert objects(built) == called(others)
    (account,) = called(others)["ServiceAccount"]
    leases = dict.fromkeys(("lease", "role", "pods", "guard", "service"), lease)
    assert names(built) == leases | {"account": account, "pod's account": account}


def lease_of(name: str) -> JSON:
    """A Lease of a user's."""
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}}


def test_a_lease_of_ones_own_names_everything(apiserver: ApiServer, tmp_path: Path) -> None:
    """Whatever dashes it has; with a prefix around it; and two such in one kustomization do not meet."""
    for name in ("shop", "shop-2"):
        kustomization(tmp_path / name, ["rights", lease_of(name), workload("Deployment", name=name)], NAMED)
        built = build(apiserver, tmp_path / name)
        assert objects(built) == called(name)
        assert set(names(built).values()) == {name, f"{name}-leader-sidecar"}
    both = tmp_path / "both"
    both.mkdir()
    (both / "kustomization.yaml").write_text(yaml.safe_dump({"namePrefix": "a-", "resources": ["../shop", "../shop-2"]}), encoding="utf-8")
    built = build(apiserver, both)
    assert objects(built) == {kind: found | called("a-shop-2")[kind] for kind, found in called("a-shop").items()}
    accounts = {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]["serviceAccountName"] for each in built if each["kind"] == "Deployment"
    }
    assert accounts == {name: f"{name}-leader-sidecar" for name in ("a-shop", "a-shop-2")}


@pytest.mark.parametrize("own", [False, True], ids=["the shipped account", "an own account"])
def test_two_products_with_every_option_have_no_name_in_common(apiserver: ApiServer, tmp_path: Path, own: bool) -> None:  # noqa: FBT001 - a case
    """Whatever the kind; and each RoleBinding has its product's Role and account."""
    found = []
    for name in ("shop", "stock"):
        account = f"{name}-app" if own else ""
        resources: list[str | JSON] = ["rights", lease_of(name), workload("StatefulSet", account, name=name)]
        components = [*(["own-account"] if own else []), "sidecar", *OPTIONS, "regular-container"]
        built = build(apiserver, kustomization(tmp_path / name, resources, components))
        assert subjects(built) == {account or f"{name}-leader-sidecar"}
        assert len(objects(built)["RoleBinding"]) == len(OPTIONS), "one for each option but the guard, and the Lease's own"
        found += [(each["kind"], each["metadata"]["name"]) for each in built]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("leases", [[], [lease_of("shop"), lease_of("stock")]], ids=["none", "two"])
def test_without_one_lease_nothing_is_built(apiserver: ApiServer, tmp_path: Path, leases: list[JSON]) -> None:
    """Nothing could be named after it."""
    folder = kustomization(tmp_path / "app", ["rights", *leases, workload("Deployment")], NAMED)
    with pytest.raises(AssertionError, match=r"selected by Lease|multiple matches for selector Lease"):
        build(apiserver, folder)


@pytest.mark.parametrize("own", [False, True], ids=["the shipped account", "an own account"])
def test_a_workload_that_shall_have_none_gets_none(apiserver: ApiServer, tmp_path: Path, own: bool) -> None:  # noqa: FBT001 - a case
    """By its label, whatever components are there, and its account is its own affair."""
    without = workload("Deployment", "batch", labels={"leader-sidecar/sidecar": "none"})
    first = ["own-account"] if own else []
    resources: list[str | JSON] = ["base", workload("StatefulSet", "app" if own else ""), without]
    built = build(apiserver, kustomization(tmp_path / "app", resources, [*first, "sidecar", *OPTIONS, "regular-container"]))
    assert only(built, "Deployment") == without
    assert sidecar_of(only(built, "StatefulSet"))
    assert subjects(built) == {"app" if own else "web-leader-sidecar"}


def subjects(built: list[JSON]) -> set[str]:
    """Who has the Roles."""
    return {subject["name"] for each in built if each["kind"] == "RoleBinding" for subject in each["subjects"]}


@pytest.mark.parametrize(
    "accounts", [[ACCOUNT], [], [ACCOUNT, {**ACCOUNT, "metadata": {"name": "other"}}]], ids=["here", "elsewhere", "two"]
)
@pytest.mark.parametrize("prefix", ["", "prod-"], ids=["plain", "prefixed"])
def test_an_account_of_the_applications_own_gets_the_roles(apiserver: ApiServer, tmp_path: Path, accounts: list[JSON], prefix: str) -> None:
    """Every one of them, the guard too; the account and the application's token are as they were, and the shipped account is left out."""
    resources: list[str | JSON] = ["base", workload("Deployment", "app"), *accounts]
    folder = kustomization(tmp_path / "app", resources, ["own-account", "sidecar", *OPTIONS], namePrefix=prefix)
    built = build(apiserver, folder)
    name = f"{prefix if accounts else ''}app"
    found = [each for each in built if each["kind"] == "ServiceAccount"]
    assert [each["metadata"] for each in found] == [each["metadata"] | {"name": f"{prefix}{each['metadata']['name']}"} for each in accounts]
    assert subjects(built) == {name}
    spec = only(built, "Deployment")["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == name
    assert "automountServiceAccountToken" not in spec
    assert only(built, "RoleBinding", f"{prefix}web-leader-sidecar")["metadata"]["labels"]["leader-sidecar/guard"] == "true"


@pytest.mark.parametrize("field", ["serviceAccountName", "serviceAccount"])
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_an_account_of_the_applications_own_is_never_replaced(apiserver: ApiServer, tmp_path: Path, kind: str, field: str) -> None:
    """Nothing is built, and kustomize says which field and which component it is about."""
    named = workload(kind)
    named["spec"]["template"]["spec"][field] = "app"
    folder = kustomization(tmp_path / "app", ["base", named, ACCOUNT], ["sidecar"])
    with pytest.raises(AssertionError, match=f"sidecar/without-own-account': testing value /spec/template/spec/{field} failed"):
        build(apiserver, folder)


def test_own_account_is_for_one_workload_and_comes_first(apiserver: ApiServer, tmp_path: Path) -> None:
    """Else nothing is built: a right for nobody, or for the wrong account, would be found out much later."""
    two = [workload("Deployment", "app"), workload("StatefulSet", "other")]
    with pytest.raises(AssertionError, match="multiple matches for selector"):
        build(apiserver, kustomization(tmp_path / "two", ["base", *two], ["own-account", "sidecar"]))
    with pytest.raises(AssertionError, match="serviceAccountName"):
        build(apiserver, kustomization(tmp_path / "none", ["base", workload("Deployment")], ["own-account", "sidecar"]))
    with pytest.raises(AssertionError, match="list components-own-account before components-sidecar"):
        build(apiserver, kustomization(tmp_path / "late", ["base", workload("Deployment")], ["sidecar", "own-account"]))
