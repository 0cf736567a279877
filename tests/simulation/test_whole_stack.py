"""The whole stack under a virtual clock: real runners and HTTP listeners, aiohttp and kubernetes-asyncio, and a simulated API server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import aiohttp
from aiohttp import web

from sidecar.election.requests import Candidate
from sidecar.http import app
from sidecar.http.leader import Waiting
from sidecar.kubernetes.credentials import Access
from sidecar.kubernetes.in_cluster import Configuration
from sidecar.kubernetes.store import KubernetesStore
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner
from tests.simulation.fake_apiserver import FakeApiServer, drop
from tests.simulation.runners import NoStandBy
from tests.simulation.virtual_time import VirtualClock, run_virtually

HOUR = 3600.0
HOURS = 2


@dataclass
class Candidates:
    """Three runners on one API server."""

    server: FakeApiServer
    runners: list[Runner]
    runs: list["asyncio.Task[None]"]

    def leaders(self) -> list[Runner]:
        """Who says that it leads."""
        return [runner for runner in self.runners if runner.leadership.read().is_leader]


@asynccontextmanager
async def three(server: FakeApiServer) -> AsyncIterator[Candidates]:
    """Three candidates with the default times, running."""
    server.put("shop", "web", {})
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(server.serve())
        candidates = Candidates(server, [], [])
        for number in range(3):
            store = await KubernetesStore.connect(Access(Configuration(host=url)), "shop", "web", dice=Random(number).random)
            stack.push_async_callback(store.close)
            me = Candidate(f"web-{number}_u", f"process-{number}", "place", 15, 10, 2, 10, native_sidecar=True)
            clock = VirtualClock()
            runner = NoStandBy(store, clock, Leadership(clock, Names(me.identity, "web", "shop", f"b{number}")), me, Random(number))
            candidates.runners.append(runner)
            candidates.runs.append(asyncio.create_task(runner.run()))
        yield candidates
        for run in candidates.runs:
            run.cancel()
        await asyncio.gather(*candidates.runs, return_exceptions=True)


def test_in_hours_without_faults_nothing_moves_and_a_follower_hardly_asks() -> None:
    """Two hours: one term (L3). The leader renews each retry period; a follower makes less than one request a minute."""

    async def main() -> None:
        server = FakeApiServer()
        async with three(server) as candidates:
            await asyncio.sleep(5)
            (leader,) = candidates.leaders()
            first = leader.leadership.read()
            asked = len(server.requests)
            await asyncio.sleep(HOURS * HOUR)
            assert candidates.leaders() == [leader]
            assert leader.leadership.read().version == first.version
            assert leader.leadership.read().fencing_token == first.fencing_token
            for runner in candidates.runners:
                assert runner.leadership.read().name == first.name
            per_minute = (len(server.requests) - asked) / (HOURS * 60)
            assert per_minute <= 30 + 1 + 2 * 1, "30 renewals, and a request a minute of each beside them"

    run_virtually(main())


def test_a_release_wakes_a_long_poll_at_the_next_leaders_listener() -> None:
    """Over real HTTP: parked at a follower, told within a fraction of a second of virtual time after the leader was told to stop."""

    async def main() -> None:
        async with three(FakeApiServer()) as candidates:
            await asyncio.sleep(5)
            (leader,) = candidates.leaders()
            followers = [runner for runner in candidates.runners if runner is not leader]
            servers = []
            for port, runner in enumerate(followers, 5001):
                servers.append(
                    web.AppRunner(app.application(runner, VirtualClock(), Waiting(runner.leadership)), handler_cancellation=True)
                )
                await servers[-1].setup()
                await web.TCPSite(servers[-1], "127.0.0.1", port).start()
            async with aiohttp.ClientSession() as session:

                async def until_it_leads(port: int) -> float:
                    answer = {"is_leader": False, "version": ""}
                    while not answer["is_leader"]:
                        url = f"http://127.0.0.1:{port}/leader?since={answer['version']}&wait=60s"
                        async with session.get(url) as response:
                            answer = await response.json()
                    return asyncio.get_running_loop().time()

                polls = [asyncio.create_task(until_it_leads(port)) for port in (5001, 5002)]
                await asyncio.sleep(20)
                told = asyncio.get_running_loop().time()
                leader.stop()
                done, waiting = await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED, timeout=10)
                assert done.pop().result() - told < 0.2
                for poll in waiting:
                    poll.cancel()
                await asyncio.gather(*waiting, return_exceptions=True)
            for server in servers:
                await server.cleanup()

    run_virtually(main())


def test_while_replies_are_lost_at_random_there_is_never_more_than_one_leader() -> None:
    """Every third write's reply is lost after the commit, for an hour; afterwards exactly one leads."""

    async def main() -> None:
        server = FakeApiServer()
        dice = Random(5)

        async def lose(request: web.Request) -> None:
            if request.method == "PATCH" and dice.random() < 0.33:
                drop(request)

        async with three(server) as candidates:
            server.after = lose
            for _ in range(360):
                await asyncio.sleep(10)
                assert len(candidates.leaders()) <= 1
            server.after = None
            await asyncio.sleep(15 + 1)
            assert len(candidates.leaders()) == 1

    run_virtually(main())
