"""What the documents say of the same thing agrees, and names nothing that never was."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
SPEED, _, MEMORY = (ROOT / "docs" / "internals" / "speed-and-memory.md").read_text().partition("\n## Memory\n")
MEASURED = json.loads((ROOT / "docs" / "internals" / "speed.json").read_text())


@pytest.mark.skipif(re.search(r"^## \[[0-9]", CHANGELOG, re.MULTILINE) is not None, reason="there has been a version to compare with")
@pytest.mark.parametrize(
    "words", ["### Fixed", "### Changed", "### Removed", "any more", "no longer", "used to", "in place of 5", "less than half", " now "]
)
def test_the_first_changelog_compares_with_nothing(words: str) -> None:
    """No version came before."""
    assert words not in CHANGELOG


def test_one_name_means_one_process_in_what_was_weighed() -> None:
    """A bare interpreter is what the chapter Memory weighs; what has aiohttp loaded is called so."""
    (small,) = re.findall(r"\| bare interpreter[^|]*\| ([0-9.]+) MB", MEMORY)
    (large,) = {line.split("|")[3].strip() for line in SPEED.splitlines() if line.startswith("| bare aiohttp, process")}
    assert float(small) < float(large) / 3
    assert "| bare interpreter" not in SPEED


def test_what_a_pod_pays_is_the_sum_of_its_two_processes() -> None:
    (one,) = re.findall(r"\*\*([0-9.]+) MB\*\* \| 22", MEMORY)
    (other,) = re.findall(r"\*\*([0-9.]+) MB are its own\*\*", MEMORY)
    (both,) = re.findall(r"so a Pod pays\s+([0-9.]+) MB", MEMORY)
    assert float(both) == pytest.approx(float(one) + float(other), abs=0.01)


def test_every_commit_in_a_table_is_one() -> None:
    """None of a tree that was never committed."""
    commits = re.findall(r"commit (\S+),", SPEED)
    assert len(commits) >= len(MEASURED)
    assert not [commit for commit in commits if not re.fullmatch("[0-9a-f]{7,40}", commit)]


def test_what_memory_is_flat_over_is_what_was_run() -> None:
    """Handovers and minutes, in the words and in the table."""
    (handovers,) = re.findall(r"over ([0-9]+) handovers", SPEED)
    assert int(handovers) == MEASURED["flat"]["handovers"]
    assert "stopped for ten minutes" in SPEED
    assert MEASURED["flat"]["outage_seconds"] == 600
