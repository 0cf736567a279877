"""S11: SIGTERM says that the application has ended where a setting says so, unless something shows that it lives."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from sidecar.clock import seconds
from sidecar.election.requests import Candidate
from sidecar.runtime import app_end
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner
from tests.simulation.memory_store import MemoryLease, MemoryStore
from tests.simulation.runners import NoStandBy
from tests.simulation.virtual_time import VirtualClock, run_virtually

ME = Candidate("web-0_u", "process", "place", 15, 10, 2, 10, native_sidecar=True)
CLOCK = VirtualClock()
EARLIEST, LATEST = app_end.QUIET_SECONDS, app_end.QUIET_SECONDS + 2 * app_end.LOOK_LIVES_SECONDS


@dataclass
class App:
    """What shows that it lives."""

    alive: bool = True
    asks: int = 0

    def lives(self) -> bool:
        """As a connection would."""
        return self.alive


@dataclass
class Stage:
    """A leader whose application was given a deadline."""

    lease: MemoryLease
    runner: Runner
    run: "asyncio.Task[None]"
    app: App

    async def released_after(self) -> float:
        """Seconds from now until nobody holds the Lease."""
        began_ns = CLOCK.boottime_ns()
        while self.lease.record.holder:  # noqa: ASYNC110 - the Lease, looked at in virtual time
            await asyncio.sleep(0.01)
        return seconds(CLOCK.boottime_ns() - began_ns)


def runner(lease: MemoryLease, me: Candidate) -> Runner:
    """A process."""
    return NoStandBy(MemoryStore(lease), CLOCK, Leadership(CLOCK, Names(me.identity, "web", "shop", me.process)), me, random.Random(1))


@asynccontextmanager
async def stage(me: Candidate = ME, *, alive: bool = True) -> AsyncIterator[Stage]:
    """It leads, between two renewals."""
    lease, app = MemoryLease(), App(alive)
    leader = runner(lease, me)
    leader.signs.append(app)
    it = Stage(lease, leader, asyncio.create_task(leader.run()), app)
    await asyncio.sleep(5)
    assert leader.leadership.read(promise_deadline=True).is_leader
    yield it
    it.run.cancel()
    await asyncio.gather(it.run, return_exceptions=True)


def test_where_nothing_shows_that_it_lives_the_lease_is_released_at_once() -> None:
    async def main() -> None:
        async with stage(alive=False) as it:
            assert it.runner.stop() == ""
            assert await it.released_after() < 0.05

    run_virtually(main())


def test_where_it_lives_the_lease_is_released_by_the_deadlines() -> None:
    """As in a plain container: what was given is kept, and said false at once."""

    async def main() -> None:
        async with stage() as it:
            given_ns = it.runner.leadership.given_until_ns
            assert "connection" in it.runner.stop()
            assert not it.runner.leadership.read().is_leader
            await it.released_after()
            assert CLOCK.boottime_ns() >= given_ns
            await asyncio.wait_for(it.run, 1)

    run_virtually(main())


def test_half_a_second_after_its_last_connection_has_closed_it_has_ended() -> None:
    async def main() -> None:
        async with stage() as it:
            it.runner.stop()
            await asyncio.sleep(3)
            assert it.lease.record.holder
            it.app.alive = False
            assert EARLIEST <= await it.released_after() <= LATEST

    run_virtually(main())


def test_what_it_asks_anew_restarts_the_half_second() -> None:
    """Over connections that it closes at once, too."""

    async def main() -> None:
        async with stage() as it:
            it.runner.stop()
            it.app.alive = False
            for _ in range(8):
                await asyncio.sleep(0.4)
                it.app.asks += 1
            assert it.lease.record.holder
            assert EARLIEST <= await it.released_after() <= LATEST

    run_virtually(main())


def test_a_command_still_releases_at_once_and_a_second_sigterm_still_leaves_at_once() -> None:
    async def main() -> None:
        async with stage() as it:
            it.runner.stop()
            it.runner.drained(None)
            assert await it.released_after() < 0.05
        async with stage() as it:
            it.runner.stop()
            it.runner.stop(now=True)
            await asyncio.wait_for(it.run, 0.05)
            assert it.lease.record.holder

    run_virtually(main())


def test_in_a_plain_container_nothing_is_asked_of_the_application() -> None:
    """It says `drained`, or its deadlines pass, whatever it holds open."""

    async def main() -> None:
        async with stage(replace(ME, native_sidecar=False)) as it:
            given_ns = it.runner.leadership.given_until_ns
            assert it.runner.stop() == ""
            assert not it.runner.waits_for_app.is_set()
            it.app.alive = False
            await it.released_after()
            assert CLOCK.boottime_ns() >= given_ns

    run_virtually(main())


@pytest.mark.parametrize("alive", [True, False])
def test_what_a_former_process_may_have_promised_is_waited_out(alive: bool) -> None:  # noqa: FBT001
    """S9 b: it was restarted, knows no deadline that was given before, and SIGTERM comes before they are behind."""

    async def main() -> None:
        async with stage() as it:
            it.run.cancel()
            given_ns = it.runner.leadership.given_until_ns
            again = runner(it.lease, replace(ME, process="next"))
            again.signs.append(App(alive))
            task = asyncio.create_task(again.run())
            await asyncio.sleep(0.5)
            former = again.situation().former
            assert again.leadership.read().is_leader
            assert former is not None
            assert again.stop()
            await it.released_after()
            assert CLOCK.boottime_ns() >= former.end_ns >= given_ns
            await asyncio.wait_for(task, 1)

    run_virtually(main())


def test_a_former_promise_that_is_behind_holds_up_nothing() -> None:
    async def main() -> None:
        async with stage() as it:
            it.run.cancel()
            again = runner(it.lease, replace(ME, process="next"))
            task = asyncio.create_task(again.run())
            await asyncio.sleep(16)
            assert again.leadership.read(promise_deadline=True).is_leader
            assert again.stop() == ""
            assert await it.released_after() < 0.05
            await asyncio.wait_for(task, 1)

    run_virtually(main())
