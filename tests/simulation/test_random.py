"""No schedule breaks a rule: a fixed set of seeds, and fresh ones that are printed; 1,000 candidate-hours, and 10,000 in the long run."""

import os
import secrets
from collections import Counter

import pytest

from tests.simulation.__main__ import Total, simulate
from tests.simulation.features import HEALTH_STEPS, SHARES
from tests.simulation.replay import shrunk, timeline
from tests.simulation.simulation import Simulation
from tests.simulation.steps import LEASES, POD_WEIGHTS, schedule
from tests.simulation.stream import FAILING
from tests.support.share import first

HOURS = float(os.environ.get("SIMULATE_HOURS", "10000"))
"""Candidate-hours of `make test-long`, shared out evenly; a night's run sets more."""
SHARE = 1000
"""Those of `make test`: half of them of the first fixed seeds, half of fresh ones."""
SHARE_LEASES = 20
"""How many lease durations each of those is long: shorter, so that there are many schedules."""
FIXED = (0, 100_000, 200_000)
"""First seeds that are the same each time."""
PARTS = len(FIXED) + 1
FIXED_HOURS = [
    (FIXED[0], SHARE / 2, SHARE_LEASES),
    *(pytest.param(first, HOURS / PARTS, LEASES, marks=pytest.mark.long) for first in FIXED),
]
FRESH_HOURS = [(SHARE / 2, SHARE_LEASES), pytest.param(HOURS / PARTS, LEASES, marks=pytest.mark.long)]

INTERESTING = (
    "takeovers",
    "releases",
    "placeholders",
    "terms claimed back from a placeholder",
    "terms resumed by a new process",
    "terms of a client-go program",
    "terms ended: its deadline passed",
    "terms ended: a loss was seen",
    "terms ended: stepping-down",
    "duplicates met",
    "conflicts",
    "409 for nothing",
    "409 for one's own success",
    "429",
    "401 or 403",
    "5xx, carried out",
    "replies lost after the commit",
    "late deliveries carried out",
    "stale reads",
    "watches ended",
    "watches fallen silent",
    "watches torn",
    "watches refused or closed at once",
    "watch events out of order",
    "reads alone fail",
    "writes alone fail",
    "losses seen",
    "losses told with a smaller version",
    "answers read",
    "answers waited for",
    *(f"schedules: {name}" for name in SHARES),
    *(f"watches that fail: {kind}" for kind in FAILING),
    *(
        f"step: {name}"
        for name in ("suspend", "stop", "delete", "wipe", "empty", "restore", "write back", "roll", "retime", "kill", "clog", "spell")
    ),
)
"""What a simulator that is not asleep meets."""


def run(first_seed: int, hours: float, leases: int) -> Counter[str]:
    """Seed after seed until so many candidate-hours are done; a violation is shown as the smallest schedule that has it."""
    total, seed = Total(), first_seed
    while total.candidate_hours < hours:
        total.add(simulate(range(seed, seed + 1), leases))
        if total.violations:
            pytest.fail(f"--seed {seed} --leases {leases}\n{timeline(Simulation(shrunk(schedule(seed, leases=leases)), tell=True).run())}")
        seed += 1
    print(f"seeds {first_seed} to {seed - 1}: {total.candidate_hours:.0f} candidate-hours, {total.counts['terms']} terms, no violation")
    return total.counts


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("first_seed", "hours", "leases"), FIXED_HOURS)
def test_no_schedule_of_these_seeds_breaks_a_rule(first_seed: int, hours: float, leases: int) -> None:
    """S1 to S11 in every step, L1 to L3 at the end; and what is meant to happen to the candidates does happen."""
    counts = run(first_seed, hours, leases)
    quiet = [what for what in INTERESTING if not counts[what]]
    assert not quiet, f"a quiet simulator proves nothing: {quiet} never came up"


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("hours", "leases"), FRESH_HOURS)
def test_no_fresh_schedule_breaks_a_rule(hours: float, leases: int) -> None:
    """Another set of seeds each time, printed."""
    fresh = secrets.randbelow(1_000_000_000) * 1000
    print(f"fresh seeds from {fresh} on")
    run(fresh, hours, leases)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seeds", first([8, 29]))
def test_no_schedule_that_shows_pods_breaks_a_rule(seeds: int) -> None:
    """Early takeover: these come up in three schedules of ten only, so here is nothing else, with short times."""
    counts: Counter[str] = Counter()
    for seed in range(1, 1 + seeds):
        outcome = Simulation(schedule(seed, leases=60, often=("early", "short"))).run()
        assert outcome.violation is None, f"seed {seed}: {outcome.violation}"
        counts += outcome.counts
    quiet = [what for what in ("early takeovers", "Pods read", *(f"step: {name}" for name in POD_WEIGHTS)) if not counts[what]]
    assert not quiet, f"a quiet simulator proves nothing: {quiet} never came up"


MET = {
    "groups": ["sights of another group's Lease"],
    "health": [
        "terms begun with an application that is not healthy",
        "terms led with an application that is not healthy",
        *(f"step: {name}" for name in set(HEALTH_STEPS)),
    ],
    "held": ["releases that may be held"],
    "placeless": ["step: kill"],
    "opaque": ["losses told with a smaller version"],
    "eager": ["conflicts"],
    "instant": ["requests carried out at once"],
    "waits": ["answers waited for"],
}
"""What a schedule meets that has one of these."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seeds", first([4, 10]))
@pytest.mark.parametrize("name", SHARES)
def test_no_schedule_that_has_one_of_the_rarer_things_breaks_a_rule(name: str, seeds: int) -> None:
    """They come up in a part of the schedules only, so here is one after the other, with short times."""
    counts: Counter[str] = Counter()
    for seed in range(101, 101 + seeds):
        outcome = Simulation(schedule(seed, leases=60, often=(name, "short"))).run()
        assert outcome.violation is None, f"seed {seed}: {outcome.violation}"
        counts += outcome.counts
    assert counts[f"schedules: {name}"] > seeds / 2
    quiet = [what for what in MET[name] if not counts[what]]
    assert not quiet, f"a quiet simulator proves nothing: {quiet} never came up"


def test_a_seed_replays_exactly() -> None:
    first, second = (Simulation(schedule(7, leases=20, often=("early",)), tell=True).run() for _ in range(2))
    assert first.timeline == second.timeline
    assert first.counts == second.counts
    assert len(first.timeline) > 100
