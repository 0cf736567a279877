"""Every Pod that a text or a kustomization shows is one that a namespace under the *restricted* Pod Security level takes."""

from typing import Any

import pytest
import yaml

from tests.apiserver.kustomized import K8S, build, restricted
from tests.apiserver.server import ApiServer
from tests.support.texts import Block, blocks, manifests, pods

JSON = dict[str, Any]
SHOWN = [block for block in manifests() if any(True for document in block.documents for _ in pods(document))]
KUSTOMIZATIONS = sorted(
    path.parent.relative_to(K8S).as_posix()
    for path in K8S.rglob("kustomization.yaml")
    if yaml.safe_load(path.read_text(encoding="utf-8"))["kind"] == "Kustomization"
)


def refusals(server: ApiServer, documents: list[Any]) -> list[str]:
    """What a restricted namespace says of each Pod in them that it does not take, or of a field that it does not know."""
    path = f"/api/v1/namespaces/{restricted(server)}/pods?dryRun=All&fieldValidation=Strict"
    answers = [server.request("POST", path, pod) for document in documents for pod in pods(document)]
    return [str(found.get("message", found)) for status, found in answers if status != 201]


def test_the_texts_show_pods() -> None:
    """What finds them finds the one of the guide by hand, and the README's Lease."""
    assert "docs/guides/kubectl.md" in {block.file for block in SHOWN}
    assert "README.md" in {block.file for block in ADMITTED}


@pytest.mark.parametrize("block", SHOWN, ids=str)
def test_a_pod_that_a_text_shows_is_admitted(apiserver: ApiServer, block: Block) -> None:
    """Copied as it stands."""
    assert refusals(apiserver, block.documents) == []


@pytest.mark.parametrize("folder", KUSTOMIZATIONS)
def test_a_pod_of_a_kustomization_is_admitted(apiserver: ApiServer, folder: str) -> None:
    """Of each that can be applied; of those that a team puts together, `test_kustomize.py` and `test_recipes.py` ask."""
    assert refusals(apiserver, build(apiserver, K8S / folder)) == []


ADMITTED = [block for block in blocks() if block.mark == "admitted"]


@pytest.mark.parametrize("block", ADMITTED, ids=str)
def test_a_manifest_that_a_text_shows_is_admitted(apiserver: ApiServer, block: Block) -> None:
    """Each document of it, with no field that the API does not know."""
    namespace = restricted(apiserver)
    apiserver.kubectl("create", "--dry-run=server", "--validate=strict", "-n", namespace, "-f", "-", stdin=block.text)


POD: JSON = {"containers": [{"name": "app", "image": "app", "securityContext": {"allowPrivilegeEscalation": False}}]}


@pytest.mark.parametrize(
    "document",
    [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "y"}, "spec": POD},
        {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": POD}}},
        {"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": POD}}}}},
        {"kind": "List", "items": [{"kind": "Pod", "spec": POD}]},
        {"spec": POD},
        {"initContainers": POD["containers"]},
    ],
    ids=["a Pod", "a Deployment", "a CronJob", "a List", "a spec", "a list of containers"],
)
def test_a_pod_is_found_and_refused_wherever_it_stands(apiserver: ApiServer, document: JSON) -> None:
    """One that is not restricted is found in each form."""
    (said,) = refusals(apiserver, [document])
    assert "violates PodSecurity" in said or "Required value" in said, said
