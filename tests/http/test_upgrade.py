"""A client that offers another protocol is answered in HTTP/1.1 (RFC 9110 7.8); Java's and `curl --http2` offer h2c with each request."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http.conftest import FakeRunner
from tests.http.test_connections import Listener
from tests.http.test_serving import answer

OFFERS = {
    "h2c": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n",
    "TLS": "Connection: upgrade\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n",
    "no protocol": "Connection: Upgrade\r\nUpgrade: \r\n",
}
REQUESTS = (
    ("GET /leader", "", 200),
    ("GET /leader?since=x&wait=1m", "", 200),
    ("POST /drained", "Content-Length: 0\r\n", 200),
    ("POST /resign", 'Content-Length: 12\r\n\r\n{"for":"1m"}', 200),
    ("POST /resign", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200),
)


@pytest.fixture
async def served(runner: FakeRunner, tmp_path: Path) -> AsyncIterator[Listener]:
    """Its runner leads."""
    it = Listener(runner, "tcp", tmp_path)
    await it.begin()
    yield it
    await it.end()


def request(line: str, offer: str, rest: str) -> str:
    """With that offer among its header fields; `rest`: fields, and the body if there is one."""
    fields = rest if "\r\n\r\n" in rest else f"{rest}\r\n"
    return f"{line} HTTP/1.1\r\nHost: localhost\r\n{offer}{fields}"


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
@pytest.mark.parametrize("piece", [False, True], ids=["one after the other", "in one piece"])
async def test_each_request_of_a_kept_connection_is_answered(served: Listener, offer: str, piece: bool) -> None:  # noqa: FBT001
    """Commands with and without a body among them."""
    asked = [(request(line, offer, rest), status) for line, rest, status in REQUESTS[:4] * 3]
    if piece:
        reader, writer = await served.send("".join(text for text, _ in asked))
        assert [(await answer(reader))[0] for _ in asked] == [status for _, status in asked]
        return
    reader, writer = await served.send(asked[0][0])
    for number, (_, status) in enumerate(asked, 1):
        assert (await answer(reader))[0] == status
        writer.write("".join(text for text, _ in asked[number : number + 1]).encode())


@pytest.mark.parametrize("offer", [*OFFERS.values(), "Connection: Upgrade\r\nUpgrade: websocket\r\n"], ids=[*OFFERS, "websocket"])
@pytest.mark.parametrize(("line", "rest", "status"), REQUESTS, ids=str)
async def test_whatever_is_offered_the_request_counts(served: Listener, offer: str, line: str, rest: str, status: int) -> None:
    """With each way to send a body."""
    reader, _ = await served.send(request(line, offer, rest))
    assert (await answer(reader))[0] == status
