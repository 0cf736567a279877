"""L2: a group of a thousand makes a handful of writes at a release and at an expiry; a group of three waits for nobody."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sidecar.clock import ns
from tests.simulation.network import Weather
from tests.simulation.pod import Plan, Pod
from tests.simulation.schedule import Schedule
from tests.simulation.simulation import Simulation

MOST_WRITES = 20
SETTLED_SECONDS = 15.0
"""When the group has been there for a while: two stand by."""
LOOK_SECONDS = 5.0
"""Writes are counted for so long: the next stand-by has come by then, and the new leader has renewed twice."""
RENEWALS = 3


class Group(Simulation):
    """So many candidates in one election; news of the Lease takes up to `news_seconds` each way."""

    def __init__(self, count: int, news_seconds: float) -> None:
        plans = tuple(Plan(f"P{number}", native_sidecar=True, app="none", standby=True) for number in range(count))
        super().__init__(Schedule(0, plans, (), 1e9), tell=True)
        for pod in self.pods:
            pod.link.weather = Weather(slow_ns=ns(news_seconds))
            self.agenda.at(self.start_ns + ns(pod.random.random()), None, self.faults.start, pod)

    def go(self, seconds: float) -> None:
        """So much time passes."""
        self._until(self.agenda.now_ns + ns(seconds))

    @property
    def leader(self) -> Pod:
        """Who leads."""
        (found,) = [pod for pod in self.pods if pod.leads()]
        return found

    @property
    def standbys(self) -> list[Pod]:
        """Who stands by, first to last."""
        assert self.server.record is not None
        return [next(pod for pod in self.pods if pod.identity == name) for name in self.server.record.standbys]

    def until_taken(self, former: Pod, within_seconds: float) -> float:
        """Seconds until another has taken the Lease; it takes no longer."""
        began_ns = self.agenda.now_ns
        while self.server.record is None or self.server.record.holder in ("", former.identity):
            self.go(0.001)
            assert self.agenda.now_ns - began_ns < ns(within_seconds), self.timeline[-20:]
        return (self.agenda.now_ns - began_ns) / 1e9

    def writes(self) -> int:
        """So far, those that met a conflict included."""
        return self.judge.counts["writes"]


@contextmanager
def group(count: int, news_seconds: float) -> Iterator[Group]:
    """It has been there for a while."""
    logging.disable(logging.CRITICAL)
    found = Group(count, news_seconds)
    try:
        found.go(SETTLED_SECONDS)
        yield found
    finally:
        for pod in found.pods:
            pod.kill()
        logging.disable(logging.NOTSET)


def writes_after_death(it: Group, leader: Pod, within_seconds: float, *others: Pod) -> int:
    """These die at once, and another takes the Lease, 10 s and so many later at most; the renewals do not count."""
    for pod in (leader, *others):
        pod.kill()
    it.go(10)
    before = it.writes()
    took = 10 + it.until_taken(leader, within_seconds)
    it.go(LOOK_SECONDS)
    print(f"expiry: {it.writes() - before} writes in {LOOK_SECONDS:g} s, taken after {took:.2f} s")
    return it.writes() - before - RENEWALS


def test_a_thousand_make_a_handful_of_writes_at_a_release_and_at_an_expiry() -> None:
    """Though the news of a write takes up to 0.3 s to reach each of them."""
    with group(1000, 0.3) as it:
        for _ in range(2):
            before, leader = it.writes(), it.leader
            leader.terminate()
            took = it.until_taken(leader, 2)
            it.go(LOOK_SECONDS)
            print(f"release: {it.writes() - before} writes in {LOOK_SECONDS:g} s, taken after {took * 1000:.0f} ms")
            assert it.writes() - before - RENEWALS <= MOST_WRITES
        assert writes_after_death(it, it.leader, 7) <= MOST_WRITES


@pytest.mark.long
def test_a_thousand_whose_stand_bys_have_died_with_the_leader_make_no_herd_either() -> None:
    """And somebody leads within the lease duration and a second (L1)."""
    with group(1000, 0.05) as it:
        leader, standbys = it.leader, it.standbys
        assert len(standbys) == 2
        assert writes_after_death(it, leader, 6, *standbys) <= MOST_WRITES
        assert it.leader not in standbys


def test_a_group_of_three_waits_for_nobody() -> None:
    """Release, its news, write: what the messages take, a dozen times in a row."""
    with group(3, 0) as it:
        for _ in range(12):
            leader = it.leader
            leader.terminate()
            assert it.until_taken(leader, 2) < 0.012, "four ways of up to 2 ms each"
            leader.start()
            it.go(LOOK_SECONDS)
            assert len(it.standbys) == 2


@pytest.mark.parametrize("dead", [1, 2])
def test_stand_bys_that_are_gone_cost_a_fraction_of_a_second_once(dead: int) -> None:
    """Whoever takes the Lease strikes off those before it; others stand by soon."""
    with group(5, 0) as it:
        gone = it.standbys[:dead]
        for pod in gone:
            pod.kill()
        leader = it.leader
        leader.terminate()
        assert it.until_taken(leader, 1) < (0.1 if dead == 1 else 1.0)
        it.go(LOOK_SECONDS)
        assert not set(gone) & set(it.standbys)
        leader = it.leader
        leader.terminate()
        assert it.until_taken(leader, 1) < 0.012


def test_who_is_told_to_stop_strikes_itself_off() -> None:
    """All of a rolling update: the new ones stand by, and nobody waits for the old ones."""
    with group(3, 0) as it:
        leader, old = it.leader, it.standbys
        for pod in old:
            pod.terminate()
        it.go(0.1)
        assert it.standbys == []
        for pod in old:
            pod.replace()
            pod.start()
        it.go(LOOK_SECONDS)
        assert len(it.standbys) == 2
        leader.terminate()
        assert it.until_taken(leader, 1) < 0.012
