"""docs/rules.md defines each rule that anything here names, and each function and test that it names exists."""

import ast
import re
import string
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
FAILURE_MODES = (ROOT / "docs" / "internals" / "failure-modes.md").read_text(encoding="utf-8")

SUFFIXES = frozenset({".py", ".md", ".toml", ".yaml", ".yml"})
RULE = re.compile(r"\b([SL][0-9]{1,2})\b(?: \(?([a-z])(?=[\s)]*(?:[,.:;'\"`|)]|$)))?", re.MULTILINE)
"""A rule, and the letter of its part where one stands; codes of linters have three digits."""

DEFINED = frozenset(re.findall(r"^### ([SL][0-9]+) ", PAGE, re.MULTILINE)) | frozenset(re.findall(r"\*\*([SL][0-9]+ [a-z])\*\*", PAGE))


def texts() -> list[Path]:
    """Every text in which a rule may be named."""
    named = [path for folder in ("sidecar", "tests", "docs", "k8s", "examples", "demo") for path in (ROOT / folder).rglob("*")]
    own = Path(__file__).resolve()
    return sorted(path for path in [*named, *ROOT.glob("*.md")] if path.suffix in SUFFIXES and path.resolve() != own)


def rules_in(text: str) -> set[str]:
    """The names of rules: S3, or S9 b where a part of one is named."""
    return {f"{rule} {part}" if part else rule for rule, part in RULE.findall(text)} | {
        name.upper() for name in re.findall(r"\bdef test_([sl][0-9]+)_", text)
    }


@cache
def names(path: str) -> frozenset[str]:
    """What a file defines: functions, classes, constants, and `Class.name` of each member of a class."""
    found: set[str] = set()

    def take(nodes: list[ast.stmt], prefix: str) -> None:
        for node in nodes:
            match node:
                case ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                    found.add(prefix + name)
                case ast.ClassDef(name):
                    found.add(prefix + name)
                    take(node.body, f"{prefix}{name}.")
                case ast.AnnAssign(target=ast.Name(name)):
                    found.add(prefix + name)
                case ast.Assign(targets=targets):
                    found.update(prefix + target.id for target in targets if isinstance(target, ast.Name))
                case _:
                    pass

    take(ast.parse((ROOT / path).read_text(encoding="utf-8")).body, "")
    return frozenset(found)


def test_each_rule_has_its_section() -> None:
    assert {name for name in DEFINED if " " not in name} == {*(f"S{n}" for n in range(1, 12)), "L1", "L2", "L3"}


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("(S9 d)", {"S9 d"}),
        ("S6 x: the Pod", {"S6 x"}),
        ("weakens = 'S9 b, m'", {"S9 b"}),
        ("S3: a write, S4 a loss", {"S3", "S4"}),
        ("| S9 c | S6, seed 1 |", {"S9 c", "S6"}),
        ("# noqa: S101, PLR2004", set()),
        ("def test_l2_no_herd() -> None:", {"L2"}),
    ],
)
def test_a_name_of_a_rule_is_found(text: str, rules: set[str]) -> None:
    assert rules_in(text) == rules


def test_each_rule_that_is_named_anywhere_is_defined() -> None:
    unknown = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in texts()
        for name in rules_in(path.read_text(encoding="utf-8", errors="replace")) - DEFINED
    }
    assert unknown == set()


def test_each_section_that_is_named_by_its_number_is_there() -> None:
    """§3 is the page's; others belong to an RFC."""
    named = {
        f"{path.relative_to(ROOT)}: §{number}"
        for path in texts()
        for number in re.findall(r"§([0-9]+)", path.read_text(encoding="utf-8", errors="replace"))
        if not re.search(rf"^## .*\(§{number}\)$", PAGE, re.MULTILINE)
    }
    assert named == set()


def test_each_function_and_each_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`((?:sidecar|tests)/[\w/]+\.py)(?:::([\w.]+))?`", PAGE)
    assert len(named) > 100
    assert [path for path, _ in named if not (ROOT / path).is_file()] == []
    assert [f"{path}::{name}" for path, name in named if name and name not in names(path)] == []


def test_each_section_tells_why_with_schedules_code_and_tests() -> None:
    sections = re.findall(r"^### ([SL][0-9]+) .*?\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert len(sections) == 14
    for rule, text in sections:
        told = re.findall(r"^\*\*(Why|Schedules|Code|Tests)\.\*\*", text, re.MULTILINE)
        assert told == ["Why", "Schedules", "Code", "Tests"], rule
        assert re.search(r"`sidecar/.*\*\*Tests\.\*\*.*`tests/\S+::", text, re.DOTALL), rule


def test_each_schedule_belongs_to_a_rule_and_has_its_row() -> None:
    rows = set(re.findall(r"^\| ([a-zA-Z]) \|", FAILURE_MODES, re.MULTILINE))
    told = " ".join(re.findall(r"^\*\*Schedules\.\*\* (.*?)\.$", PAGE, re.MULTILINE))
    assert rows == {*string.ascii_lowercase, "A", "B", "C"}
    assert set(re.findall(r"\b[a-zA-Z]\b", told)) == rows
