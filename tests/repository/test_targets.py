"""The make targets share the tests out: nothing is run by none of them, and what is kept for the long run has a share in the short one."""

import os
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGETS = ("check", "test", "e2e", "test-long")
Tests = frozenset[str]
pytestmark = pytest.mark.xdist_group("targets")  # pytest collects all tests twice for them: once


def commands(target: str) -> list[list[str]]:
    """How the target calls pytest."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    printed = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", target], cwd=ROOT, env=inherited, capture_output=True, text=True, check=True
    )
    return [shlex.split(line.partition(" -m pytest ")[2]) for line in printed.stdout.splitlines() if " -m pytest " in line]


def collected(*arguments: str) -> Tests:
    """The tests that pytest selects by these arguments, by their names."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *arguments, "tests"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return frozenset(line for line in done.stdout.splitlines() if "::" in line)


def selected_by(arguments: list[str], everything: Tests, long: Tests) -> Tests:
    """The tests that a target's call selects: by folders, by folders left out, and by pytest's marker."""
    marked = arguments[arguments.index("-m") + 1] if "-m" in arguments else ""
    tests = {"": everything, "long": long, "not long": everything - long}[marked]
    folders = tuple(f"{argument}/" for argument in arguments if argument.partition("/")[0] == "tests")
    left_out = tuple(f"{argument.partition('=')[2]}/" for argument in arguments if argument.startswith("--ignore="))
    found = frozenset(name for name in tests if name.startswith(folders) and not name.startswith(left_out))
    assert found, f"pytest {shlex.join(arguments)} selects nothing"
    return found


@cache
def selected() -> dict[str, list[str]]:
    """By target, and all that there are under ""."""
    everything, long = collected(), collected("-m", "long")
    by_target = {target: [name for call in commands(target) for name in selected_by(call, everything, long)] for target in TARGETS}
    return {"": list(everything), **by_target}


def test_every_test_is_run_by_one_target() -> None:
    """By `make test`, `make test-long` or `make e2e`, and by none of them twice; CI calls all three."""
    shared_out = [name for target in TARGETS if target != "check" for name in selected()[target]]
    assert sorted(shared_out) == sorted(selected()[""])
    assert len(set(shared_out)) == len(shared_out)
    assert [f"make {target}" for target in ("test", "e2e", "test-long")] == (ROOT / ".ci" / "run").read_text().splitlines()[-3:]


def test_what_is_checked_at_once_is_checked_by_make_test_too() -> None:
    """A green `make test` is a green `make check`."""
    assert selected()["check"]
    assert set(selected()["check"]) <= set(selected()["test"])


def test_what_is_kept_for_the_long_run_has_a_share_in_the_short_one() -> None:
    """In the same file: ten minutes look at everything, if not for as long."""
    long, short = ({name.partition("::")[0] for name in selected()[target]} for target in ("test-long", "test"))
    assert long <= short


GROUPED = """
import os
import pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_it(number: int, worker_id: str) -> None:
    with open(os.environ["SEEN"], "a") as seen:
        print(worker_id, file=seen)
"""


def test_the_tests_of_a_group_run_on_one_worker(tmp_path: Path) -> None:
    """What starts an API server, a browser or takes the usual ports once a worker is in a group; pytest 9.2 made xdist 3.8 lose them."""
    (tmp_path / "test_grouped.py").write_text(GROUPED, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-n", "3", "--dist", "loadgroup", "-p", "no:cacheprovider", str(tmp_path)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {"SEEN": str(tmp_path / "seen")}
    subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=True, timeout=120)
    workers = (tmp_path / "seen").read_text(encoding="utf-8").split()
    assert len(workers) == 8
    assert len(set(workers)) == 1
