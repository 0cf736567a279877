"""The probe of the app, against a server that answers from a script; and its loop on virtual time."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from sidecar.clock import SystemClock
from sidecar.election.requests import Candidate
from sidecar.features.app_health import MAX_BODY_BYTES, HTTPProbe, Verdict, follow
from sidecar.runtime.health_lines import HealthLine
from sidecar.runtime.leadership import Leadership, Names
from tests.simulation.memory_store import MemoryLease, MemoryStore
from tests.simulation.runners import NoStandBy
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.support.scripted import Reply, reply, scripted


@asynccontextmanager
async def probing(url: str, timeout_seconds: float = 5) -> AsyncIterator[HTTPProbe]:
    """A probe of that URL."""
    probe = HTTPProbe(url, timeout_seconds, SystemClock())
    try:
        yield probe
    finally:
        await probe.close()


@pytest.mark.parametrize("status", [200, 204, 299, 301, 302, 399])
async def test_any_status_from_200_to_399_is_healthy_and_no_redirect_is_followed(status: int) -> None:
    """As a kubelet has it, but for redirects, which it follows within the host."""
    async with scripted(reply(status, Location="/elsewhere")) as server, probing(f"{server.url}/healthz?deep=1") as probe:
        assert await probe() == ""
    (seen,) = server.requests
    assert (seen.method, seen.path) == ("GET", "/healthz?deep=1")
    assert seen.headers["user-agent"].startswith("leader-sidecar/")


@pytest.mark.parametrize("status", [400, 404, 500, 503, 600])
async def test_any_other_status_is_not(status: int) -> None:
    async with scripted(reply(status)) as server, probing(server.url) as probe:
        assert f"HTTP {status}" in await probe()


@pytest.mark.parametrize(
    "answer",
    [
        Reply(b"", "close"),
        Reply(b"", "abort"),
        Reply(b"nonsense\r\n\r\n", "close"),
        Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "close"),
    ],
)
async def test_no_answer_or_half_of_one_is_not(answer: Reply) -> None:
    """Never an exception; one line."""
    async with scripted(answer) as server, probing(server.url) as probe:
        wrong = await probe()
    assert wrong.startswith("no answer")
    assert "\n" not in wrong


async def test_nobody_there_is_not() -> None:
    async with scripted() as server:
        url = server.url
    async with probing(url) as probe:
        assert (await probe()).startswith("no answer")


async def test_an_app_that_hangs_is_not_after_the_timeout() -> None:
    async with scripted(Reply(b"HTTP/1.1 200 OK\r\n", "hang")) as server, probing(server.url, 0.1) as probe:
        assert "within 0.1 s" in await probe()


async def test_of_a_long_answer_a_little_is_read() -> None:
    """An endless stream holds nobody up."""
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (4 * MAX_BODY_BYTES)
    async with scripted(Reply(endless, "hang")) as server, probing(server.url) as probe:
        assert await probe() == ""


async def test_each_probe_is_a_connection_of_its_own_and_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image's environment is not obeyed, and no cookie is kept."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with scripted(reply(200, Set_Cookie="a=b")) as server, probing(server.url) as probe:
        assert [await probe(), await probe()] == ["", ""]
    assert [seen.connection for seen in server.requests] == [1, 2]
    assert all("cookie" not in seen.headers for seen in server.requests)


def test_the_loop_probes_each_period_and_tells_the_election_and_people(caplog: pytest.LogCaptureFixture) -> None:
    """From the start: not healthy yet, so no leader; healthy, leads; three failures, steps down; healthy again, leads again. What is wrong
    stands in /readyz?verbose.
    """
    caplog.set_level(logging.INFO)

    async def main() -> None:
        clock = VirtualClock()
        me = Candidate("web-0_u", "i", "place", 15, 10, 2, 10, native_sidecar=True, app_has_health=True)
        runner = NoStandBy(MemoryStore(MemoryLease()), clock, Leadership(clock, Names(me.identity, "web", "shop", "b")), me, Random(1))
        wrong, times = "not up yet", []

        async def probe() -> str:
            times.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.5)
            return wrong

        def leads() -> bool:
            return runner.leadership.read().is_leader

        tasks = [asyncio.create_task(runner.run()), asyncio.create_task(follow(runner, probe, 5, Verdict(3, 1)))]
        await asyncio.sleep(12)
        assert not leads()
        assert runner.status.problems[HealthLine.APP_HEALTH] == "not up yet"
        wrong = ""
        await asyncio.sleep(5)
        assert leads()
        assert HealthLine.APP_HEALTH not in runner.status.problems
        wrong = "database gone"
        await asyncio.sleep(10)
        assert leads(), "two failures are no verdict"
        await asyncio.sleep(5)
        assert not leads()
        await asyncio.sleep(10)
        wrong = ""
        await asyncio.sleep(6)
        assert leads()
        assert all(abs(time - 5 * number) < 0.01 for number, time in enumerate(times))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtually(main())
    said = [record.getMessage() for record in caplog.records]
    assert said.count("the application is not healthy") == 2
    assert said.count("the application is healthy") == 2
