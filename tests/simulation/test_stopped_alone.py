"""A kubelet stops the native sidecar alone, while its application acts (S11)."""

from collections import Counter
from dataclasses import replace
from functools import partial

import pytest

from sidecar.clock import ns
from tests.simulation.pod import Plan, Pod
from tests.simulation.simulation import Simulation
from tests.simulation.steps import ALONE, schedule
from tests.simulation.test_directed import Directed, of_leader
from tests.support.share import first


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seeds", first([6, 19]))
def test_no_schedule_in_which_sidecars_are_stopped_alone_breaks_a_rule(seeds: int) -> None:
    """In a part of all schedules; here is nothing else, with short times."""
    counts: Counter[str] = Counter()
    for seed in range(1, 1 + seeds):
        outcome = Simulation(schedule(seed, leases=60, often=(ALONE[0], "short"))).run()
        assert outcome.violation is None, f"seed {seed}: {outcome.violation}"
        counts += outcome.counts
    assert all(counts[f"step: {name}"] > 10 for name in ALONE), counts


def test_a_deadline_that_was_given_before_it_was_stopped_alone_is_kept() -> None:
    """It says false at once; the Lease is released when the deadline is behind, and another leads then."""
    run = Directed(replace(Plan("A"), native_sidecar=True), replace(Plan("B"), native_sidecar=True))
    given_ns: list[int] = []

    def stop() -> None:
        given_ns.append(run.leader.acts_until_ns)
        run.leader.terminate(alone=True)

    run.then(5, stop)
    run.expect(5.2, lambda: None)
    run.expect(12, lambda: None)
    run.expect(16, lambda: run.other)
    run.sound()
    assert given_ns[0] >= run.start_ns + ns(12)


def test_when_the_application_has_ended_the_lease_is_released_soon() -> None:
    """Half a second after its connection has closed."""
    run = Directed(replace(Plan("A"), native_sidecar=True), replace(Plan("B"), native_sidecar=True))
    run.then(5, lambda: run.leader.terminate(alone=True))
    run.then(6, partial(of_leader, run, Pod.app_ends))
    run.expect(6.4, lambda: None)
    run.expect(7, lambda: run.other)
    run.sound()
