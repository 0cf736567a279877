"""Both listeners as production runs them, over real sockets: aiohttp's own test server has other defaults."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession

from sidecar.election.view import State, View
from sidecar.http import commands, limits, listener
from sidecar.http.listen import bind
from sidecar.http.server import serving
from sidecar.settings.listen import Address
from tests.http.conftest import CLOCK, FakeRunner, as_runner

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Served:
    """The listeners, until `end`."""

    def __init__(self, runner: FakeRunner, host: str = "127.0.0.1") -> None:
        self.runner = runner
        self.sockets = bind([Address(host, 0)])
        self.probe_sockets = bind([Address("127.0.0.1", 0)])
        self._stack = AsyncExitStack()
        self._clients: list[asyncio.StreamWriter] = []

    async def begin(self) -> "Served":
        """Serve."""
        await self._stack.enter_async_context(serving(as_runner(self.runner), CLOCK, self.sockets, self.probe_sockets))
        return self

    async def end(self) -> None:
        """Stop serving."""
        await self._stack.aclose()
        for client in self._clients:
            client.close()
        for each in [*self.sockets, *self.probe_sockets]:
            each.close()

    async def send(self, request: str) -> Streams:
        """A connection with that request on it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.sockets[0].getsockname()[1])
        self._clients.append(writer)
        writer.write(request.encode())
        return reader, writer

    async def poll(self) -> Streams:
        """A long-poll, parked."""
        before, version = self.runner.leadership.waiters, self.runner.leadership.read().version
        streams = await self.send(f"GET /leader?since={version}&wait=10m HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await self.waiters(before + 1)
        return streams

    async def waiters(self, number: int) -> None:
        """Until that many are parked."""
        async with asyncio.timeout(10):
            while self.runner.leadership.waiters != number:  # noqa: ASYNC110 - a counter, and no event of ours to wait on
                await asyncio.sleep(0.01)


@pytest.fixture
async def served(runner: FakeRunner) -> AsyncIterator[Served]:
    """Both listeners, following nobody yet."""
    it = await Served(runner).begin()
    yield it
    await it.end()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, object]]:
    """Status and body of the next response."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode().lower()
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    return int(head.split()[1]), json.loads(await reader.readexactly(length))


async def test_a_client_that_has_gone_is_forgotten_at_once(served: Served) -> None:
    """The runner's default would leave its poll parked for all of its wait."""
    streams = [await served.poll() for _ in range(3)]
    for _, writer in streams:
        writer.close()
    await served.waiters(0)


async def test_at_the_end_every_poll_has_the_final_state_and_nothing_is_waited_for(served: Served) -> None:
    """The state as it is then, on a response that is whole."""
    served.runner.lead()
    polls = [await served.poll() for _ in range(20)]
    served.runner.leadership.publish(View(State.RESIGNED))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await served.end()
    assert loop.time() - began < 0.4, "shutdown_timeout was not spent"
    for reader, _ in polls:
        status, body = await answer(reader)
        assert (status, body["state"], body["is_leader"]) == (200, "resigned", False)


async def test_a_poll_that_nobody_woke_ends_with_the_listener(served: Served) -> None:
    """No publication came before the end: the same version, at once."""
    reader, _ = await served.poll()
    version = served.runner.leadership.read().version
    await served.end()
    status, body = await answer(reader)
    assert (status, body["version"]) == (200, version)


async def test_a_request_that_is_never_finished_holds_up_the_end_for_less_than_a_second(served: Served) -> None:
    """A body that was announced and does not come."""
    await served.send("POST /drained HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
    await asyncio.sleep(0.1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await served.end()
    assert loop.time() - began < 1
    assert not served.runner.drained_with


async def test_after_the_end_nobody_is_listening(served: Served) -> None:
    """A client is refused, not left to hang."""
    where = served.sockets[0].getsockname()
    await served.end()
    with socket.socket() as client:
        client.settimeout(2)
        assert client.connect_ex(where) != 0


@pytest.mark.parametrize("request_", ["GARBAGE\r\n\r\n", "BREW /leader HTTP/1.1\r\nHost: localhost\r\n\r\n"])
async def test_what_is_no_http_is_400_in_json_and_leaves_no_traceback_in_the_log(
    served: Served, caplog: pytest.LogCaptureFixture, request_: str
) -> None:
    """An error as every other; and a port scan is nothing that anybody has to read about."""
    with caplog.at_level(logging.DEBUG):
        reader, _ = await served.send(request_)
        status, body = await answer(reader)
    assert (status, body["error"], set(body)) == (400, "bad request", {"error", "message"})
    assert "\n" not in str(body["message"])
    assert await asyncio.wait_for(reader.read(), 5) == b"", "what follows cannot be told apart"
    assert not [record for record in caplog.records if record.exc_info]


async def test_http_1_0_needs_no_host(served: Served) -> None:
    """As HAProxy's checks come; a browser, which the Host header guards against, always sends one."""
    reader, _ = await served.send("GET /leader HTTP/1.0\r\n\r\n")
    assert (await answer(reader))[0] == 200


async def test_past_the_limit_the_connection_that_was_idle_longest_is_let_go(runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many somebody opens, no more than so many are kept; whoever asks now is answered, and what waits is not disturbed."""
    monkeypatch.setattr(limits, "MAX_APP", 4)
    served = await Served(runner).begin()
    poll, _ = await served.poll()
    idle = []
    for number in range(5):
        reader, writer = await served.send("" if number % 2 else "GET /leader HTTP/1.1\r\nHost: localhost\r\n\r\n")
        idle.append((reader, writer))
        if number % 2 == 0:
            assert (await answer(reader))[0] == 200
    for reader, _ in idle[:2]:
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
    for reader, writer in idle[2:]:
        writer.write(b"GET /leader HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await answer(reader))[0] == 200
    runner.lead()
    assert (await answer(poll))[1]["is_leader"] is True
    await served.end()


@pytest.mark.parametrize("begun", ["", "GET /leader HTTP/1.1\r\nHost: loc", "GET /leader HTTP/1.1\r\nHost: localhost\r\nX: "])
async def test_a_client_that_does_not_finish_its_first_request_is_let_go(
    runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, begun: str
) -> None:
    """Silent, or a header a minute: it holds a descriptor for seconds and not for ever."""
    monkeypatch.setattr(listener, "HEAD_SECONDS", 0.2)
    served = await Served(runner).begin()
    reader, _ = await served.send(begun)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    await served.end()


async def test_a_poll_waits_on_where_a_silent_client_would_be_let_go(runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its request has been heard whole."""
    monkeypatch.setattr(listener, "HEAD_SECONDS", 0.2)
    served = await Served(runner).begin()
    reader, _ = await served.poll()
    await asyncio.sleep(0.5)
    runner.lead()
    assert (await answer(reader))[1]["is_leader"] is True
    await served.end()


async def test_a_body_that_does_not_come_is_408_and_its_connection_ends(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "BODY_SECONDS", 0.1)
    reader, _ = await served.send("POST /drained HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
    status, body = await answer(reader)
    assert (status, body["error"]) == (408, "request timeout")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    assert not served.runner.drained_with


async def test_a_body_above_the_limit_is_413(served: Served) -> None:
    """64 KiB, announced or not."""
    body = " " * 70_000
    for how in (f"Content-Length: 70000\r\n\r\n{body}", f"Transfer-Encoding: chunked\r\n\r\n11170\r\n{body}\r\n0\r\n\r\n"):
        reader, _ = await served.send(f"POST /resign HTTP/1.1\r\nHost: localhost\r\n{how}")
        assert (await answer(reader))[0] == 413
    assert not served.runner.resigned_with


def beyond_localhost() -> str | None:
    """An address of this machine that is not loopback's; nothing is sent to it but from here."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # a route, and no packet
        return str(probe.getsockname()[0])
    return None


async def test_on_an_address_beyond_localhost_nothing_but_reading_is_served(runner: FakeRunner) -> None:
    """An older sidecar's `--http=0.0.0.0:4040`: whoever reaches the Pod may ask, and may not command; over loopback all is as ever."""
    address = beyond_localhost()
    if address is None:
        pytest.skip("this machine has no address but loopback")
    served = await Served(runner, "0.0.0.0").begin()  # noqa: S104 - what is tested
    port = served.sockets[0].getsockname()[1]
    for host, wanted in ((address, 403), ("127.0.0.1", 200)):
        async with ClientSession(f"http://{host}:{port}") as client:
            for path in ("/leader", "/", "/is-leader", "/metrics"):
                assert (await client.get(path)).status in {200, 503}
            for path in ("/resign", "/campaign", "/drained"):
                assert (await client.post(path)).status == wanted
    assert len(runner.resigned_with) == 1
    await served.end()
