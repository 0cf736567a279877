"""Every weakened algorithm is caught: by the simulator within its share of CI's time, or else by the exhaustive search."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.hunt import LEASES, Catch
from tests.simulation.simulation import Simulation
from tests.simulation.steps import schedule
from tests.simulation.variants import SEARCH, VARIANTS, Variant

ROOT = Path(__file__).parents[2]
CPU_SECONDS = 60
"""For each, from seed to seed; most are caught within one second."""
SHARE_SECONDS = 10
"""For each, from the seed that is known to catch it: one schedule, but where a change of the election has moved the seed."""


def hunted(variant: Variant, *, first_seed: int | None = None, cpu_seconds: int = CPU_SECONDS) -> Catch:
    """What caught the variant, in a process of its own: the variant is made while its module is imported."""
    first = variant.hunted_from if first_seed is None else first_seed
    hunt = [sys.executable, "-m", "tests.simulation.hunt", variant.name, f"--seed={first}", f"--cpu-seconds={cpu_seconds}"]
    done = subprocess.run(hunt, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Catch(**json.loads(done.stdout))


def judged(variant: Variant, catch: Catch) -> None:
    """A variant that survives fails the build, and so does a variant that only crashes: a crash shows nothing of the rules."""
    print(f"{variant.name} ({variant.weakens}): {catch.what}, seed {catch.seed}, after {catch.candidate_hours:.1f} candidate-hours")
    assert catch.rule, f"survived {catch.candidate_hours:.0f} candidate-hours and the search: {variant.name}"
    assert catch.rule != "S10", f"it is no algorithm, it raises: {catch.what}"
    if catch.seed != SEARCH:
        whole = Simulation(schedule(catch.seed, leases=LEASES, often=variant.often)).run()
        assert whole.violation is None, f"seed {catch.seed} breaks a rule whether or not the algorithm is weakened: {whole.violation}"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_weaker_rule_is_caught(variant: Variant) -> None:
    """At once, by the schedule that is known to; `python -m tests.simulation.table --keep-seeds` finds the seeds anew."""
    judged(variant, hunted(variant, first_seed=variant.seed, cpu_seconds=SHARE_SECONDS))


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_weaker_rule_is_found_by_whoever_does_not_know_the_seed(variant: Variant) -> None:
    """From seed to seed, and then by the search."""
    judged(variant, hunted(variant))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_the_line_that_a_variant_changes_is_there_once(variant: Variant) -> None:
    """This fails at once if a change of the code has left a variant behind."""
    assert (ROOT / "sidecar" / f"{variant.module.replace('.', '/')}.py").read_text(encoding="utf-8").count(variant.old) == 1


def test_there_are_at_least_25_and_each_has_a_name_of_its_own() -> None:
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS) >= 25


def test_the_table_in_the_docs_lists_every_variant() -> None:
    """`python -m tests.simulation.table` prints it again."""
    text = (ROOT / "docs" / "internals" / "simulation.md").read_text()
    assert not [variant.name for variant in VARIANTS if f"| {variant.name} |" not in text]
