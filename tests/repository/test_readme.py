"""What the README says is what the code does."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from sidecar.runtime.leadership import Answer
from tests.support.given import load

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def pod() -> dict[str, Any]:
    """The spec of the Pod template that the README shows."""
    block = re.search(r"```yaml\n(apiVersion: apps/v1\n.*?)```", README, re.DOTALL)
    assert block is not None
    spec: dict[str, Any] = yaml.safe_load(block[1])["spec"]["template"]["spec"]
    return spec


def test_the_answer_shown_has_every_field_of_an_answer() -> None:
    """In its order."""
    shown = re.search(r"\$ curl -s --noproxy '\*' localhost:4040/leader\n(\{.*?\})\n", README, re.DOTALL)
    assert shown is not None
    assert list(json.loads(shown[1])) == [field.name for field in fields(Answer)]


def test_the_pod_shown_fits_the_manifests_and_the_settings() -> None:
    """Its account is the one that has the Role, its Lease the one that is shipped, and its settings are accepted."""
    spec = pod()
    (sidecar,) = spec["initContainers"]
    account = yaml.safe_load((ROOT / "k8s/base/serviceaccount.yaml").read_text())
    lease = yaml.safe_load((ROOT / "k8s/base/lease.yaml").read_text())
    assert spec["serviceAccountName"] == account["metadata"]["name"]
    environ = {entry["name"]: entry.get("value", "from-the-pod") for entry in sidecar["env"]}
    assert environ["LEADER_LEASE_NAME"] == lease["metadata"]["name"]
    settings, faults = load({}, environ)
    assert faults == []
    assert settings is not None
    assert settings.native_sidecar
    assert settings.identity == "from-the-pod_from-the-pod"
    assert sidecar["restartPolicy"] == "Always"
    assert {name for name in sidecar if name.endswith("Probe")} == {"startupProbe"}  # a liveness kill would say that the app has ended


def test_no_promise_of_the_token_without_its_warning() -> None:
    """Who reads of the promise reads of fencing as well."""
    assert "A lease alone cannot stop a late write." in README


def test_no_pod_that_we_show_has_a_prestop_hook() -> None:
    """It runs when the Pod's end begins, while the application still works: too early to release anything (KEP-753)."""
    shown = [README, *(path.read_text() for path in (ROOT / "k8s").rglob("*.yaml"))]
    assert not [text for text in shown if "preStop:" in text]
