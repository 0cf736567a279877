"""The bound of S1: clock rates that differ by less than lease duration / renew deadline are safe; beyond, the simulator must find it."""

import pytest

from tests.simulation.replay import shrunk, timeline
from tests.simulation.schedule import Schedule
from tests.simulation.simulation import Simulation
from tests.simulation.steps import schedule
from tests.support.share import first

BEYOND = (680, 1320)
"""Thousandths: the fastest clock by the slowest is 1.94; every group's lease duration by its renew deadline is 1.67 at most."""
INSIDE_SEEDS = first([10, 40])


def first_beyond() -> Schedule:
    """The first seed whose clocks are too far apart to be safe, and that shows it."""
    for seed in range(400):
        beyond = schedule(seed, leases=40, rates=BEYOND)
        outcome = Simulation(beyond).run()
        if outcome.violation is not None and outcome.violation.rule == "S1":
            return beyond
    pytest.fail("clocks beyond the bound of S1, and nobody led beside another: the simulator is blind")


@pytest.mark.timeout(600)
def test_beyond_the_bound_two_lead_and_the_timeline_shows_it() -> None:
    """Also a test of the shrinking: what is left still breaks S1, with fewer steps."""
    found = first_beyond()
    smallest = shrunk(found)
    outcome = Simulation(smallest, tell=True).run()
    text = timeline(outcome)
    print(text)
    assert outcome.violation is not None
    assert outcome.violation.rule == "S1"
    assert len(smallest.steps) < len(found.steps)
    assert "true, token" in text
    assert text.splitlines()[-1].startswith("S1: ")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seeds", INSIDE_SEEDS)
def test_just_inside_the_bound_nothing_is_violated(seeds: int) -> None:
    """Every group has its slowest and its fastest clock at the edge: two thousandths inside."""
    for seed in range(seeds):
        ratio = min(1.5, schedule(seed).plans[0].lease_duration_seconds / schedule(seed).plans[0].renew_deadline_seconds)
        edge = int(1000 * (ratio - 1) / (ratio + 1)) - 2
        outcome = Simulation(schedule(seed, leases=30, rates=(1000 - edge, 1000 + edge))).run()
        assert outcome.violation is None, f"seed {seed}: {outcome.violation}"
