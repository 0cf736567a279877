"""docs/operations/troubleshooting.md tells of each line that the health routes can print, and of none that they cannot."""

import ast
import re
from pathlib import Path

import pytest

from sidecar.runtime.health_lines import HealthLine
from tests.support.constants import SIDECAR, unknown_parts

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations" / "troubleshooting.md").read_text(encoding="utf-8")
DECLARED = SIDECAR / "runtime" / "health_lines.py"

SECTIONS = re.findall(r"^### `([^`]+)`$", PAGE, re.MULTILINE)
_FROM_ELSEWHERE = ("failed calling webhook", "metadata.uid", "the same")
"""What the page quotes of the API server's own words, or refers to."""


def _messages() -> list[str]:
    """The messages that the page's tables quote: `…` stands for what varies."""
    rows = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| ")]
    found: list[str] = []
    column: int | None = None
    for row in rows:
        cells = [cell.strip() for cell in row]
        if "message" in cells:
            column = cells.index("message")
        elif "cause" in cells or "meaning" in cells or "what happens" in cells or "you see" in cells or "what crashed" in cells:
            column = None
        elif column is not None and not set(cells[0]) <= {"-"}:
            found += re.findall(r"`([^`]+)`", cells[column])
    return [message for message in found if not message.startswith(_FROM_ELSEWHERE) and message != "/is-leader"]


def test_each_line_has_one_section_and_each_section_is_a_line() -> None:
    assert sorted(SECTIONS) == sorted(line.value for line in HealthLine)


def test_each_line_is_printed_by_some_part_of_the_sidecar() -> None:
    """So the page tells of no line that is never printed."""
    code = "\n".join(path.read_text(encoding="utf-8") for path in SIDECAR.rglob("*.py") if path != DECLARED)
    assert [line.name for line in HealthLine if f"HealthLine.{line.name}" not in code] == []


def test_health_names_no_line_by_a_text() -> None:
    """`Check` takes a HealthLine; a text would be a line that the enumeration does not know."""
    checks = [
        node for node in ast.walk(ast.parse((SIDECAR / "http" / "health.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Check"
    ]  # fmt: skip
    assert len(checks) >= 7
    assert [ast.unparse(check) for check in checks if isinstance(check.args[0], ast.Constant)] == []


def test_each_line_that_the_page_shows_as_printed_exists() -> None:
    shown = set(re.findall(r"^\[[+-]\](.+?) (?:ok|failed)", PAGE, re.MULTILINE)) | set(re.findall(r"`\[-\]([a-z -]+) failed", PAGE))
    assert shown
    assert shown - {line.value for line in HealthLine} - {"name"} == set()


def test_messages_are_found() -> None:
    assert len(_messages()) > 40


@pytest.mark.parametrize("message", _messages())
def test_each_message_that_the_page_quotes_is_one_of_the_codes(message: str) -> None:
    assert unknown_parts(message) == []
