"""Which connections show that the application lives (S11), asked of real sockets."""

import asyncio
import select
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.election.view import State, View
from sidecar.http.listen import bind
from sidecar.settings.listen import Address
from tests.http.conftest import FakeRunner
from tests.http.test_serving import Served, Streams, answer

WAYS = ("tcp", "unix")
TRUE_ROUTES = ("/leader", "/is-leader", "/leader?since=x&wait=1m")
KEEP = "HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Listener(Served):
    """Of one kind; it leads."""

    def __init__(self, runner: FakeRunner, way: str, folder: Path) -> None:
        super().__init__(runner)
        self.path = str(folder / "s")
        if way == "unix":
            self.sockets[0].close()
            self.sockets = bind([Address("", 0, self.path)])
        self.way = way
        runner.lead()

    async def send(self, request: str) -> Streams:
        """A connection with that request on it."""
        if self.way == "tcp":
            return await super().send(request)
        reader, writer = await asyncio.open_unix_connection(self.path)
        self._clients.append(writer)
        writer.write(request.encode())
        return reader, writer

    def lives(self) -> bool:
        """What SIGTERM would find."""
        (sign,) = self.runner.signs
        return sign.lives()

    async def ends(self) -> None:
        """No sign of life any more, whatever the loop has heard by then."""
        async with asyncio.timeout(10):
            while self.lives():  # noqa: ASYNC110 - a question to sockets
                await asyncio.sleep(0.01)


@pytest.fixture(params=WAYS)
async def listener(request: pytest.FixtureRequest, runner: FakeRunner, tmp_path: Path) -> AsyncIterator[Listener]:
    """Both ways to the app listener."""
    it = Listener(runner, request.param, tmp_path)
    await it.begin()
    yield it
    await it.end()


@pytest.mark.parametrize("route", TRUE_ROUTES)
async def test_a_kept_connection_that_was_given_a_true_answer_is_one(listener: Listener, route: str) -> None:
    """Until it closes."""
    assert not listener.lives()
    reader, writer = await listener.send(f"GET {route} {KEEP}")
    assert (await answer(reader))[1]["is_leader"] is True
    assert listener.lives()
    writer.close()
    await listener.ends()


async def test_the_socket_is_asked_and_not_the_loop(listener: Listener) -> None:
    """An application has ended before SIGTERM comes; that the loop has read its end by then, nobody knows."""
    reader, writer = await listener.send(f"GET /leader {KEEP}")
    await answer(reader)
    with socket.socket(fileno=writer.get_extra_info("socket").fileno()) as same:
        same.shutdown(socket.SHUT_RDWR)
        assert not listener.lives()  # in the same turn of the loop
        same.detach()


@pytest.mark.parametrize("poll", [True, False])
async def test_a_closed_half_counts_as_closed(listener: Listener, poll: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """The application's process may have ended, and what it has inherited its socket to reads on. Where poll tells of none, too."""
    if not poll:
        monkeypatch.delattr(select, "POLLRDHUP")
    reader, writer = await listener.send(f"GET /leader {KEEP}")
    await answer(reader)
    assert listener.lives()
    writer.write_eof()
    assert not listener.lives()


@pytest.mark.parametrize("path", ["/leader/events", "/leader/events?renewals=1", "/sse", "/leader?since={version}&wait=10m"])
@pytest.mark.parametrize("leads", [True, False])
async def test_who_waits_for_an_answer_is_one(listener: Listener, path: str, leads: bool) -> None:  # noqa: FBT001
    """A poll and each stream, told true already or not."""
    if not leads:
        listener.runner.follow()
    version = listener.runner.leadership.read().version
    _, writer = await listener.send(f"GET {path.format(version=version)} {KEEP}")
    await listener.waiters(1)
    assert listener.lives()
    writer.close()
    await listener.ends()


async def test_who_waited_when_the_end_came_is_one_until_it_closes(listener: Listener) -> None:
    """Its poll is answered with the end, so it waits no more; it may think about that for a while."""
    reader, writer = await listener.poll()
    assert listener.lives()
    listener.runner.leadership.publish(View(State.STEPPING_DOWN, "web-0_u1", 7))
    assert (await answer(reader))[1]["state"] == "stepping-down"
    assert listener.lives()
    writer.close()
    await listener.ends()


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/history", "/members", "/", "/leader?since=x"])
async def test_who_was_given_no_deadline_is_none(listener: Listener, path: str) -> None:
    """A scraper, or an answer that is false."""
    if path.startswith("/leader"):
        listener.runner.follow()
    reader, _ = await listener.send(f"GET {path} {KEEP}")
    assert (await reader.read(100)).startswith(b"HTTP/1.1 200")
    assert not listener.lives()


async def test_a_connection_of_the_probe_listener_is_none(listener: Listener) -> None:
    """A kubelet's."""
    reader, writer = await asyncio.open_connection(*listener.probe_sockets[0].getsockname())
    writer.write(f"GET /is-leader {KEEP}".encode())
    assert (await answer(reader))[1]["is_leader"] is True
    assert not listener.lives()
    writer.close()


@pytest.mark.parametrize("path", ["/leader", "/is-leader", "/leader?since={version}&wait=10m", "/leader/events", "/sse"])
async def test_each_request_for_the_leadership_is_counted(listener: Listener, path: str) -> None:
    """It restarts the half second, be its connection closed again."""
    (sign,) = listener.runner.signs
    listener.runner.follow()
    before = sign.asks
    version = listener.runner.leadership.read().version
    await listener.send(f"GET {path.format(version=version)} {KEEP}")
    async with asyncio.timeout(10):
        while sign.asks == before:  # noqa: ASYNC110 - a counter
            await asyncio.sleep(0.01)
