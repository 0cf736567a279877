"""What the README says is what the code does."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from sidecar.election.view import State
from sidecar.runtime.leadership import Answer
from sidecar.settings.declaration import NAMES, Settings, variable
from tests.support.given import load

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def settings_rows() -> dict[str, str]:
    """The settings table: name to default, as written."""
    table = README.split("<!-- settings -->")[1].split("<!-- /settings -->")[0]
    rows = (line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `"))
    return {name.strip().strip("`"): default.strip() for name, default in rows}


def test_the_settings_table_names_every_setting_and_no_other() -> None:
    """KUBECONFIG is kubectl's, not ours."""
    assert list(settings_rows()) == [*map(variable, NAMES), "KUBECONFIG"]


FIXED = [field for field in NAMES if Settings.model_fields[field].default not in (None, "", PydanticUndefined)]
"""The settings whose default hangs on nothing else, and is not empty."""


@pytest.mark.parametrize("field", FIXED)
def test_the_settings_table_tells_the_default(field: str) -> None:
    """As it is written there it means the same as leaving it out."""
    written_as = settings_rows()[variable(field)]
    default = written_as.strip("`")
    assert written_as == f"`{default}`"
    without, faults = load({"lease_name": "web", "lease_namespace": "shop", "identity": "web-0_1"}, {})
    assert faults == []
    written, faults = load({"lease_name": "web", "lease_namespace": "shop", "identity": "web-0_1", field: default}, {})
    assert faults == []
    assert without == written


def test_the_answer_shown_has_every_field_of_an_answer() -> None:
    """In its order."""
    shown = re.search(r"\$ curl -s --noproxy '\*' localhost:4040/leader\n(\{.*?\})\n", README, re.DOTALL)
    assert shown is not None
    assert list(json.loads(shown[1])) == [field.name for field in fields(Answer)]


def test_every_field_and_state_of_an_answer_is_explained() -> None:
    """In the HTTP chapter."""
    chapter = README.split("\n## HTTP\n")[1].split("\n## ")[0]
    for name in [*(field.name for field in fields(Answer)), *State]:
        assert f"`{name}`" in chapter, name


def test_no_promise_of_the_token_without_its_warning() -> None:
    """Who reads of the promise reads of fencing as well."""
    assert "A lease alone cannot stop a late write." in README


def test_no_pod_that_we_show_has_a_prestop_hook() -> None:
    """It runs when the Pod's end begins, while the application still works: too early to release anything (KEP-753)."""
    shown = [README, *(path.read_text() for path in (ROOT / "k8s").rglob("*.yaml"))]
    assert not [text for text in shown if "preStop:" in text]
