"""L2: no wait and no edit of the Lease makes a storm, and none lasts longer than it must."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator

import pytest

from sidecar.election.record import JSON, TERM_ANNOTATION
from sidecar.election.requests import Candidate, Kind
from sidecar.election.store import Busy, Closed, WatchEvent
from sidecar.runtime.leadership import Leadership, Names
from tests.simulation.memory_store import MemoryLease, MemoryStore
from tests.simulation.runners import NoStandBy
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.support.admission import removes_annotations, sets
from tests.support.situations import due, leading
from tests.support.world import World


def test_l2_a_retry_after_from_before_the_term_delays_no_renewal() -> None:
    """S3, L2: the answer of the acquisition is lost, the next read is turned away for 15 s, and then the watch proves the acquisition."""
    world = World("AB")
    a = world["A"]
    a.go(Kind.READ)
    world.pass_(0.1)
    flight = a.tick().send(Kind.ACQUIRE).commit()
    world.pass_(0.1)
    flight.lose()
    world.pass_(2)
    a.doubt().send(Kind.READ).refuse(Busy(60))
    world.pass_(0.1)
    a.watch()
    assert a.leads
    kind, wait = due(a) or (None, 99)
    assert kind is Kind.RENEW
    assert wait <= 2
    moves = len(a.moves)
    world.run(60)
    assert a.moves[moves:] == []  # L3


def test_l2_the_records_duration_bounds_the_wait_also_where_the_record_is_newer_than_the_refusal() -> None:
    """A 429 while a record of 15 s stands; then a holder of 3 s, which dies: the smaller of both bounds the wait."""
    world = World("A", lease={"spec": {"holderIdentity": "x", "leaseDurationSeconds": 15, "renewTime": "2026-11-23T08:00:00.000000Z"}})
    a = world["A"].watch()
    a.doubt().send(Kind.READ).refuse(Busy(3600))
    world.pass_(0.1)
    world.api.edit(holderIdentity="y", leaseDurationSeconds=3, renewTime="2026-11-23T08:00:20.000000Z")
    a.watch()
    world.run(7)
    assert a.leads


def test_l2_an_acquisition_that_is_wiped_makes_no_storm() -> None:
    """No holder and no annotation stands: nobody leads, and it is tried once a lease duration."""
    world = World("AB")

    def admit(lease: JSON) -> JSON:
        return removes_annotations(sets(holderIdentity="")(lease))

    world.api.admit = admit
    world.run(60)
    assert max(len(actor.sent) for actor in world.actors) <= 12, [len(actor.sent) for actor in world.actors]


def test_l2_a_watch_that_is_turned_away_keeps_nobody_from_a_free_lease_for_longer_than_its_own_duration() -> None:
    """A 429 to the watch asks for an hour; x, which promises 60 s, releases after a second."""
    seen: list[float] = []

    class TurnedAway(MemoryStore):
        async def watch(self) -> AsyncGenerator[WatchEvent, None]:
            yield Closed(Busy(3600))

    async def main() -> None:
        lease, clock = MemoryLease(), VirtualClock()
        term = {"holder": "x_u", "token": 90, "process": "x", "place": "p", "released": False}
        spec = {"holderIdentity": "x_u", "leaseDurationSeconds": 60, "renewTime": "2026-11-23T08:00:00.000000Z", "leaseTransitions": 1}
        lease.put({"metadata": {"annotations": {TERM_ANNOTATION: json.dumps(term)}}, "spec": spec})
        me = Candidate("b_u", "process-b", "place", 15, 10, 2, 10)
        runner = NoStandBy(TurnedAway(lease), clock, Leadership(clock, Names("b_u", "web", "shop", "b")), me, random.Random(1))
        running = asyncio.create_task(runner.run())
        await asyncio.sleep(1)
        annotations = {TERM_ANNOTATION: json.dumps(term | {"released": True})}
        lease.put({"metadata": {"annotations": annotations}, "spec": spec | {"holderIdentity": ""}})
        for second in range(100):
            await asyncio.sleep(1)
            if runner.leadership.read().is_leader:
                seen.append(second)
                break
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtually(main())
    assert seen
    assert seen[0] <= 15 + 1


@pytest.mark.parametrize("edit", [{"leaseDurationSeconds": None}, {"leaseDurationSeconds": 9, "annotations": {TERM_ANNOTATION: None}}])
def test_l2_who_removes_the_duration_again_and_again_makes_no_storm(edit: JSON) -> None:
    """The renewal that answers comes out of the budget, and nobody else leads meanwhile (L3)."""
    world = leading("A")
    a = world["A"]
    begun, moves = world.now_ns, len(a.moves)
    for _ in range(400):
        world.api.edit(**edit)
        world.run(0.025)
    assert len([kind for at_ns, kind in a.sent if at_ns >= begun]) <= 5 + 10 / 2 + 10 / 2 + 1
    assert a.moves[moves:] == []
