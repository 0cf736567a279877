"""Many clients at once, over real sockets, against the listeners in a process of their own: each is told, none costs another anything."""

import asyncio
import json
import os
import random
import resource
import socket
from dataclasses import dataclass, field

import pytest

from sidecar.clock import SystemClock
from tests.http.stand_in import StandIn

POLLS, STREAMS = 1000, 200
CLOCK = SystemClock()
COMERS = int(os.environ.get("COMERS", "5000"))
TOLD_SECONDS = 2.0
"""Room for a busy machine; what it took is printed, and is some 0.1 s."""


@pytest.fixture(autouse=True)
def open_files() -> None:
    """This process holds one end of each connection."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))


@dataclass
class Crowd:
    """Connections to one port."""

    port: int
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def ask(self, target: str) -> asyncio.StreamReader:
        """A connection with that request on it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return reader

    async def get(self, target: str) -> dict[str, object]:
        """The body of an answer."""
        return (await whole(await self.ask(target)))[0]

    async def metric(self, name: str) -> float:
        """One of its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        return float(next(line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"{name}{{")))

    async def until(self, name: str, value: float) -> None:
        """Until that is its value."""
        async with asyncio.timeout(60):
            while await self.metric(name) != value:  # noqa: ASYNC110 - another process's
                await asyncio.sleep(0.05)

    def leave(self) -> None:
        """Close them all."""
        for writer in self.writers:
            writer.transport.abort()
        self.writers.clear()


async def whole(reader: asyncio.StreamReader) -> tuple[dict[str, object], int]:
    """The next response, to its last byte, and when that was there."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    body = await reader.readexactly(length)
    at_ns = CLOCK.boottime_ns()
    found = json.loads(body)
    assert isinstance(found, dict)
    return found, at_ns


async def event(reader: asyncio.StreamReader) -> tuple[dict[str, object], int]:
    """The next event's data, and when its last byte was there."""
    while not (text := await reader.readuntil(b"\n\n")).partition(b"data: ")[2]:
        pass
    at_ns = CLOCK.boottime_ns()
    found = json.loads(text.partition(b"data: ")[2].split(b"\n")[0])
    assert isinstance(found, dict)
    return found, at_ns


@pytest.mark.timeout(300)
async def test_a_thousand_polls_and_two_hundred_streams_are_told_of_a_change_at_once(stand_in: StandIn) -> None:
    """To the last byte of the last of them; three times, with all kinds at once."""
    crowd = Crowd(stand_in.ports[0])
    took = []
    for word, state in (("follow", "following"), ("lead", "leading"), ("follow", "following")):
        version = (await crowd.get("/leader"))["version"]
        polls = [await crowd.ask(f"/leader?since={version}&wait=5m") for _ in range(POLLS)]
        streams = [await crowd.ask("/leader/events") for _ in range(STREAMS)]
        for stream in streams:
            await event(stream)
        await crowd.until("leader_sidecar_parked_polls", POLLS)
        changed_ns = stand_in.do(word)
        async with asyncio.timeout(60):
            told = await asyncio.gather(*map(whole, polls), *map(event, streams))
        assert {body["state"] for body, _ in told} == {state}
        took.append((max(at_ns for _, at_ns in told) - changed_ns) / 1e9)
        crowd.leave()
        await crowd.until("leader_sidecar_streams", 0)
    print(f"{POLLS} polls and {STREAMS} streams were told within " + ", ".join(f"{1000 * seconds:.0f} ms" for seconds in took))
    stand_in.do("lead")
    assert min(took) < TOLD_SECONDS


@pytest.mark.timeout(300)
async def test_clients_that_come_and_vanish_leave_nothing_behind(stand_in: StandIn) -> None:
    """5,000 of every kind, some in the middle of a request: descriptors, tasks and resident memory are back where they were."""
    crowd, rng = Crowd(stand_in.ports[0]), random.Random(7)

    async def come(number: int) -> None:
        version = (await crowd.get("/leader"))["version"] if number % 50 == 0 else "x"
        for _ in range(number):
            kind = rng.randrange(5)
            if kind == 0:
                await crowd.ask(f"/leader?since={version}&wait=10m")
            elif kind == 1:
                await crowd.ask(rng.choice(("/leader/events", "/leader/events?renewals=1", "/sse")))
            elif kind == 2:
                await crowd.get("/leader")
            else:
                _, writer = await asyncio.open_connection("127.0.0.1", crowd.port)
                crowd.writers.append(writer)
                writer.write(rng.choice((b"", b"GET /lea", b"POST /resign HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")))
        crowd.leave()

    async def settled() -> tuple[int, int, int]:
        await crowd.until("leader_sidecar_parked_polls", 0)
        await crowd.until("leader_sidecar_streams", 0)
        async with asyncio.timeout(30):
            while stand_in.open_files() > files or stand_in.do("tasks") > tasks:  # noqa: ASYNC110 - another process's
                await asyncio.sleep(0.05)
        return stand_in.open_files(), stand_in.do("tasks"), stand_in.resident_bytes()

    files, tasks = stand_in.open_files(), stand_in.do("tasks")
    for _ in range(80):  # until the allocator has what it keeps: 1 MB, which 20,000 more do not add to
        await come(50)
    warm = await settled()
    for _ in range(COMERS // 50):
        await come(50)
    after = await settled()
    print(f"before: {warm} descriptors, tasks, bytes; after {COMERS} more: {after}")
    assert after[:2] <= warm[:2]
    assert after[2] - warm[2] < 1_000_000


@pytest.mark.timeout(120)
async def test_a_client_that_stops_reading_is_cut_off_and_costs_the_others_nothing(stand_in: StandIn) -> None:
    """It reads nothing, with the smallest buffer that a socket may have; another stream meanwhile has each change at once."""
    crowd = Crowd(stand_in.ports[0])
    _, stuck = await asyncio.open_connection("127.0.0.1", crowd.port, limit=1)
    stuck.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    stuck.transport.pause_reading()  # type: ignore[attr-defined]
    stuck.write(b"GET /leader/events?renewals=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    good = await crowd.ask("/leader/events")
    await event(good)
    await crowd.until("leader_sidecar_streams", 2)
    slowest, number = 0.0, 0
    async with asyncio.timeout(100):
        while await crowd.metric("leader_sidecar_streams") == 2:
            for word in ("follow", "lead") * 50:
                changed_ns = stand_in.do(word)
                _, at_ns = await event(good)
                slowest, number = max(slowest, (at_ns - changed_ns) / 1e9), number + 1
    stuck.transport.abort()
    crowd.leave()
    print(f"cut off after {number} events; the other stream was told within {1000 * slowest:.0f} ms each time")
    assert slowest < TOLD_SECONDS
