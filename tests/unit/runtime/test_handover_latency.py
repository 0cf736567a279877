"""In a handover each millisecond is without a leader: what is due by an event goes out with it, and nobody is told of the gap (L1)."""

import asyncio

import pytest

from sidecar.clock import seconds
from sidecar.election.record import JSON
from sidecar.election.requests import Candidate, Kind
from sidecar.election.store import Outcome
from sidecar.election.view import State
from sidecar.runtime.leadership import VACANT_SECONDS, Leadership, Names
from sidecar.runtime.runner import Runner
from tests.simulation.memory_store import MemoryLease, MemoryStore
from tests.simulation.runners import NoStandBy
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.unit.runtime.test_standby import SOON, group


def under_way(runner: Runner) -> Kind | None:
    """The request that has been sent."""
    flight = runner.situation().flight
    return flight.kind if flight is not None else None


async def told(runner: Runner, times: int) -> list[tuple[str, State]]:
    """What a long-poll that asks again and again hears: who leads, and its own state."""
    heard, version = [], runner.leadership.version()
    for _ in range(times):
        await runner.leadership.wait(version, 600)
        answer = runner.leadership.read()
        version = answer.version
        heard.append((answer.holder, answer.state))
    return heard


def test_the_release_goes_out_in_the_turn_of_the_signal() -> None:
    """Published first, sent then: before any other task has a turn."""

    async def main() -> None:
        async with group("a", "b") as (_, ones):
            await asyncio.sleep(SOON)
            leader = ones["a"].runner
            leader.stop()
            assert under_way(leader) is Kind.RELEASE
            assert not leader.leadership.read().is_leader

    run_virtually(main())


@pytest.mark.parametrize("when", ["now", "before it runs", "after it ended"])
def test_nothing_goes_out_where_it_is_to_leave_at_once_or_does_not_run(when: str) -> None:
    async def main() -> None:
        async with group("a", "b") as (_, ones):
            await asyncio.sleep(SOON)
            leader = ones["a"].runner
            if when == "before it runs":
                stranger = NoStandBy(ones["a"].store, leader.clock, leader.leadership, leader.candidate)
                stranger.elector._election = leader.elector._election
                leader = stranger
            if when == "after it ended":
                ones["a"].run.cancel()
                await asyncio.sleep(1)
            leader.stop(now=when == "now")
            assert under_way(leader) is None

    run_virtually(main())


def test_who_waits_at_the_next_leader_is_told_once_and_so_are_the_others() -> None:
    """Not of nobody first: to tell that would hold up the taking."""

    async def main() -> None:
        async with group("a", "b", "c") as (_, ones):
            await asyncio.sleep(SOON)
            following = [ones[name].runner for name in "bc"]
            waiting = [asyncio.create_task(told(runner, 1)) for runner in following]
            await asyncio.sleep(0.1)
            await ones["a"].stop()
            heard = {tuple(*await poll) for poll in waiting}
            holder = following[0].leadership.read().holder
            assert heard == {(holder, State.LEADING), (holder, State.FOLLOWING)}

    run_virtually(main())


def test_that_nobody_leads_is_told_when_nobody_comes_soon() -> None:
    """The app of the only other one is not healthy: after VACANT_SECONDS, and hardly later."""

    async def main() -> None:
        async with group("a", "b", app_has_health=True) as (_, ones):
            ones["a"].runner.health(ok=True)
            await asyncio.sleep(SOON)
            follower, clock = ones["b"].runner.leadership, VirtualClock()
            assert follower.read().holder == "a_u"
            waiting = asyncio.create_task(told(ones["b"].runner, 1))
            await asyncio.sleep(0.1)
            began_ns = clock.boottime_ns()
            await ones["a"].stop()
            assert await waiting == [("", State.FOLLOWING)]
            assert VACANT_SECONDS <= seconds(clock.boottime_ns() - began_ns) < 2 * VACANT_SECONDS

    run_virtually(main())


def test_a_fault_of_a_request_ends_the_election() -> None:
    """No leader rather than two: a store never raises, so this is a bug."""

    class Faulty(MemoryStore):
        async def patch(self, patch: JSON) -> Outcome:
            """Not as the protocol has it."""
            raise ZeroDivisionError(str(patch)[:10])

    async def main() -> None:
        me, clock = Candidate("a_u", "process", "place", 15, 10, 2, 10), VirtualClock()
        runner = NoStandBy(Faulty(MemoryLease()), clock, Leadership(clock, Names("a_u", "web", "shop", "a")), me)
        with pytest.raises(ZeroDivisionError):
            await runner.run()
        assert not runner.leadership.read().is_leader

    run_virtually(main())
