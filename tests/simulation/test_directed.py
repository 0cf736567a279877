"""Schedules written by hand, on the simulator: holes of client-go and of other sidecars, and failures of the platform, by their names.

Every rule is looked at in each, as in the random ones; what a test says beyond that it looks at itself.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import cycle

import pytest

from sidecar.clock import ns
from sidecar.election.record import PLACEHOLDER
from sidecar.election.view import State
from tests.simulation.network import Weather
from tests.simulation.pod import Plan, Pod
from tests.simulation.schedule import Schedule
from tests.simulation.simulation import Simulation
from tests.support.share import first

PHASES = 2_000


class Directed(Simulation):
    """Two candidates or more, and what happens at which second."""

    def __init__(self, *plans: Plan, seconds: float = 60, seed: int = 0, calm: bool = True) -> None:
        super().__init__(Schedule(seed, plans or (Plan("A"), Plan("B")), (), seconds), tell=True)
        self._calmed = calm
        self.then(4, self._look)
        self.leader = self.other = self.pods[0]
        """Who leads from the start, and another."""

    def _calm(self) -> None:
        if self._calmed:
            super()._calm()

    def _crash(self) -> None:
        """Nothing befalls them that is not written down."""

    def _look(self) -> None:
        leaders = [pod for pod in self.pods if pod.leads()]
        if leaders:
            self.leader = leaders[0]
            self.other = next(pod for pod in self.pods if pod is not self.leader)

    def then(self, seconds: float, act: Callable[[], object]) -> None:
        """At that second of the run."""
        self.agenda.at(self.start_ns + ns(seconds), None, act)

    def expect(self, seconds: float, leads: Callable[[], Pod | None]) -> None:
        """At that second that one leads, and nobody else."""

        def look() -> None:
            assert [pod.name for pod in self.pods if pod.leads()] == [pod.name for pod in [leads()] if pod is not None], self.timeline[-20:]

        self.then(seconds, look)

    def sound(self) -> None:
        """Run it: no rule is broken."""
        outcome = self.run()
        assert outcome.violation is None, "\n".join([*outcome.timeline[-60:], str(outcome.violation)])


def befall(pod: Pod, weather: Weather) -> None:
    """From now on."""
    pod.link.weather = weather


def cut(pod: Pod) -> None:
    """Nothing comes or goes."""
    befall(pod, Weather(cut=True))


def of_leader(run: Directed, act: Callable[[Pod], None]) -> None:
    """Something happens to whoever led from the start."""
    act(run.leader)


def freeze(run: Directed, until_seconds: float, *, suspended: bool = False) -> None:
    """The leader's sidecar does nothing before that second."""
    assert run.leader.life is not None
    run.leader.life.freeze(run.start_ns + ns(until_seconds), suspended=suspended)


# ---- client-go -----------------------------------------------------------------------------------------------------------------------


def slow_and_then_nothing(phase: int) -> Directed:
    """The leader's replies come late from second 5 on, and at some second after 9 nothing comes or goes."""
    run = Directed(seconds=34, seed=phase, calm=False)
    there_and_back_ns = cycle((1_000_000, ns(3.99 * (phase % 50) / 50)))

    def slow() -> None:
        run.leader.link.way_ns = lambda: next(there_and_back_ns)  # type: ignore[method-assign]

    run.then(5, slow)
    run.then(9 + 2 * (phase // 50) / 40, lambda: cut(run.leader))
    return run


@pytest.mark.parametrize("every", first([7, 1]))
def test_a_slow_reply_and_then_a_black_hole_in_2000_phases(every: int) -> None:
    """Its deadline counts from the response: in a model of it two acted at once in 658 of 2,000 such runs."""
    for phase in range(0, PHASES, every):
        run = slow_and_then_nothing(phase)
        run.sound()
        assert run.judge.counts["takeovers"] == 1


def test_a_certain_loss_is_a_loss_at_once() -> None:
    """It polls on until its renew deadline, beside the next leader."""
    run = Directed()
    run.then(5, lambda: run.server.edit(holderIdentity="somebody", leaseDurationSeconds=15))
    run.expect(5.1, lambda: None)
    run.sound()


def test_a_late_release_takes_nothing_from_the_next_leader() -> None:
    """Its release looks at the record that it knew, and writes over whoever has taken the Lease since."""
    run = Directed()
    run.then(5.5, lambda: freeze(run, 30))
    run.then(6, partial(of_leader, run, Pod.terminate))
    run.expect(25, lambda: run.other)
    run.expect(31, lambda: run.other)
    run.sound()
    assert run.judge.counts["releases"] == 0


def test_after_a_crash_another_leads_within_the_lease_duration_and_a_poll() -> None:
    """It takes up to 4.4 s more at its defaults."""
    run = Directed()
    run.then(6.9, partial(of_leader, run, Pod.kill))
    run.expect(19, lambda: None)
    run.expect(6.9 + 15 + 0.5, lambda: run.other)
    run.sound()


# ---- the family of the contrib leader-elector ---------------------------------------------------------------------------------------


def test_a_leader_that_is_cut_off_does_not_go_on_saying_so() -> None:
    """contrib, instana, vapor-ware, krmcbride and prometheus-elector answer from a name that nobody resets."""
    run = Directed()
    run.then(5, lambda: cut(run.leader))
    run.expect(13.9, lambda: run.leader)  # its last renewal was sent at 4, or a little before
    run.expect(15, lambda: None)
    run.expect(21, lambda: run.other)
    run.sound()


def test_five_that_start_at_once_on_a_missing_lease_make_one_and_agree() -> None:
    """contrib: of two that create the lock at once, one dies."""
    run = Directed(*(Plan(name) for name in "ABCDE"))
    run.server.delete()
    run.then(20, lambda: None)
    run.expect(20, lambda: run.pods[[pod.leads() for pod in run.pods].index(True)])
    run.sound()
    assert run.judge.counts["placeholders"] == 1
    assert run.server.record is not None
    assert run.server.record.holder not in ("", PLACEHOLDER)


def test_three_replicas_with_one_literal_identity_are_never_two_leaders() -> None:
    """openshift: the image's `--id=$(hostname)` is never expanded, so every replica has it and all lead."""
    run = Directed(*(Plan(name, identity="$(hostname)") for name in "ABC"), calm=False)
    run.sound()
    assert run.judge.counts["duplicates met"] > 0 or run.judge.counts["terms"] == 1


def test_a_node_that_dies_holds_nobody_up() -> None:
    """nais: leader for life, until somebody deletes its Pod."""
    run = Directed()
    run.then(5, partial(of_leader, run, Pod.kill))
    run.then(5, lambda: cut(run.leader))
    run.expect(22, lambda: run.other)
    run.sound()


# ---- clocks --------------------------------------------------------------------------------------------------------------------------


def test_a_wall_clock_that_steps_moves_nothing() -> None:
    """kubernetes_asyncio's election, Patroni and others go by the wall clock: here an hour back and forth, on each side."""
    run = Directed()
    for second, step_seconds in ((5, -3_600), (11, 3_600), (17, 0)):
        run.then(second, partial(setattr, run.pods[0], "wall_step_us", step_seconds * 1_000_000))
        run.then(second + 3, partial(setattr, run.pods[1], "wall_step_us", step_seconds * 1_000_000))
    run.sound()
    assert run.judge.counts["terms"] == 1


def test_a_renew_time_is_compared_with_no_clock() -> None:
    """fabric8: a follower whose clock is an hour ahead takes the Lease from a leader that renews."""
    run = Directed()
    for index, pod in enumerate(run.pods):
        pod.wall_step_us = index * 3_600_000_000
    run.sound()
    assert run.judge.counts["terms"] == 1


def test_a_leader_that_was_suspended_says_false_when_it_wakes() -> None:
    """CLOCK_MONOTONIC has stood still: by that clock its deadline lies ahead."""
    run = Directed()
    run.then(5.5, lambda: freeze(run, 40, suspended=True))
    for tenth in range(1, 60):
        run.then(40 + tenth / 1000, partial(of_leader, run, Pod.ask))
    run.expect(39, lambda: run.other)
    run.expect(40.5, lambda: run.other)
    run.sound()


# ---- the platform --------------------------------------------------------------------------------------------------------------------


def test_a_pod_that_is_back_under_its_name_is_somebody_else() -> None:
    """A StatefulSet's Pod, deleted by force: the old one's containers may run on, so its promise is waited out."""
    run = Directed()

    def back() -> None:
        run.leader.kill()
        run.leader.replace()
        run.leader.start()

    run.then(5, back)
    run.expect(18, lambda: None)
    run.sound()
    assert run.judge.counts["terms resumed by a new process"] == 0


def test_three_times_five_seconds_of_refusals_move_nothing() -> None:
    """An API server that is restarted: every request is refused, one way or another, and the outcome of some is unknown."""
    run = Directed()
    for second in (6, 16, 26):
        for pod in run.pods:
            run.then(second, partial(befall, pod, Weather(refuse=1)))
            run.then(second + 5, partial(befall, pod, Weather()))
    run.expect(50, lambda: run.leader)
    run.sound()
    assert run.judge.counts["terms"] == 1


def test_watches_that_are_refused_for_a_minute_move_nothing() -> None:
    """The one that is open ends, falls silent or is torn; each that follows is answered 403, 410 or 429, or ends at once."""
    run = Directed(seconds=90)
    for pod in run.pods:
        run.then(5, partial(befall, pod, Weather(no_watch=True, watch=1)))
    run.sound()
    assert run.judge.counts["terms"] == 1
    assert run.judge.counts["watches refused or closed at once"] > 3


def test_who_stepped_down_for_good_is_followed_at_once_by_another() -> None:
    """No handover waits for a Lease to run out, where its holder could say goodbye."""
    run = Directed(replace(Plan("A"), native_sidecar=True), replace(Plan("B"), native_sidecar=True))
    run.then(5, partial(of_leader, run, Pod.terminate))
    run.expect(5.2, lambda: run.other)
    run.sound()
    assert run.other.elector is not None
    assert run.other.elector._election.state is not State.RESIGNED
