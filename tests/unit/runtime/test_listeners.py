"""Who follows an election does not shut out another one who does: each way to be told of it has room for several."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sidecar.election.record import JSON
from sidecar.election.requests import Candidate
from sidecar.election.store import Outcome
from sidecar.election.view import State
from sidecar.runtime.elector import HOLD_SECONDS
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner
from tests.simulation.memory_store import MemoryLease, MemoryStore
from tests.simulation.runners import NoStandBy
from tests.simulation.virtual_time import VirtualClock, run_virtually


class Noted(MemoryStore):
    """Notes when a release is sent."""

    def __init__(self, lease: MemoryLease) -> None:
        super().__init__(lease)
        self.released_at: list[float] = []

    async def patch(self, patch: JSON) -> Outcome:
        """As ever."""
        if not patch.get("spec", {}).get("holderIdentity", "x"):
            self.released_at.append(asyncio.get_running_loop().time())
        return await super().patch(patch)


@asynccontextmanager
async def leader() -> AsyncIterator[tuple[Runner, Noted, Callable[[], float]]]:
    """One that leads, its store, and the time."""
    clock, store = VirtualClock(), Noted(MemoryLease())
    me = Candidate("a_u", "process", "place", 15, 10, 2, 10, native_sidecar=True)
    runner = NoStandBy(store, clock, Leadership(clock, Names(me.identity, "web", "shop", "boot")), me, random.Random(1))
    run = asyncio.create_task(runner.run())
    await asyncio.sleep(1)
    assert runner.leadership.read().is_leader
    try:
        yield runner, store, asyncio.get_running_loop().time
    finally:
        runner.stop(now=True)
        await run


def test_two_listeners_are_both_told_of_each_transition() -> None:
    async def main() -> None:
        async with leader() as (runner, _, _now):
            told: list[tuple[str, State]] = []
            runner.status.transition_listeners.append(lambda _, after: told.append(("first", after.state)))
            runner.status.transition_listeners.append(lambda _, after: told.append(("second", after.state)))
            runner.resign(3600, "")
            await asyncio.sleep(1)
            assert told == [(who, state) for state in (State.STEPPING_DOWN, State.RESIGNED) for who in ("first", "second")]

    run_virtually(main())


def test_two_who_wait_for_a_change_are_both_woken() -> None:
    async def main() -> None:
        async with leader() as (runner, _, _now):
            waiting = [asyncio.create_task(runner.elector.changed()) for _ in range(2)]
            await asyncio.sleep(0)
            assert not any(task.done() for task in waiting), "nothing has changed yet"
            runner.resign(3600, "")
            await asyncio.wait_for(asyncio.gather(*waiting), 0.001)

    run_virtually(main())


def test_a_release_waits_for_each_of_two_who_hold_it() -> None:
    """And for HOLD_SECONDS at most."""

    async def main() -> None:
        for ends_seconds in ((0.05, 0.1), (0.1, 0.05), (0.05, 3600.0), (3600.0, 0.05)):
            async with leader() as (runner, store, now):
                holds = [now() + seconds for seconds in ends_seconds]
                for end in holds:
                    wake = runner.hold_release(lambda end=end: now() < end)  # type: ignore[misc]
                    asyncio.get_running_loop().call_at(end + 0.001, wake)
                asked = now()
                runner.stop()
                await asyncio.sleep(1)
                (released,) = store.released_at
                assert abs(released - asked - min(max(ends_seconds), HOLD_SECONDS)) < 0.01, ends_seconds

    run_virtually(main())
