"""`/openapi.json` is true: schemathesis, with every check that it has, finds nothing in either listener; nor do random bytes."""

import asyncio
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.durations import parse_seconds
from sidecar.http import openapi
from sidecar.http.commands import MAX_OUT_SECONDS
from tests.http.conftest import Client
from tests.http.stand_in import StandIn
from tests.support.share import first

BYTES = first([20_000, int(os.environ.get("RANDOM_REQUESTS", "100000"))])
EXAMPLES = first([15, 50])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("listener", [0, 1], ids=["app", "probes"])
def test_schemathesis_finds_nothing(stand_in: StandIn, listener: int, examples: int, tmp_path: Path) -> None:
    """All checks; 5xx by contract (`/is-leader`, `/health`) does not come up: the stand-in always leads."""
    url = f"http://127.0.0.1:{stand_in.ports[listener]}/openapi.json"
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        url,
        "--checks",
        "all",
        f"--max-examples={examples}",
        "--no-color",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "No issues found" in done.stdout


async def test_every_route_is_described_and_every_description_is_served(client: Client, probe: Client) -> None:
    for served, listener in ((client, openapi.APP), (probe, openapi.PROBES)):
        document = await (await served.get("/openapi.json")).json()
        described = {*document["paths"], *document.get("x-streams", ())}
        assert described == {resource.canonical for resource in served.app.router.resources()}
        assert document == json.loads(json.dumps(openapi.document(listener)))


def test_every_time_out_that_is_described_is_taken() -> None:
    """24h at most, in each unit; what the pattern lets through, `/resign` does not refuse."""
    texts = [f"{number}{unit}" for number in range(10_000) for unit in ("", "ms", "s", "m", "h", "m59s", "h59m", "h59m59s")]
    described = [text for text in texts if re.match(openapi.OUT, text)]
    assert {"0", "9999s", "1440m", "24h", "1m59s", "23h59m59s"} <= set(described)
    assert max(map(parse_seconds, described)) <= MAX_OUT_SECONDS


def garbage(rng: random.Random) -> bytes:
    """What is no request, or nearly one."""
    kind = rng.randrange(5)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 200))
    method = rng.choice(("GET", "POST", "HEAD", "PUT", "TRACE", "\x00", "get"))
    path = rng.choice(("/", "/leader", "/is-leader", "/drained", "/resign", "/metrics", "/%ff", "//x", "/leader?wait=x", "*"))
    head = f"{method} {path} HTTP/1.{rng.randrange(3)}\r\nHost: {rng.choice(('localhost', 'evil.example', ''))}\r\n".encode()
    body = rng.randbytes(rng.randrange(40))
    if kind == 1:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    if kind == 2:
        return head + b"X: " + b"a" * rng.choice((1, 100, 9000)) + b"\r\n\r\n"
    if kind == 3:
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + rng.choice((b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", body))
    whole = bytearray(head + b"\r\n")
    for _ in range(rng.randrange(1, 6)):
        whole[rng.randrange(len(whole))] = rng.randrange(256)
    return bytes(whole)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("requests", BYTES)
async def test_random_bytes_are_answered_below_500_and_leave_nothing_behind(stand_in: StandIn, requests: int) -> None:
    """Many thousands over both listeners: no 5xx but another version's 505, no descriptor left, memory flat after the first tenth."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    rng = random.Random(seed)
    settled = 0
    for batch in range(100):
        jobs = [throw(stand_in.ports[number % 2], garbage(rng)) for number in range(requests // 100)]
        for number in range(0, len(jobs), 50):
            for answer in await asyncio.gather(*jobs[number : number + 50]):
                assert not answer.startswith((b"HTTP/1.1 5", b"HTTP/1.0 5")) or answer[9:12] == b"505", answer[:300]
                assert answer[:9] in {b"", b"HTTP/1.1 ", b"HTTP/1.0 "}, answer[:300]
        if batch == 10:
            settled = stand_in.resident_bytes()
    files = stand_in.open_files()
    grown = stand_in.resident_bytes() - settled
    print(f"{requests} requests, resident memory grew by {grown / 1e6:.1f} MB, {files} descriptors are open")
    assert files < 60
    assert grown < 4_000_000


async def throw(port: int, request: bytes) -> bytes:
    """Send it, and no more; what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        writer.write_eof()
        async with asyncio.timeout(20):
            return await reader.read(400)
    except ConnectionError:
        return b""
    finally:
        writer.close()
