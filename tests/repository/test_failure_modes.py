"""docs/internals/failure-modes.md names a test for each schedule and each failure, and each test that it names exists."""

import ast
import re
import string
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "internals" / "failure-modes.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")] for line in TEXT.splitlines() if line.startswith("| ") and "---" not in line
]


@cache
def functions(path: str) -> frozenset[str]:
    """Names of the test functions of a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_each_schedule_and_each_failure_has_its_row() -> None:
    firsts = {row[0] for row in ROWS}
    wanted = {*string.ascii_lowercase, "A", "B", "C", *map(str, range(1, 31))}
    assert not wanted - firsts


def test_each_row_names_a_test() -> None:
    bare = [row[0] for row in ROWS if row[-1] != "tests" and "::" not in row[-1]]
    assert bare == []


def test_each_test_that_is_named_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
    assert len(named) > 60
    assert not [f"{path}::{name}" for path, name in named if name not in functions(path)]
