"""Every weaker algorithm is caught: by the simulator within its share of CI's time, or else by the exhaustive search."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.hunt import Catch
from tests.simulation.variants import VARIANTS, Variant

ROOT = Path(__file__).parents[2]
CPU_SECONDS = 60
"""For each; most are caught within one."""


def caught(variant: Variant) -> Catch:
    """What caught it, in a process of its own: the variant is made while its module is imported."""
    hunt = [sys.executable, "-m", "tests.simulation.hunt", variant.name, "--cpu-seconds", str(CPU_SECONDS)]
    done = subprocess.run(hunt, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Catch(**json.loads(done.stdout))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_weaker_rule_is_caught(variant: Variant) -> None:
    """One that survives fails the build."""
    catch = caught(variant)
    print(f"{variant.name} ({variant.weakens}): {catch.what}, seed {catch.seed}, after {catch.candidate_hours:.1f} candidate-hours")
    assert catch.rule, f"survived {catch.candidate_hours:.0f} candidate-hours and the search: {variant.name}"


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_the_line_that_a_variant_changes_is_there_once(variant: Variant) -> None:
    """Told at once, where a change of the code has left a variant behind."""
    assert (ROOT / "sidecar" / f"{variant.module.replace('.', '/')}.py").read_text(encoding="utf-8").count(variant.old) == 1


def test_there_are_at_least_25_and_each_has_a_name_of_its_own() -> None:
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS) >= 25


def test_the_table_in_the_docs_lists_every_variant() -> None:
    """`python -m tests.simulation.table` writes it anew."""
    text = (ROOT / "docs" / "simulation.md").read_text()
    assert not [variant.name for variant in VARIANTS if f"| {variant.name} |" not in text]
