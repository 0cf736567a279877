"""docs/internals/architecture.md shows the code as it is: every package and module is in it, and everything that it names exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "internals" / "architecture.md").read_text(encoding="utf-8")
SIDECAR = ROOT / "sidecar"


def test_each_package_and_each_base_module_stands_in_the_tree() -> None:
    tree = PAGE.split("```text")[1].split("```")[0]
    packages = {path.parent.name for path in SIDECAR.glob("*/__init__.py")}
    assert packages == set(re.findall(r"├─ (\w+)/", tree))
    assert {path.name for path in SIDECAR.glob("*.py")} - {"__init__.py"} == set(re.findall(r"\b\w+\.py\b", tree))


def test_each_module_of_a_package_is_told_in_its_section() -> None:
    """Those of kubernetes/ and local/ by their paths; only the commands are told by their package alone."""
    sections = dict(re.findall(r"^### ([^\n:]+)[^\n]*\n(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL))
    packages = {path.parent.name for path in SIDECAR.glob("*/__init__.py")} - {"commands"}
    told = {
        package: set(re.findall(r"\b(\w+\.py)\b", text)) for title, text in sections.items() for package in re.findall(r"(\w+)/", title)
    }
    modules = {package: {path.name for path in SIDECAR.glob(f"{package}/*.py")} - {"__init__.py"} for package in packages}
    assert {package: missing for package, names in modules.items() if (missing := names - told.get(package, set()))} == {}


def test_each_file_and_each_function_that_the_page_names_exists() -> None:
    references = re.findall(r"`((?:\w+/)+\w+\.py|process\.py|wiring\.py|watchdog\.py|child_processes\.py)(?:::([\w.]+))?`", PAGE)
    assert len(references) > 50
    to_come = {"http/members.py", "features/members.py"}
    paths = {path: SIDECAR / path for path, _ in references if path not in to_come}
    assert [path for path, file in paths.items() if not file.is_file()] == []
    missing = [
        f"{path}::{name}"
        for path, name in references
        if name and not re.search(rf"\b(?:def|class) {name.rpartition('.')[2]}\b", paths[path].read_text(encoding="utf-8"))
    ]
    assert missing == []
