"""A client that closes its own side after it has asked (`nc -N`, socat, programs that speak HTTP/1.0) gets its answer (RFC 9112 9.6)."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.http import listener
from tests.http.conftest import FakeRunner
from tests.http.test_connections import Listener
from tests.http.test_serving import Streams, answer

HOST = "Host: localhost\r\n"


@pytest.fixture(params=["tcp", "unix"])
async def served(request: pytest.FixtureRequest, runner: FakeRunner, tmp_path: Path) -> AsyncIterator[Listener]:
    """Both ways to the app listener; it leads."""
    it = Listener(runner, request.param, tmp_path)
    await it.begin()
    yield it
    await it.end()


async def ends(reader: asyncio.StreamReader) -> bool:
    """Whether nothing but the connection's end follows."""
    return await asyncio.wait_for(reader.read(), 10) == b""


async def probe(served: Listener, request: str) -> Streams:
    """A connection to the probe listener, with that request on it."""
    reader, writer = await asyncio.open_connection(*served.probe_sockets[0].getsockname())
    served._clients.append(writer)
    writer.write(request.encode())
    return reader, writer


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("path", ["/leader", "/is-leader", "/openapi.json", "/leader?since=x&wait=1m"])
async def test_it_gets_its_answer_and_then_the_connection_ends(served: Listener, path: str, version: str, later: bool) -> None:  # noqa: FBT001
    """Be its end heard together with its request, or after it."""
    reader, writer = await served.send(f"GET {path} HTTP/{version}\r\n{HOST}\r\n")
    if later:
        await asyncio.sleep(0.02)
    writer.write_eof()
    assert (await answer(reader))[0] == 200
    assert await ends(reader)


@pytest.mark.parametrize("path", ["/livez", "/is-leader", "/metrics", "/nope"])
async def test_on_the_probe_listener_as_well(served: Listener, path: str) -> None:
    """Errors too."""
    reader, writer = await probe(served, f"GET {path} HTTP/1.1\r\n{HOST}\r\n")
    writer.write_eof()
    assert (await asyncio.wait_for(reader.readline(), 10)).split()[1] in {b"200", b"404"}
    assert b"\r\n\r\n" in await asyncio.wait_for(reader.read(), 10)


async def test_all_that_it_has_asked_for_is_answered(served: Listener) -> None:
    """Several requests in one piece, errors among them."""
    paths = ["/leader", "/history", "/nope", "/leader?since=x&wait=1m", "/members"] * 20
    reader, writer = await served.send("".join(f"GET {path} HTTP/1.1\r\n{HOST}\r\n" for path in paths))
    writer.write_eof()
    assert [(await answer(reader))[0] for _ in paths] == [404 if path == "/nope" else 200 for path in paths]
    assert await ends(reader)


async def test_a_command_is_done(served: Listener) -> None:
    reader, writer = await served.send(f"POST /resign HTTP/1.1\r\n{HOST}Content-Length: 2\r\n\r\n{{}}")
    writer.write_eof()
    assert (await answer(reader))[0] == 200
    assert await ends(reader)
    assert len(served.runner.resigned_with) == 1


@pytest.mark.parametrize("framing", ["Content-Length: 9\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"])
async def test_a_body_that_is_cut_short_is_an_error_and_changes_nothing(served: Listener, framing: str) -> None:
    """At once, and not when no more is waited for."""
    reader, writer = await served.send(f"POST /resign HTTP/1.1\r\n{HOST}{framing}")
    await asyncio.sleep(0.02)
    writer.write_eof()
    assert (await asyncio.wait_for(answer(reader), 5))[0] == 400
    assert await ends(reader)
    assert not served.runner.resigned_with


@pytest.mark.parametrize("begun", ["", "GET /leader HT", f"GET /leader HTTP/1.1\r\n{HOST}"])
async def test_half_a_request_has_no_answer(served: Listener, begun: str) -> None:
    """After another one, or as the first."""
    for before in (0, 1):
        reader, writer = await served.send(f"GET /leader HTTP/1.1\r\n{HOST}\r\n" * before + begun)
        if before:
            assert (await answer(reader))[0] == 200
        await asyncio.sleep(0.02)
        writer.write_eof()
        assert await ends(reader)


async def test_one_that_closes_its_side_while_it_reads_is_let_go_when_it_has_read(served: Listener) -> None:
    """Its end is heard while the kernel does not take the answer."""
    client = socket.socket(socket.AF_INET if served.way == "tcp" else socket.AF_UNIX)
    client.settimeout(0)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, served.sockets[0].getsockname())
    await loop.sock_sendall(client, f"GET /openapi.json HTTP/1.1\r\n{HOST}\r\n".encode())
    await asyncio.sleep(0.1)
    client.shutdown(socket.SHUT_WR)
    await asyncio.sleep(0.1)
    read = b""
    async with asyncio.timeout(20):
        while piece := await loop.sock_recv(client, 65536):
            read += piece
    assert read.rstrip().endswith(b"}")
    client.close()


@pytest.mark.parametrize("condition", ["since", "If-None-Match"])
async def test_a_parked_poll_is_answered_at_once_and_forgotten(served: Listener, condition: str) -> None:
    """With the present state: a client that has gone looks the same, and costs nothing. What was told is remembered (S11)."""
    now = served.runner.leadership.read()
    target, more = {
        "since": (f"/leader?since={now.version}&wait=10m", ""),
        "If-None-Match": ("/leader?wait=10m", f'If-None-Match: W/"{now.version}"\r\n'),
    }[condition]
    reader, writer = await served.send(f"GET {target} HTTP/1.1\r\n{HOST}{more}\r\n")
    await served.waiters(1)
    writer.write_eof()
    if condition == "since":
        status, body = await answer(reader)
        assert (status, body["version"]) == (200, now.version)
        assert served.runner.leadership.given_until_ns == body["valid_until_boottime_ns"]
    else:
        assert (await asyncio.wait_for(reader.readline(), 10)).split()[1] == b"304"
        await reader.read()
    assert await ends(reader)
    await served.waiters(0)
    assert not served.lives()


@pytest.mark.parametrize("path", ["/leader/events", "/leader/events?renewals=1", "/sse"])
async def test_a_stream_ends_whole(served: Listener, path: str) -> None:
    """With the present state, be the client's end heard together with its request."""
    for later in (False, True):
        reader, writer = await served.send(f"GET {path} HTTP/1.1\r\n{HOST}\r\n")
        if later:
            await served.waiters(1)
        writer.write_eof()
        told = await asyncio.wait_for(reader.read(), 10)
        assert b"data: " in told
        assert told.endswith(b"\r\n0\r\n\r\n")
        await served.waiters(0)


async def test_one_that_waits_for_a_poll_and_has_asked_for_more_is_answered_whole(
    served: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read from it any more, so that it has closed its side is asked for; then all is answered, in order."""
    monkeypatch.setattr(listener, "UNREAD_SECONDS", 1)
    version = served.runner.leadership.read().version
    poll, other = (f"GET {path} HTTP/1.1\r\n{HOST}\r\n" for path in (f"/leader?since={version}&wait=10m", "/leader"))
    reader, writer = await served.send(poll + other * 5 + poll + other)
    await served.waiters(1)
    writer.write_eof()
    for _ in range(8):
        assert (await answer(reader))[1]["version"] == version
    assert await ends(reader)
    await served.waiters(0)


async def test_one_that_has_gone_while_nothing_was_read_from_it_is_forgotten(served: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process has ended, with or without the kernel's farewell."""
    monkeypatch.setattr(listener, "UNREAD_SECONDS", 1)
    version = served.runner.leadership.read().version
    poll = f"GET /leader?since={version}&wait=10m HTTP/1.1\r\n{HOST}\r\n"
    for abruptly in (False, True):
        _, writer = await served.send(poll * 5)
        await served.waiters(1)
        if abruptly:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await served.waiters(0)
