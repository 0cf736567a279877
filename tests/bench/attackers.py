"""The clients of `attack.py`, in a process of their own: `python -m tests.bench.attackers PORT PROBE_PORT NAME`.

The waiting clients begin first. A line on standard input begins the others, another line ends them all. Then the program prints how many
connections it has made.
"""

import asyncio
import contextlib
import http.client
import json
import resource
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

AGAIN_SECONDS: Final = 5.0
POLLS: Final = 900
BEHIND: Final = 100
STREAMS: Final = 500
APP, PROBE = 0, 1

_HOST = b"Host: localhost\r\n"
_FIELDS = b"".join(b"X-%02d: %s\r\n" % (number, b"a" * 30) for number in range(17))
"""With them a request is as large as one that does not count as large may be."""
_LARGE = b"".join(b"X-%03d: %s\r\n" % (number, "\N{GRINNING FACE}".encode() * 20) for number in range(115))
"""Some 10 KB of header fields, each of them four bytes a letter for Python."""


_POST = b"POST /resign HTTP/1.1\r\n" + _HOST


def _get(target: str, fields: bytes = b"") -> bytes:
    return f"GET {target} HTTP/1.1\r\n".encode() + _HOST + fields + b"\r\n"


@dataclass(frozen=True)
class Kind:
    """A number of connections that do the same. Each is made again five seconds after it has ended."""

    what: str
    """For people."""
    listener: int
    count: int
    sends: Callable[[str], list[bytes]]
    """Given the version that the leader answers: pieces, some time apart."""
    reads: int | None = 0
    """Bytes a second; None: all."""


def _both(what: str, app: int, probe: int, sends: Callable[[str], list[bytes]], reads: int | None = 0) -> tuple[Kind, Kind]:
    return Kind(what, APP, app, sends, reads), Kind(what, PROBE, probe, sends, reads)


WAITING: Final = (
    Kind("long-polls", APP, POLLS, lambda version: [_get(f"/leader?since={version}&wait=10m", _FIELDS)], None),
    Kind("long-polls, and more requests behind each, of 14 KB", APP, BEHIND,
         lambda version: [_get(f"/leader?since={version}&wait=10m", _FIELDS), *[_get("/livez", _LARGE)] * 10]),
    Kind("streams, half of them never read", APP, STREAMS // 2, lambda _: [_get("/leader/events?renewals=1", _FIELDS)]),
    Kind("streams", APP, STREAMS // 2, lambda _: [_get("/leader/events?renewals=1", _FIELDS)], None),
)  # fmt: skip
"""Those that the others are to leave alone."""

FLOOD: Final = (
    *_both("silent connections", 800, 1500, lambda _: []),
    *_both("connections that rest after an answer", 800, 800, lambda _: [_get("/livez", _FIELDS)], None),
    *_both("heads that do not end, of 15 KB", 200, 400, lambda _: [b"GET /livez HTTP/1.1\r\n" + _HOST + _LARGE + b"X: " + b"a" * 4000]),
    *_both("heads of 16 KiB and more", 50, 50, lambda _: [_get("/livez", _LARGE + b"X: " + b"a" * 20_000 + b"\r\n")] * 3, None),
    *_both("large heads, answered, and then at rest", 100, 100, lambda _: [_get("/livez?" + "a&" * 60, _LARGE)], None),
    *_both("answers that nobody reads", 200, 300, lambda _: [_get("/openapi.json") * 200] * 20),
    *_both("answers that are read at 2 KB a second", 50, 100, lambda _: [_get("/openapi.json") * 200], 2000),
    Kind("bodies that do not end", APP, 200, lambda _: [_POST + b"Content-Length: 65536\r\n\r\n" + b" " * 60_000]),
    Kind("bodies that do not end", PROBE, 100, lambda _: [_get("/livez", b"Transfer-Encoding: chunked\r\n"), *[b"1;" + b"x" * 9000] * 50]),
)  # fmt: skip


@dataclass(frozen=True)
class Attack:
    """What takes part."""

    name: str
    waiting: float
    """The share of the waiting connections."""
    app: bool
    """Whether the app listener is flooded, too: only the Pod's own programs reach it."""

    def count(self, kind: Kind) -> int:
        """The number of connections of a kind."""
        if kind in WAITING:
            return int(kind.count * self.waiting)
        return kind.count if self.app or kind.listener == PROBE else 0

    def all_wait(self) -> tuple[int, int]:
        """Polls and streams that are to wait through all of it."""
        polls, behind, unread, streams = map(self.count, WAITING)
        return polls + behind, unread + streams


EVERYTHING: Final = Attack("everything", 1, app=True)
ATTACKS: Final = {each.name: each for each in (EVERYTHING, Attack("from the network", 0.1, app=False))}


class _Client(asyncio.Protocol):
    """One connection of a kind."""

    def __init__(self, kind: Kind, pieces: list[bytes]) -> None:
        self.kind, self.pieces = kind, pieces
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send all, read as it is told to."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        if self.kind.reads is not None:
            transport.pause_reading()
        for number, piece in enumerate(self.pieces):
            asyncio.get_running_loop().call_later(number * 0.05, self._sends, piece)
        if self.kind.reads:
            asyncio.get_running_loop().call_later(1, self._reads, self.kind.reads)

    def _sends(self, piece: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(piece)

    def _reads(self, size: int) -> None:
        if not self.transport.is_closing():
            with contextlib.suppress(BlockingIOError, OSError):
                socket.socket.recv(self.transport.get_extra_info("socket")._sock, size)
            asyncio.get_running_loop().call_later(1, self._reads, size)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - its signature
        """Let go."""
        if not self.ended.done():
            self.ended.set_result(None)


async def _keep(kind: Kind, port: int, version: str, made: Counter[str]) -> None:
    loop, pieces = asyncio.get_running_loop(), kind.sends(version)
    while True:
        with contextlib.suppress(OSError):
            client = socket.socket()
            client.setblocking(False)  # noqa: FBT003 - its signature
            if kind.reads is not None:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            await loop.sock_connect(client, ("127.0.0.1", port))
            _, protocol = await loop.create_connection(lambda: _Client(kind, pieces), sock=client)
            made[kind.what] += 1
            await protocol.ended
        await asyncio.sleep(AGAIN_SECONDS)


async def clients(ports: tuple[int, int], what: Attack) -> None:
    """Those that wait first, and when they have been told so by standard input, the others, until that ends."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(16_384, hard), hard))
    loop, made = asyncio.get_running_loop(), Counter[str]()
    version = (await loop.run_in_executor(None, ask, ports[APP], "/leader"))[1]["version"]
    tasks = [loop.create_task(_keep(kind, ports[kind.listener], version, made)) for kind in WAITING for _ in range(what.count(kind))]
    print("waiting", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    for number in range(max(kind.count for kind in FLOOD)):
        tasks += [loop.create_task(_keep(kind, ports[kind.listener], version, made)) for kind in FLOOD if number < what.count(kind)]
        if number % 20 == 0:
            await asyncio.sleep(0.1)
    await loop.run_in_executor(None, sys.stdin.readline)
    print(json.dumps(made), flush=True)


def ask(port: int, path: str) -> tuple[float, dict[str, str]]:
    """How long an answer took, seconds, and its body if that is JSON."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        body = reply.read()
        assert reply.status == 200, f"{path}: {reply.status} {body!r}"
        return time.monotonic() - began, json.loads(body) if body.startswith(b"{") else {}
    finally:
        connection.close()


if __name__ == "__main__":
    asyncio.run(clients((int(sys.argv[1]), int(sys.argv[2])), ATTACKS[sys.argv[3]]))
