"""S3's bound: a webhook that shortens durations breaks nothing where answers arrive; beside a lost answer the simulator must find it."""

from dataclasses import replace

import pytest

from tests.simulation.admission import KINDS
from tests.simulation.network import Weather
from tests.simulation.pod import Plan
from tests.simulation.simulation import Simulation
from tests.simulation.steps import schedule
from tests.simulation.test_directed import Directed, befall, cut
from tests.support.share import first

LEASE_SECONDS = 15


def begins(run: Directed, kind: str, at_seconds: float) -> None:
    """Each write from that second on."""

    def begin() -> None:
        run.server.admit = KINDS[kind](LEASE_SECONDS)

    run.then(at_seconds, begin)


@pytest.mark.parametrize("phases", first([5, 20]))
@pytest.mark.parametrize("kind", KINDS)
def test_one_that_begins_while_answers_arrive_is_no_overlap(kind: str, phases: int) -> None:
    """The leader hears of it and is then cut off; its application has read no deadline before."""
    for phase in range(phases):
        run = Directed(Plan("A", app="none"), Plan("B", app="none"), seconds=60, seed=phase)
        begins(run, kind, 10 + 2 * phase / phases)
        run.then(13, lambda run=run: cut(run.leader))  # type: ignore[misc]  # its own run
        run.sound()


def test_one_that_begins_beside_a_lost_answer_is_seen() -> None:
    """As beyond the bound of the clocks' rates: what no rule can keep, the simulator finds, or it would be blind."""
    found = set()
    for phase in range(40):
        run = Directed(Plan("A", app="none"), Plan("B", app="none"), seconds=40, seed=phase, calm=False)
        begins(run, "shorter", 10 + phase / 20)
        run.then(10 + phase / 20, lambda run=run: befall(run.leader, Weather(lose_reply=1, watch=1, no_watch=True)))  # type: ignore[misc]
        run.then(10 + phase / 20 + 2, lambda run=run: cut(run.leader))  # type: ignore[misc]
        outcome = run.run()
        if outcome.violation is not None:
            found.add(outcome.violation.rule)
    assert "S1" in found


def test_while_one_is_in_force_that_spoils_each_write_nobody_leads() -> None:
    """And somebody does when it has gone: each kind has its runs."""
    for kind in KINDS:
        one = next(found for seed in range(400) if (found := schedule(seed, leases=20, often=("admission", "short"))).admission == kind)
        outcome = Simulation(replace(one, admission_begins=False)).run()
        assert outcome.violation is None, f"{kind}: {outcome.violation}"
        assert outcome.counts["writes changed by the API server"] or kind == "a field added"
