"""What the page about Helm shows, with the name of a release filled in: the API server takes it, and the post-renderer adds the sidecar."""

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.apiserver.kustomized import K8S, only, restricted, sidecar_of, workload
from tests.apiserver.server import ApiServer
from tests.binaries.build import ensure
from tests.support.texts import block

JSON = dict[str, Any]
RELEASE = "shop"
PAGE = "docs/guides/helm.md"
VALUE = "{{ .Release.Name }}"


def rendered(first_line: str) -> str:
    """The template whose first line that is, as Helm fills it in: nothing but the name of the release stands in it."""
    text = block(PAGE, "gotmpl", first_line).replace(VALUE, RELEASE)
    assert "{{" not in text
    return text


def chart() -> list[JSON]:
    """All objects of a chart that has taken the page's two templates over."""
    objects = list(yaml.safe_load_all(rendered("# templates/leader-election.yaml")))
    deployment = workload("Deployment", name=RELEASE)
    spec = deployment["spec"]["template"]["spec"]
    added = yaml.safe_load(rendered("serviceAccountName"))
    for part in ("initContainers", "volumes"):
        spec[part] = added.pop(part) + spec[part]
    spec.update(added)
    return [*objects, deployment]


def test_the_templates_are_accepted_and_a_restricted_namespace_takes_the_pod(apiserver: ApiServer) -> None:
    """No field unknown."""
    namespace = restricted(apiserver)
    objects = chart()
    said = apiserver.kubectl("apply", "--validate=strict", "-n", namespace, "-f", "-", stdin=yaml.safe_dump_all(objects))
    assert len(said.splitlines()) == len(objects)
    template = only(objects, "Deployment")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"] | {"name": "one"}, "spec": template["spec"]}
    status, found = apiserver.request("POST", f"/api/v1/namespaces/{namespace}/pods?fieldValidation=Strict", pod)
    assert status == 201, found


def test_the_template_is_what_base_has(apiserver: ApiServer) -> None:
    """The same kinds, and the same rights on the one Lease."""
    base = list(yaml.safe_load_all(apiserver.kubectl("kustomize", str(K8S / "base")).replace("web", RELEASE)))
    objects = [each for each in chart() if each["kind"] != "Deployment"]
    assert {each["kind"]: each["metadata"]["name"] for each in objects} == {each["kind"]: each["metadata"]["name"] for each in base}
    assert only(objects, "Role")["rules"] == only(base, "Role")["rules"]
    for part in ("roleRef", "subjects"):
        assert only(objects, "RoleBinding")[part] == only(base, "RoleBinding")[part]
    assert not only(objects, "ServiceAccount")["automountServiceAccountToken"]


def test_the_post_renderer_adds_the_sidecar_to_what_it_reads(tmp_path: Path) -> None:
    """As Helm runs it: from another folder, the chart's manifests on its standard input."""
    script = block(PAGE, "sh", "#!/bin/sh\n# post-render.sh")
    lease, kustomization = (block(PAGE, "yaml", f"# {name}.yaml\n") for name in ("lease", "kustomization"))
    (tmp_path / "chart").mkdir()
    for name, text in [("lease.yaml", lease), ("kustomization.yaml", kustomization), ("post-render.sh", script)]:
        path = os.path.relpath(K8S, tmp_path / "chart")
        (tmp_path / "chart" / name).write_text(text.replace("path/to/k8s", path), encoding="utf-8")
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.parent.mkdir()
    kubectl.symlink_to(ensure("kubectl")["kubectl"])
    manifests = yaml.safe_dump(workload("Deployment", name=RELEASE))
    environment = os.environ | {"PATH": f"{kubectl.parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["sh", str(tmp_path / "chart/post-render.sh")]
    done = subprocess.run(command, input=manifests, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    built = list(yaml.safe_load_all(done.stdout))
    assert sidecar_of(only(built, "Deployment"))["image"] == "registry.example/leader-sidecar:0.1.0"
    assert only(built, "Lease")["metadata"]["name"] == RELEASE
    assert only(built, "ServiceAccount")["metadata"]["name"] == f"{RELEASE}-leader-sidecar"
