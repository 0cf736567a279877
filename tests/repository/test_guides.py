"""What the guides show is what the manifests, the settings and the code have."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.features.grace_period import needed_seconds
from tests.support.given import load
from tests.support.texts import block

ROOT = Path(__file__).resolve().parents[2]
GUIDES = ROOT / "docs" / "guides"
DRAIN_SECONDS = 10
"""The default drain timeout: the renew deadline."""


def page(name: str) -> str:
    """The text of a guide, by its file's name."""
    return (GUIDES / name).read_text(encoding="utf-8")


def pod() -> dict[str, Any]:
    """The spec of the Pod template that the page about plain kubectl shows."""
    spec: dict[str, Any] = yaml.safe_load(block("docs/guides/kubectl.md", "yaml", "# deployment.yaml\n"))["spec"]["template"]["spec"]
    return spec


def snippet() -> dict[str, Any]:
    """The lines for a Pod template that the page about Helm shows, for a release called web."""
    shown = block("docs/guides/helm.md", "gotmpl", "serviceAccountName: ")
    spec: dict[str, Any] = yaml.safe_load(shown.replace("{{ .Release.Name }}", "web"))
    return spec


def manifest(path: str) -> Any:
    """A manifest of k8s/."""
    return yaml.safe_load((ROOT / "k8s" / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("shown", [pod, snippet], ids=["kubectl", "Helm"])
def test_the_pod_shown_fits_the_manifests_and_the_settings(shown: Any) -> None:
    """Its account is the one that has the Role, its Lease the one that is shipped, and its settings are accepted."""
    spec = shown()
    (sidecar,) = spec["initContainers"]
    assert spec["serviceAccountName"] == manifest("base/serviceaccount.yaml")["metadata"]["name"]
    environ = {entry["name"]: entry.get("value", "from-the-pod") for entry in sidecar["env"]}
    assert environ["LEADER_LEASE_NAME"] == manifest("base/lease.yaml")["metadata"]["name"]
    settings, faults = load({}, environ)
    assert faults == []
    assert settings is not None
    assert settings.native_sidecar
    assert settings.identity == "from-the-pod_from-the-pod"


@pytest.mark.parametrize("shown", [pod, snippet], ids=["kubectl", "Helm"])
def test_the_pod_shown_is_what_the_component_makes(shown: Any) -> None:
    """The same probes (a liveness kill would say that the application has ended), requests, mounts and token."""
    spec = shown()
    (sidecar,) = spec["initContainers"]
    component = manifest("components/sidecar/pod.yaml")["spec"]["template"]["spec"]
    (made,) = component["initContainers"]
    assert spec["volumes"] == component["volumes"]
    assert {name for name in sidecar if name.endswith("Probe")} == {"startupProbe"}
    for part in ("restartPolicy", "startupProbe", "resources", "volumeMounts", "imagePullPolicy"):
        assert sidecar[part] == made[part], part
    names = [entry["name"] for entry in sidecar["env"]]
    assert sorted(names) == sorted(entry["name"] for entry in made["env"])
    whole = spec.get("securityContext", {}) | sidecar["securityContext"]
    assert whole == made["securityContext"]


def test_the_liveness_probe_of_a_regular_container_is_the_components() -> None:
    """But for the number of failures, which is Kubernetes' default."""
    (shown,) = re.findall(r"`livenessProbe: (\{.*\})`", page("kubectl.md"))
    (made,) = manifest("components/regular-container/ordinary.yaml")["spec"]["template"]["spec"]["initContainers"]
    assert made["livenessProbe"] == yaml.safe_load(shown) | {"failureThreshold": 3}


def test_each_option_of_the_table_is_a_component_and_each_component_is_there() -> None:
    """In the kustomize guide."""
    table = page("kustomize.md").split("\n## Options\n")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE))
    assert listed | {"sidecar"} == {path.name for path in (ROOT / "k8s/components").iterdir()}


def test_the_shown_grace_periods_are_enough_and_no_longer_than_needed() -> None:
    """By the rule of the table above them, which the sidecar itself warns by."""
    rows = re.findall(r"^\| (\d+) (s|min) \| (\d+)[^|]*\| ([^|]*) \|$", page("shutdown.md"), re.MULTILINE)
    assert len(rows) == 3
    for amount, unit, native, regular in rows:
        own = int(amount) * (60 if unit == "min" else 1)
        assert int(native) == own + needed_seconds(DRAIN_SECONDS)
        drain = own if "LEADER_DRAIN_TIMEOUT" in regular else DRAIN_SECONDS
        (shown,) = re.findall(r"(?:^|then )(\d+)", regular)
        assert drain >= own
        assert int(shown) == max(own, needed_seconds(drain))
    assert needed_seconds(DRAIN_SECONDS) == DRAIN_SECONDS + 2


@pytest.mark.parametrize(
    ("name", "leads", "expected"), [("shop-1", False, "http://shop-1.shop:8080"), ("shop-0", True, None), ("", False, ValueError)]
)
def test_the_shown_function_says_where_a_request_goes(name: str, leads: bool, expected: object) -> None:  # noqa: FBT001 - a case
    """To the leader, nowhere, or nobody leads."""
    found: dict[str, Any] = {}
    exec(block("docs/guides/routing.md", "python", "def forward_to"), found)  # noqa: S102 - the guide's
    answer = {"name": name, "is_leader": leads}
    if expected is ValueError:
        with pytest.raises(ValueError, match="nobody leads"):
            found["forward_to"](answer)
    else:
        assert found["forward_to"](answer) == expected
