"""What a client may cost: the size of what it sends, what it does not read, and how many connections there are. On both listeners."""

import asyncio
import gc
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiohttp import web

from sidecar import open_files
from sidecar.http import client_sockets, limits, listener, openapi
from sidecar.http.limits import Limits
from tests.http.conftest import FakeRunner
from tests.http.test_serving import Served, answer

HOST = "Host: localhost\r\n"
SMALL = 2048
"""What the kernel keeps for a client in these tests, in each direction, as far as it lets itself be told."""


@pytest.fixture(params=["app", "probe"])
async def door(request: pytest.FixtureRequest, runner: FakeRunner) -> AsyncIterator["Door"]:
    """Each listener."""
    served = await Served(runner).begin()
    yield Door(served, request.param)
    await served.end()


class Door:
    """One of the listeners, from outside."""

    def __init__(self, served: Served, name: str) -> None:
        self.sockets = served.sockets if name == "app" else served.probe_sockets

    async def connect(self, *, small: bool = False) -> socket.socket:
        """A client's socket, with as little as can be in the kernel if it is small."""
        client = socket.socket()
        client.settimeout(0)
        if small:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        await asyncio.get_running_loop().sock_connect(client, self.sockets[0].getsockname())
        return client

    async def says(self, *pieces: bytes) -> tuple[int, dict[str, object], bytes]:
        """Status, body and what follows it, on a connection of its own."""
        client = await self.connect()
        reader, writer = await asyncio.open_connection(sock=client)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.01)
        try:
            return (*await answer(reader), await asyncio.wait_for(reader.read(), 10))
        finally:
            writer.close()

    async def lives(self) -> None:
        """It answers others."""
        client = await self.connect()
        reader, writer = await asyncio.open_connection(sock=client)
        writer.write(f"GET /healthz HTTP/1.1\r\n{HOST}\r\n".encode())
        assert b"200 OK" in await asyncio.wait_for(reader.readline(), 10)
        writer.close()


def head(size: int, line: str = "GET /is-leader HTTP/1.0") -> bytes:
    """A whole one of so many bytes, by one header field."""
    start, end = f"{line}\r\n{HOST}X: ".encode(), b"\r\n\r\n"
    return start + b"a" * (size - len(start) - len(end)) + end


LARGE = {
    "one field": head(30_000),
    "fields": f"GET /livez HTTP/1.1\r\n{HOST}".encode()
    + b"".join(b"X-%03d: %s\r\n" % (number, b"a" * 8000) for number in range(100))
    + b"\r\n",
    "many small fields": f"GET /livez HTTP/1.1\r\n{HOST}".encode() + b"A:b\r\n" * 300 + b"\r\n",
    "one line": b"GET /" + b"a" * 30_000 + b" HTTP/1.1\r\n\r\n",
    "no end": b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
    "no line's end": b"GET /" + b"a" * 20_000,
    "nothing but empty lines": b"\r\n" * 20_000,
    "blanks": f"GET /livez HTTP/1.1\r\n{HOST}X:".encode() + b" " * 20_000 + b"y\r\n\r\n",
}


@pytest.mark.parametrize("what", LARGE)
async def test_a_head_that_is_too_large_is_431_in_json_and_its_connection_ends(door: Door, what: str) -> None:
    """However it is too large, and be it that it never ends: it is counted while it comes in."""
    status, body, more = await door.says(LARGE[what])
    assert (status, body["error"], set(body)) == (431, "request header fields too large", {"error", "message"})
    assert more == b""
    await door.lives()


@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_head_of_16_kib_is_served_and_one_byte_more_is_not(door: Door, pieces: int) -> None:
    """To the byte, in one piece or in several; nothing else of HTTP/1.0 or of the route is in the way."""
    for size, wanted in ((limits.MAX_HEAD_BYTES, {200, 503}), (limits.MAX_HEAD_BYTES + 1, {431})):
        whole, step = head(size), size // pieces + 1
        assert (await door.says(*(whole[at : at + step] for at in range(0, size, step))))[0] in wanted


async def test_each_of_several_heads_may_have_16_kib(door: Door) -> None:
    """What came before does not count, be it in one piece with it."""
    client = await door.connect()
    reader, writer = await asyncio.open_connection(sock=client)
    small = f"GET /is-leader HTTP/1.1\r\n{HOST}\r\n".encode()
    writer.write(small * 3 + head(limits.MAX_HEAD_BYTES, "GET /is-leader HTTP/1.1"))
    for _ in range(4):
        assert (await answer(reader))[0] in {200, 503}
    writer.close()


async def test_a_target_with_too_many_parameters_is_414(door: Door) -> None:
    """Each costs a hundred times what it took to send."""
    status, body, more = await door.says(b"GET /livez?" + b"a&" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (status, body["error"], more) == (414, "request-uri too long", b"") or (status, more) == (414, b"")


CHUNKED = f"POST /resign HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n".encode()


@pytest.mark.parametrize(
    "more",
    [b"1;x=" + b"y" * 50_000 + b"\r\n ", b"1\r\n \r\n0\r\n" + b"T: t\r\n" * 10_000, b"1\r\n \r\n0\r\nT: " + b"t" * 50_000 + b"\r\n\r\n"],
)
async def test_what_a_chunked_body_has_beside_itself_is_bounded(runner: FakeRunner, more: bytes) -> None:
    """Chunk extensions and trailers; nothing is changed."""
    runner.lead()
    served = await Served(runner).begin()
    status, body, _ = await Door(served, "app").says(CHUNKED + more)
    assert (status, body["error"]) == (431, "request header fields too large")
    assert set(body) == {"error", "message"}
    assert not runner.resigned_with
    await served.end()


async def test_a_chunked_body_is_taken(runner: FakeRunner) -> None:
    """With an extension and a trailer, in pieces; its connection ends with the answer."""
    runner.lead()
    served = await Served(runner).begin()
    pieces = (CHUNKED, b'9;a="b"\r\n{"for": "', b'\r\n4\r\n9m"}\r\n', b"0\r\nT: t\r\n\r\n")
    status, _, more = await Door(served, "app").says(*pieces)
    assert (status, more, runner.resigned_with) == (200, b"", [(540.0, "")])
    await served.end()


async def test_a_request_behind_a_body_that_comes_late_is_answered(runner: FakeRunner) -> None:
    """In one piece with the rest of the body."""
    runner.lead()
    served = await Served(runner).begin()
    reader, writer = await served.send(f"POST /resign HTTP/1.1\r\n{HOST}Content-Length: 2\r\n\r\n")
    await asyncio.sleep(0.05)
    writer.write(f"{{}}GET /leader HTTP/1.1\r\n{HOST}\r\nGET /history HTTP/1.1\r\n{HOST}\r\n".encode())
    for _ in range(3):
        assert (await answer(reader))[0] == 200
    await served.end()


async def test_behind_an_unfinished_answer_next_to_nothing_is_read(runner: FakeRunner) -> None:
    """However much a client pipelines behind its poll; all of it is answered, in order, once the poll is."""
    served = await Served(runner).begin()
    door = Door(served, "app")
    version = runner.leadership.read().version
    client = await door.connect(small=True)
    loop, sent = asyncio.get_running_loop(), 0
    await loop.sock_sendall(client, f"GET /leader?since={version}&wait=10m HTTP/1.1\r\n{HOST}\r\n".encode())
    await served.waiters(1)
    one = head(15_000, "GET /leader HTTP/1.1")
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            while sent < 100:
                await loop.sock_sendall(client, one)
                sent += 1
    assert sent * len(one) < 200_000, "the kernel's buffers, and three requests"
    runner.lead()
    reader, writer = await asyncio.open_connection(sock=client)
    assert (await answer(reader))[1]["is_leader"] is True
    for _ in range(sent):
        assert (await answer(reader))[0] == 200
    writer.close()
    await served.end()


async def test_a_large_request_is_one_of_few_and_small_ones_are_not_held_up(runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has not come to its end is let go for a newer one; where all of them wait for answers, the new one is refused."""
    monkeypatch.setattr(listener, "MAX_HEAVY", 2)
    served = await Served(runner).begin()
    door = Door(served, "app")
    begun = []
    for _ in range(3):
        reader, _ = await served.send("GET /leader HTTP/1.1\r\nX: " + "a" * 4000)
        begun.append(reader)
        await asyncio.sleep(0.05)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(begun[0].readexactly(1), 5)
    version = runner.leadership.read().version
    target = f"GET /leader?since={version}&wait=10m HTTP/1.1"
    polls = [await served.send(head(4000, target).decode()) for _ in range(2)]
    await served.waiters(2)
    status, body, _ = await door.says(head(4000, target))
    assert (status, body["error"]) == (503, "service unavailable")
    small = await served.poll()
    runner.lead()
    for reader, _ in (*polls, small):
        assert (await answer(reader))[1]["is_leader"] is True
    await served.end()


async def test_a_request_that_waits_keeps_no_body(runner: FakeRunner) -> None:
    """It is read before; one that does not fit is an error as elsewhere."""
    served = await Served(runner).begin()
    version = runner.leadership.read().version
    start = f"GET /leader?since={version}&wait=10m HTTP/1.1\r\n{HOST}Content-Length: "
    reader, _ = await served.send(f"{start}2\r\n\r\n{{}}")
    await served.waiters(1)
    runner.lead()
    assert (await answer(reader))[0] == 200
    start = start.replace(version, runner.leadership.read().version)
    reader, _ = await served.send(f"{start}70000\r\n\r\n" + " " * 70_000)
    assert (await answer(reader))[0] == 413
    await served.end()


# ---- what is not read -------------------------------------------------------------------------------------------------------------------

UNREAD = {
    "app": ["/leader", "/openapi.json", "/history", "/nope", "/leader?wait=x", "/leader/events?renewals=1"],
    "probe": ["/openapi.json", "/metrics", "/livez?verbose", "/nope"],
}


@pytest.mark.parametrize(("name", "path"), [(name, path) for name, paths in UNREAD.items() for path in paths])
async def test_who_reads_nothing_is_cut_off_whatever_it_has_asked_for(
    runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, name: str, path: str
) -> None:
    """An answer, an error or a stream."""
    monkeypatch.setattr(listener, "UNREAD_SECONDS", 0.5)
    served = await Served(runner).begin()
    door = Door(served, name)
    client = await door.connect(small=True)
    asks = asyncio.create_task(_for_ever(client, f"GET {path} HTTP/1.1\r\n{HOST}\r\n".encode()))
    async with asyncio.timeout(20):
        while not asks.done():
            runner.lead(for_seconds=20)
            await asyncio.sleep(0.002)
    assert isinstance(asks.exception(), ConnectionError)
    client.close()
    await door.lives()
    await served.end()


async def _for_ever(client: socket.socket, request: bytes) -> None:
    while True:
        await asyncio.get_running_loop().sock_sendall(client, request)
        if b"events" in request:  # of which one is enough
            while client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:  # noqa: ASYNC110 - the kernel's
                await asyncio.sleep(0.01)
            raise ConnectionResetError


async def test_who_reads_slowly_gets_everything(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be it that one answer alone takes it longer than one that reads nothing is kept."""
    monkeypatch.setattr(listener, "UNREAD_SECONDS", 1)
    client, loop, asked = await door.connect(small=True), asyncio.get_running_loop(), 4
    request = f"GET /openapi.json HTTP/1.1\r\n{HOST}".encode()
    await loop.sock_sendall(client, (request + b"\r\n") * (asked - 1) + request + b"Connection: close\r\n\r\n")
    began, read = loop.time(), b""
    async with asyncio.timeout(60):
        while piece := await loop.sock_recv(client, 2048):
            read += piece
            if loop.time() - began < 4:
                await asyncio.sleep(0.2)
    assert loop.time() - began > 2
    assert read.count(b'"openapi"') == asked
    assert read.count(b"200 OK") == asked
    client.close()


async def test_what_is_not_read_is_bounded_all_together(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past that the client that has not read for longest is let go; each has at most one answer that the kernel has not taken."""
    request = f"GET /openapi.json HTTP/1.1\r\n{HOST}\r\n".encode()
    answer_bytes = len(json.dumps(openapi.document("app")))
    monkeypatch.setattr(listener, "MAX_UNREAD_BYTES", 4 * answer_bytes)  # a part of twenty
    clients = [await door.connect(small=True) for _ in range(20)]
    for client in clients:
        client.send(request * 30)
        await asyncio.sleep(0.02)
    failed = [client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 for client in clients]
    for client in clients:
        client.close()
    assert failed[0]
    assert not failed[-1]
    assert failed == sorted(failed, reverse=True), "in the order in which they stopped reading"
    await door.lives()


async def test_a_connection_at_rest_keeps_no_answer(runner: FakeRunner) -> None:
    """However large it was: otherwise there would be one for each of them until its next request."""
    served = await Served(runner).begin()
    for path in ("/openapi.json", "/metrics", "/nope"):
        reader, _ = await served.send(f"GET {path} HTTP/1.1\r\n{HOST}\r\n")
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    await asyncio.sleep(0.05)
    gc.collect()
    kept = [each.body for each in gc.get_objects() if isinstance(each, web.Response) and not isinstance(each, web.HTTPException)]
    assert len(kept) >= 3
    assert not any(kept)
    await served.end()


# ---- how many ----------------------------------------------------------------------------------------------------------------------------


def bounded(monkeypatch: pytest.MonkeyPatch, found: Limits) -> None:
    """With these limits in force."""
    monkeypatch.setattr(Limits, "in_force", classmethod(lambda _: found))


async def test_where_no_connection_is_idle_a_new_one_is_told_so_and_nothing_else_suffers(
    runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Polls and streams are connections as well; one that comes while all wait is answered 503, or closed."""
    bounded(monkeypatch, Limits(3, 3, polls=2, streams=2, accepts=4))
    served = await Served(runner).begin()
    polls = [await served.poll() for _ in range(2)]
    stream, _ = await served.send(f"GET /leader/events HTTP/1.1\r\n{HOST}\r\n")
    await served.waiters(3)
    reader, _ = await served.send(f"GET /leader HTTP/1.1\r\n{HOST}\r\n")
    status, body = await answer(reader)
    assert (status, body["error"]) == (503, "service unavailable")
    await Door(served, "probe").lives()
    runner.lead()
    for reader, _ in polls:
        assert (await answer(reader))[1]["is_leader"] is True
    assert b'"is_leader": true' in await asyncio.wait_for(stream.readuntil(b'"is_leader": true'), 10)
    reader, _ = await served.send(f"GET /leader HTTP/1.1\r\n{HOST}\r\n")
    assert (await answer(reader))[0] == 200, "the polls are idle now"
    await served.end()


@pytest.mark.parametrize("name", ["app", "probe"])
@pytest.mark.parametrize("sent", [b"", b"GET /livez HTTP/1.1\r\nX: y", f"GET /openapi.json HTTP/1.1\r\n{HOST}\r\n".encode() * 20])
async def test_whatever_fills_a_listener_a_probe_is_answered(
    runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, name: str, sent: bytes
) -> None:
    """Silent, in the middle of a request, or not reading: the one that has been so longest makes room."""
    bounded(monkeypatch, Limits(5, 5, polls=1, streams=1, accepts=4))
    served = await Served(runner).begin()
    door, clients = Door(served, name), []
    for _ in range(20):
        clients.append(await door.connect(small=True))
        clients[-1].send(sent)
        await door.lives()
    for client in clients:
        client.close()
    await served.end()


@pytest.mark.parametrize("what", ["polls", "streams"])
async def test_the_message_names_the_number_in_force(runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Where the limit on open files allows fewer than a thousand."""
    bounded(monkeypatch, Limits(10, 10, polls=1, streams=1, accepts=4))
    served = await Served(runner).begin()
    version = runner.leadership.read().version
    target = f"/leader?since={version}&wait=1m" if what == "polls" else "/leader/events"
    await served.send(f"GET {target} HTTP/1.1\r\n{HOST}\r\n")
    await served.waiters(1)
    reader, _ = await served.send(f"GET {target} HTTP/1.1\r\n{HOST}\r\n")
    status, body = await answer(reader)
    assert status == 503
    assert str(body["message"]).startswith(f"1 {what} are ")
    await served.end()


@pytest.mark.parametrize("files", [48, 64, 100, 256, 1024, 4096, 8192, 1_048_576])
def test_all_that_is_allowed_at_once_fits_the_descriptors(files: int) -> None:
    """With those that are kept for what is not a client; and who waits leaves room for who asks."""
    found = Limits.of(files)
    assert found.app_connections + found.probe_connections + 2 * found.accepts + open_files.RESERVED <= files
    assert found.polls + found.streams < found.app_connections
    assert min(found.polls, found.streams, found.probe_connections) >= 1


def test_where_the_limit_allows_it_a_thousand_polls_and_five_hundred_streams_wait() -> None:
    """The numbers of the contract."""
    found = Limits.of(open_files.WANTED)
    assert found.polls >= 1000
    assert found.streams >= 500
    assert (found.app_connections, found.probe_connections) == (limits.MAX_APP, limits.MAX_PROBE)


def test_who_is_turned_away_has_json() -> None:
    """As with every error."""
    start, _, body = client_sockets.FULL.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in start
    assert set(json.loads(body)) == {"error", "message"}
