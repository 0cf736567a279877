"""The shape of the code: modules small enough to read at once, packages that say their purpose, and names held as text that exist."""

import re
from pathlib import Path

import pytest

from sidecar.preload import _AHEAD

ROOT = Path(__file__).resolve().parents[2]
SIDECAR = ROOT / "sidecar"
FILES = sorted(SIDECAR.rglob("*.py"))
MAX_LINES = 300


def test_no_module_is_longer_than_300_lines() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert len(lengths) > 80
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_each_package_says_what_it_is_for() -> None:
    packages = [path for path in FILES if path.name == "__init__.py"]
    assert len(packages) > 8
    assert [str(path.relative_to(ROOT)) for path in packages if not re.match(r'""".{20,}\.', path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("name", [name for name in _AHEAD if name.startswith("sidecar.")])
def test_what_is_loaded_ahead_is_there(name: str) -> None:
    """A name held as text follows a moved module."""
    path = ROOT / name.replace(".", "/")
    assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
