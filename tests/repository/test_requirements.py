"""What is installed is what pyproject.toml asks for, pinned and hashed."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS = PROJECT["dependency-groups"]
RUNTIME = PROJECT["project"]["dependencies"]


def locked(name: str) -> dict[str, str]:
    """The versions that a lock pins, by name."""
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    pins = (re.match(r"([\w.-]+)==([\w.!+-]+)", line) for line in lines)
    return {canonicalize_name(pin[1]): pin[2] for pin in pins if pin}


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("runtime", RUNTIME),
        ("test", [*RUNTIME, *GROUPS["test"], *GROUPS["lint"]]),
        ("fencing", GROUPS["fencing"]),
        ("go", GROUPS["go"]),
        ("build", GROUPS["build"]),
        ("lock", GROUPS["lock"]),
    ],
)
def test_a_lock_pins_each_requirement_of_pyproject_within_its_range(lock: str, wanted: list[str]) -> None:
    """Else `make lock` was forgotten."""
    pins = locked(lock)
    for requirement in map(Requirement, wanted):
        version = pins.get(canonicalize_name(requirement.name))
        assert version is not None, f"requirements/{lock}.txt lacks {requirement.name}: make lock"
        assert requirement.specifier.contains(version), f"requirements/{lock}.txt pins {requirement.name} {version}: make lock"


def test_tests_run_on_the_pins_that_users_get() -> None:
    """The runtime's pins are the same in both locks."""
    assert locked("runtime").items() <= locked("test").items()


@pytest.mark.parametrize("lock", ["runtime", "test", "fencing", "go", "build", "lock"])
def test_a_lock_has_hashes_and_no_addresses(lock: str) -> None:
    """A lock must say what is installed, not from where."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    for block in re.split(r"\n(?=[\w.-]+==)", text)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]
