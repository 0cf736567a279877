"""Each recipe of the texts, as it stands there, for two products in one namespace of a real API server, and applied twice."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver.kustomized import ACCOUNT, K8S, build, restricted, workload
from tests.apiserver.server import ApiServer
from tests.apiserver.sidecar_process import until
from tests.support.share import first
from tests.support.texts import Block, manifests, texts

JSON = dict[str, Any]
RECIPES = [block for block in manifests() if any("components" in each for each in block.documents)]
COMMANDS = sorted(
    {found for path in texts() for found in re.findall(r"kubectl apply(?: -n \w+)? -k (k8s/\w+)", path.read_text())} - {"k8s/guard"}
)
LEASE = "docs/guides/kustomize.md"
"""The page whose Lease a recipe uses where its own page shows none."""
NAME = "shop"
"""What the product is called in the texts."""
PRODUCTS = (NAME, "stock")
ROLE = "leader-sidecar/role"


def written(recipe: Block, product: str, folder: Path) -> Path:
    """The recipe for that product: the text's own words, but for the product's name and where k8s/ is; and what it says is yours."""
    folder.mkdir()
    leases = {block.file: block.text for block in manifests() if [each.get("kind") for each in block.documents] == ["Lease"]}
    account = f"{product}-app" if "own-account" in recipe.text else ""
    for name, text in [("kustomization.yaml", recipe.text), ("lease.yaml", leases.get(recipe.file, leases[LEASE]))]:
        ours = re.sub(rf"\b{NAME}\b", product, text).replace("path/to/k8s", os.path.relpath(K8S, folder))
        (folder / name).write_text(ours, encoding="utf-8")
    yours = workload("Deployment", account, name=product)
    labels = {"app.kubernetes.io/name": product}
    yours["spec"]["selector"]["matchLabels"] = yours["spec"]["template"]["metadata"]["labels"] = labels
    (kustomization,) = recipe.documents
    (file,) = {each for each in kustomization["resources"] if each.endswith(".yaml")} - {"lease.yaml"}
    (folder / file).write_text(yaml.safe_dump(yours), encoding="utf-8")
    return folder


def listed(server: ApiServer, namespace: str, what: str) -> list[JSON]:
    """All objects of that kind in the namespace; the path of their group and its version goes before the kind."""
    group, _, kind = what.rpartition("/")
    status, found = server.request("GET", f"/{group}/namespaces/{namespace}/{kind}")
    assert status == 200, found
    return list(found["items"])


def may(server: ApiServer, namespace: str, account: str, lease: str, verb: str = "patch") -> bool:
    """`kubectl auth can-i`, as that account."""
    asked = {"namespace": namespace, "verb": verb, "group": "coordination.k8s.io", "resource": "leases", "name": lease}
    spec = {"user": f"system:serviceaccount:{namespace}:{account}", "resourceAttributes": asked}
    spec["groups"] = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    status, found = server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
    assert status == 201, found
    return bool(found["status"]["allowed"])


def accounts(server: ApiServer, namespace: str) -> dict[str, str]:
    """Lease to account, as the Deployments there have them."""
    templates = [each["spec"]["template"] for each in listed(server, namespace, "apis/apps/v1/deployments")]
    return {each["metadata"]["labels"]["leader-sidecar/lease"]: each["spec"]["serviceAccountName"] for each in templates}


def keeps_to_its_own(server: ApiServer, namespace: str) -> None:
    """Each product's account may do with its Lease what the election needs, and nothing with another's."""
    found = accounts(server, namespace)
    verbs = ("get", "watch", "patch")
    right = {(account, each, verb): lease == each for lease, account in found.items() for each in found for verb in verbs}
    until(lambda: {asked: may(server, namespace, *asked) for asked in right} == right, within_seconds=10)


def leading(server: ApiServer, namespace: str) -> Iterator[str]:
    """A Pod of each Deployment's template, made in the restricted namespace as if it led; gives the Deployments' names."""
    for each in listed(server, namespace, "apis/apps/v1/deployments"):
        name, template = each["metadata"]["name"], each["spec"]["template"]
        metadata = {"name": name, "labels": template["metadata"]["labels"] | {ROLE: "leader"}}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        status, found = server.request("POST", f"/api/v1/namespaces/{namespace}/pods", body)
        assert status == 201, found
        yield name


def test_the_texts_have_recipes() -> None:
    """What takes them out of the texts finds each of the guides' and the one of k8s/; and what is applied as it is."""
    assert {(block.file, block.heading) for block in RECIPES} >= {
        ("docs/guides/gitops.md", "Argo CD"),
        ("docs/guides/helm.md", "Kustomize after Helm"),
        ("docs/guides/kustomize.md", "Add the sidecar"),
        ("docs/guides/kustomize.md", "An account of your own"),
        ("docs/guides/service-mesh.md", "Istio"),
        ("k8s/README.md", "Add it to your application"),
    }
    assert {*COMMANDS} >= {"k8s/base", "k8s/example", "k8s/several"}


@pytest.mark.parametrize("recipe", first(RECIPES, kept=2), ids=str)
def test_two_products_by_a_recipe_keep_their_rights_and_their_traffic(apiserver: ApiServer, tmp_path: Path, recipe: Block) -> None:
    """One after the other, and both again; an account with an annotation for a cloud keeps it."""
    namespace = restricted(apiserver)
    folders = {product: written(recipe, product, tmp_path / product) for product in PRODUCTS}
    for product in PRODUCTS:
        apiserver.apply({**ACCOUNT, "metadata": ACCOUNT["metadata"] | {"name": f"{product}-app"}}, namespace=namespace)
    for product in PRODUCTS * 2:
        apiserver.kubectl("apply", "-n", namespace, "-k", str(folders[product]))
        keeps_to_its_own(apiserver, namespace)
    assert accounts(apiserver, namespace).keys() == set(PRODUCTS)
    for account in accounts(apiserver, namespace).values():  # for the Lease that Argo CD leaves out
        assert may(apiserver, namespace, account, "", "create") is ("components/create" in recipe.text)
    if "own-account" in recipe.text:
        assert accounts(apiserver, namespace) == {product: f"{product}-app" for product in PRODUCTS}
    for found in listed(apiserver, namespace, "api/v1/serviceaccounts"):
        annotations = found["metadata"].get("annotations", {})
        assert (
            found["metadata"]["name"] not in {"shop-app", "stock-app"} or ACCOUNT["metadata"]["annotations"].items() <= annotations.items()
        )
    names = set(leading(apiserver, namespace))
    services = listed(apiserver, namespace, "api/v1/services")
    assert {each["metadata"]["name"] for each in services} == (
        {f"{name}-leader" for name in names} if "pod-label" in recipe.text else set()
    )
    for each in services:
        selector = ",".join(f"{key}={value}" for key, value in each["spec"]["selector"].items())
        selected = apiserver.kubectl("get", "pods", "-n", namespace, "-l", selector, "-o", "name").split()
        assert selected == [f"pod/{each['metadata']['name'].removesuffix('-leader')}"]
    leases = {each["metadata"]["name"] for each in listed(apiserver, namespace, "apis/coordination.k8s.io/v1/leases")}
    assert leases == (set() if "$patch: delete" in recipe.text else set(PRODUCTS)), "one that is left out is the sidecars' to create"


@pytest.mark.parametrize("folder", COMMANDS)
def test_what_is_applied_as_it_stands_gives_its_rights(apiserver: ApiServer, folder: str) -> None:
    """Twice."""
    namespace = restricted(apiserver)
    for _ in range(2):
        apiserver.kubectl("apply", "-n", namespace, "-k", str(K8S.parent / folder))
    keeps_to_its_own(apiserver, namespace)
    assert len(set(leading(apiserver, namespace))) == len(accounts(apiserver, namespace))
    if folder == "k8s/base":
        until(lambda: may(apiserver, namespace, "web-leader-sidecar", "web"), within_seconds=10)


def test_a_prefix_in_place_of_a_lease_of_ones_own_shares_nothing_either(apiserver: ApiServer) -> None:
    """The two of k8s/several have no name in common, whatever the kind."""
    built = build(apiserver, K8S / "several")
    names = [(each["kind"], each["metadata"]["name"]) for each in built]
    assert len(names) == len(set(names))
    assert {name.partition("-")[0] for _, name in names} == set(PRODUCTS)
