"""L2: no Retry-After is waited out for longer than the smaller of one's own and the record's lease duration, whoever was asked to wait."""

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import replace
from itertools import pairwise

import pytest

from sidecar.election.record import HolderPod, parse
from sidecar.election.requests import Candidate
from sidecar.election.situation import Situation
from sidecar.election.store import Busy, Closed
from sidecar.features.early_takeover import EarlyTakeover
from sidecar.kubernetes.pods import PodEvent, PodOutcome, Pods
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner
from sidecar.runtime.standby import AGAIN_SECONDS
from tests.simulation.memory_store import MemoryLease, MemoryStore
from tests.simulation.runners import NoStandBy
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.support.own_pod import now_seconds, stage
from tests.unit.runtime.test_standby import SOON, group

HOUR = 3600.0


@pytest.mark.parametrize(("written", "longest"), [(None, 15), (3, 3), (15, 15), (60, 15), (0, 15), ("x", 15)])
def test_the_longest_wait_is_the_smaller_of_ones_own_and_the_records_lease_duration(written: object, longest: float) -> None:
    """A record without a duration that counts promises one's own (S6)."""
    situation = Situation(Candidate("a_u", "i", "place", 15, 10, 2, 10))
    assert situation.longest_wait_seconds() == 15
    assert replace(situation, record=parse({"spec": {"leaseDurationSeconds": written}})).longest_wait_seconds() == longest


def test_the_own_pod_is_set_right_within_a_lease_duration() -> None:
    """It was asked to come again in an hour, and nothing fails any more."""

    async def main() -> None:
        async with stage("label", "condition", busy_seconds=HOUR) as it:
            await asyncio.sleep(20)
            asked = len(it.cluster.asked)
            assert asked <= 2 * 3, "each repeats after a lease duration, and not sooner"
            it.cluster.busy_seconds = None
            await asyncio.sleep(15 + 2 * 2 + 1)
            assert (it.cluster.label, it.cluster.condition["status"]) == ("leader", "True")

    run_virtually(main())


def test_who_stands_by_tries_again_after_its_own_pause() -> None:
    async def main() -> None:
        async with group("a", "b") as (_, ones):
            ones["b"].store.refusal = Busy(HOUR)
            await asyncio.sleep(SOON)
            assert len(ones["b"].store.stood) == 1
            ones["b"].store.refusal = None
            await asyncio.sleep(2 * AGAIN_SECONDS)
            assert ones["b"].runner.situation().record is not None
            assert "b_u" in ones["b"].runner.situation().record.standbys  # type: ignore[union-attr]

    run_virtually(main())


class BusyPods(Pods):
    """Asks everyone to come again in an hour."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def read(self, name: str, limit_seconds: float) -> PodOutcome:  # noqa: ARG002 - the protocol names them
        """Turned away."""
        self.asked.append(now_seconds())
        return Busy(HOUR)

    async def watch(self, name: str) -> AsyncGenerator[PodEvent, None]:  # noqa: ARG002
        """Likewise."""
        self.asked.append(now_seconds())
        yield Closed(Busy(HOUR))


def test_a_look_at_the_holders_pod_comes_again_within_a_lease_duration() -> None:
    """One's own, which is the smaller: the holder's is an hour."""

    async def main() -> None:
        lease, clock, pods, runners = MemoryLease(), VirtualClock(), BusyPods(), list[Runner]()
        runs = []
        for name, seconds in (("a", 3600), ("b", 5)):
            me = Candidate(f"{name}_u", name, "place", seconds, 4, 1, 4, pod=HolderPod(f"web-{name}", f"uid-{name}"))
            leadership = Leadership(clock, Names(me.identity, "web", "shop", name))
            runners.append(NoStandBy(MemoryStore(lease), clock, leadership, me, random.Random(1)))
            runs.append(asyncio.create_task(runners[-1].run()))
            await asyncio.sleep(1)
        runs.append(asyncio.create_task(EarlyTakeover(runners[-1], pods, random.Random(2)).run()))
        runs[0].cancel()
        await asyncio.sleep(60)
        assert len(pods.asked) > 10
        assert max(later - earlier for earlier, later in pairwise(pods.asked)) < 5 + 1
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)

    run_virtually(main())
