"""docs/operations/monitoring.md names alerts, metrics, log lines and Events that there are."""

import re
from pathlib import Path

import pytest
import yaml

from sidecar.runtime.history import KEPT, End
from tests.support import messages
from tests.support.constants import string_constants, unknown_parts

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations" / "monitoring.md").read_text(encoding="utf-8")


_LOGS = {"log_event", "log_move", "event", "move", "around_time", "info", "warning", "error", "exception", "critical"}
"""What writes a log line of level info or above, by the message that is its first text."""


def _logged() -> set[str]:
    return {text for module in messages.modules() for text in messages.given_to(module, _LOGS)}


def _first_cells(section: str) -> list[str]:
    """The first cell of each row of the section's table, without its head and the rule below that."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][2:]


def test_each_shipped_alert_has_its_row() -> None:
    rules = yaml.safe_load((ROOT / "k8s" / "optional" / "alerts.yaml").read_text())["spec"]["groups"][0]["rules"]
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and line.endswith(("| critical |", "| warning |"))]
    assert [row.rpartition("| ")[2].removesuffix(" |") for row in rows] == [rule["labels"]["severity"] for rule in rules]


def test_each_metric_is_served() -> None:
    named = set(re.findall(r"`(leader_\w+)", PAGE))
    assert len(named) >= 5
    assert named <= {text for text in string_constants() if text.startswith("leader_")}


@pytest.mark.parametrize("message", [message for cell in _first_cells("Log") for message in re.findall("`([^`]+)`", cell)])
def test_each_log_line_is_written_by_the_sidecar(message: str) -> None:
    assert unknown_parts(message) == []


def test_log_lines_are_found_in_the_code() -> None:
    """Also a message in a variable, in a dictionary of the module, and one with fields."""
    assert {"stopped", "in conflict", "the application is not healthy", "… works again", "a request failed"} <= _logged()
    assert len(_logged()) > 25


@pytest.mark.parametrize("message", sorted(_logged()))
def test_each_log_line_of_the_sidecar_has_its_row(message: str) -> None:
    """One of a single word stands there as it is."""
    rows = [quoted for cell in _first_cells("Log") for quoted in re.findall("`([^`]+)`", cell)]
    assert message in rows or (len(message.split()) > 1 and messages.is_told(message, rows))


def test_the_events_are_those_that_are_written() -> None:
    reasons = {cell.strip("`") for cell in _first_cells("Events")}
    assert reasons == {"BecameLeader", "StoppedLeading", "Resigned"}
    assert [reason for reason in reasons if reason not in string_constants()] == []


def test_the_ends_of_a_term_are_those_of_the_history() -> None:
    assert {cell.strip("`") for cell in _first_cells("History")} == {*(end.value for end in End), "null"}
    assert f"the last {KEPT} terms" in PAGE
