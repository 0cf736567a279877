"""HTTP as both listeners speak it, whatever the route: versions, bodies, expectations, and what every answer carries."""

import asyncio
import gzip
import zlib

import pytest

from sidecar.http import leader
from tests.http.raw import Response, exchange, status_of
from tests.http.test_serving import Served, served

__all__ = ["served"]

COMMANDS = ("/drained", "/resign", "/campaign")
HOST = "Host: localhost\r\n"


def unchanged(it: Served) -> bool:
    """Whether no command has reached the runner."""
    return (it.runner.drained_with, it.runner.resigned_with, it.runner.campaigns) == ([], [], 0)


def port(it: Served, *, probe: bool = False) -> int:
    """Of one of its listeners."""
    sockets = it.probe_sockets if probe else it.sockets
    return int(sockets[0].getsockname()[1])


# ---- bodies --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", COMMANDS)
@pytest.mark.parametrize(
    "body", [b"", b"x", b"\x1f\x8b", gzip.compress(b"{}", mtime=0), gzip.compress(b"{}", mtime=0)[:-4], zlib.compress(b"{}"), b"{}"]
)
@pytest.mark.parametrize(
    "coding", ["gzip", "deflate", "br", "zstd", "x-gzip", "GZIP", "junk", "gzip, identity", "identity, gzip", "\u017fip"]
)
async def test_a_body_with_a_content_coding_is_415_and_changes_nothing(served: Served, path: str, body: bytes, coding: str) -> None:
    """Whether it can be decoded or not: one that is cut short decodes to nothing, and nothing is an order."""
    head = f"POST {path} HTTP/1.1\r\n{HOST}Content-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n"
    found = await exchange(port(served), head.encode() + body)
    assert found.status == 415
    assert found.json()["error"] == "unsupported media type"
    assert found.values("accept-encoding") == ["identity"], "RFC 9110 12.5.3"
    assert unchanged(served)


@pytest.mark.parametrize("probe", [False, True])
async def test_a_content_coding_is_refused_on_any_route_and_with_no_body_at_all(served: Served, probe: bool) -> None:  # noqa: FBT001 - the listener
    for target in ("GET /is-leader", "HEAD /healthz", "GET /nothing", "POST /campaign"):
        for codings in ("Content-Encoding: gzip\r\n", "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"):
            head = f"{target} HTTP/1.1\r\n{HOST}{codings}\r\n".encode()
            assert (await exchange(port(served, probe=probe), head, head_alone=target.startswith("HEAD"))).status == 415
    assert unchanged(served)


@pytest.mark.parametrize("coding", ["identity", "Identity", "", "identity, identity"])
async def test_identity_is_no_coding(served: Served, coding: str) -> None:
    assert await status_of(served, f"POST /campaign HTTP/1.1\r\n{HOST}Content-Encoding: {coding}\r\nContent-Length: 0\r\n\r\n") == 200
    assert served.runner.campaigns == 1


@pytest.mark.parametrize("path", COMMANDS)
@pytest.mark.parametrize(
    ("parts", "status"),
    [
        (["Transfer-Encoding: chunked\r\n\r\nzz\r\n"], 400),
        (["Transfer-Encoding: chunked\r\n\r\n", "zz\r\n"], 400),
        (["Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "zz\r\n"], 400),
        (["Transfer-Encoding: chunked\r\n\r\n2\r\n{}x", "\r\n0\r\n\r\n"], 400),
        (["Transfer-Encoding: chunked\r\n\r\n", "-1\r\n\r\n"], 400),
        (["Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"], 400),
        (["Transfer-Encoding: identity\r\n\r\n", "{}"], 400),
        (["Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"], 400),
        (["Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], 400),
        (["Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"], 400),
        (["Transfer-Encoding: \r\n\r\n", "{}"], 400),
        (["Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n"], 400),
        (["Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], 400),
        (["Content-Length: 0\r\nContent-Length: 2\r\n\r\n{}"], 400),
        (["Content-Length: 0, 2\r\n\r\n{}"], 400),
        (["Content-Length: +0\r\n\r\n"], 400),
        (["Content-Length: -1\r\n\r\n"], 400),
        (["Content-Length: \r\n\r\n{}"], 400),
        (["Content-Length: 0x2\r\n\r\n{}"], 400),
        (["Content-Length: 18446744073709551616\r\n\r\n{}"], 400),
        (["Content-Length: 18446744073709551615\r\n\r\n{}"], 413),
        (["Content-Length: 65537\r\n\r\n{}"], 413),
    ],
)
async def test_a_body_whose_extent_cannot_be_told_changes_nothing(served: Served, path: str, parts: list[str], status: int) -> None:
    """At once, and not when the time for a body is over; the largest length that the parser can hold it takes for none."""
    assert await status_of(served, f"POST {path} HTTP/1.1\r\n{HOST}{parts[0]}", *parts[1:]) == status
    assert unchanged(served)


async def test_http_1_0_knows_no_chunks(served: Served) -> None:
    """Its framing is faulty then (RFC 9112 6.1)."""
    assert await status_of(served, "POST /campaign HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == 400
    assert unchanged(served)


async def test_a_body_that_breaks_off_changes_nothing(served: Served) -> None:
    """Its client has gone, or has closed its half."""
    for half in (False, True):
        _, writer = await served.send(f"POST /campaign HTTP/1.1\r\n{HOST}Content-Length: 10\r\n\r\n{{")
        await asyncio.sleep(0.05)
        if half:
            writer.write_eof()
        else:
            writer.close()
    await asyncio.sleep(0.1)
    assert unchanged(served)


@pytest.mark.parametrize("body", [
    b'{"token": 7, "token": 8}', b'{"token": 7, "\\u0074oken": 7}', b'{"token": NaN}', b'{"token": Infinity}', b'{"token": 1e400}',
    b'\xef\xbb\xbf{"token": 7}', '{"token": 7}'.encode("utf-16"), '{"token": 7}'.encode("utf-32-le"), '{"token": 7}'.encode("utf-16-le"),
    b'{"token": 7}\x00', b'{"token": 7} {}', b'{"token": 7,}', b"{'token': 7}", b"token=7", b"\x00", b"\n", b"null", b"0", b'""', b"[]",
    b'{"\xff": 7}', b'{"token": ' + b"9" * 5000 + b"}", b'{"token": null}',
])  # fmt: skip
async def test_a_body_that_two_readers_would_read_otherwise_is_400(served: Served, body: bytes) -> None:
    """A name that stands twice, what is no JSON (RFC 8259), what is not UTF-8: refused, whatever Content-Type says, nothing changed."""
    for kind in ("application/json", "text/plain", "application/json; charset=utf-16", "application/x-www-form-urlencoded"):
        for path in ("/drained", "/campaign"):
            head = f"POST {path} HTTP/1.1\r\n{HOST}Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            assert (await exchange(port(served), head.encode() + body)).status == 400
    assert unchanged(served)


@pytest.mark.parametrize("path", COMMANDS)
async def test_a_command_takes_no_query(served: Served, path: str) -> None:
    """A token there, or a time, would not be heard: the command is another one than was meant."""
    assert await status_of(served, f"POST {path}?token=7&for=10m HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n") == 400
    assert unchanged(served)


async def test_a_whole_body_in_chunks_is_as_good_as_any(served: Served) -> None:
    chunks = ["Transfer-Encoding: chunked\r\n\r\n", '6\r\n{"toke\r\n', '6\r\nn": 7}\r\n0\r\n\r\n']
    assert await status_of(served, f"POST /drained HTTP/1.1\r\n{HOST}{chunks[0]}", *chunks[1:]) == 200
    assert served.runner.drained_with == [7]


# ---- expectations and versions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expected", ["junk", "100-continue, junk", "200-ok", "100-continue; x=1", "100-continue\r\nExpect: junk"])
async def test_any_other_expectation_is_417(served: Served, expected: str) -> None:
    """On every route, in JSON; and after the Host."""
    for target in ("GET /leader", "POST /campaign", "GET /nothing", "PUT /leader"):
        assert await status_of(served, f"{target} HTTP/1.1\r\n{HOST}Expect: {expected}\r\n\r\n") == 417
        assert await status_of(served, f"{target} HTTP/1.1\r\nHost: evil.example\r\nExpect: {expected}\r\n\r\n") == 421
        probed = await exchange(port(served, probe=True), f"{target} HTTP/1.1\r\n{HOST}Expect: {expected}\r\n\r\n".encode())
        assert (probed.status, set(probed.json())) == (417, {"error", "message"})
    assert unchanged(served)


async def test_who_expects_100_continue_gets_it_before_the_body_is_sent(served: Served) -> None:
    """And who may not ask gets the refusal in its place."""
    head = f"POST /drained HTTP/1.1\r\n{HOST}Expect: 100-Continue\r\nContent-Length: 12\r\n\r\n"
    found = await exchange(port(served), head.encode(), b'{"token": 7}')
    assert (found.before, found.status) == (["HTTP/1.1 100 Continue"], 200)
    assert served.runner.drained_with == [7]
    for more in ("Origin: http://evil.example\r\n", "Content-Encoding: gzip\r\n"):
        found = await exchange(port(served), head.replace("Expect", f"{more}Expect").encode())
        assert (found.before, found.status // 100) == ([], 4)


@pytest.mark.parametrize("version", ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/1.2", "HTTP/9.9"])
@pytest.mark.parametrize("probe", [False, True])
async def test_another_version_of_http_is_505_and_not_echoed(served: Served, version: str, probe: bool) -> None:  # noqa: FBT001 - the listener
    """RFC 9110 15.6.6, in a version that is spoken here (2.5); the connection ends."""
    for target in ("GET /is-leader", "POST /campaign"):
        found = await exchange(port(served, probe=probe), f"{target} {version}\r\n{HOST}Content-Length: 0\r\n\r\n".encode())
        assert (found.status, found.json()["error"]) == (505, "http version not supported")
        assert found.status_line.startswith(("HTTP/1.1 ", "HTTP/1.0 "))
    assert unchanged(served)


@pytest.mark.parametrize("request_", ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /leader\r\n\r\n"])
async def test_how_http_2_begins_and_how_http_0_9_was_asked_are_505_as_well(served: Served, request_: str) -> None:
    assert await status_of(served, request_) == 505


@pytest.mark.parametrize("version", ["HTTP/1.10", "HTTP/10.1", "http/1.1", "HTTPS/1.1", "HTTP/1,1", "HTTP/x"])
async def test_what_is_no_version_is_400(served: Served, version: str) -> None:
    assert await status_of(served, f"GET /leader {version}\r\n{HOST}\r\n") == 400


# ---- every answer --------------------------------------------------------------------------------------------------------------------

EVERYTHING = [
    *(f"GET {path} HTTP/1.1\r\n{HOST}\r\n" for path in (
        "/leader", "/leader?wait=x", "/is-leader", "/healthz", "/livez?verbose", "/readyz", "/metrics", "/openapi.json", "/history",
        "/members", "/", "/health", "/nothing", "/drained",
    )),
    f"GET / HTTP/1.1\r\n{HOST}Accept: text/html\r\n\r\n",
    f"GET /leader HTTP/1.1\r\n{HOST}If-None-Match: *\r\n\r\n",
    f"GET /leader/events HTTP/1.1\r\n{HOST}\r\n",
    f"GET /sse HTTP/1.0\r\n{HOST}\r\n",
    f"POST /campaign HTTP/1.1\r\n{HOST}Expect: 100-continue\r\nContent-Length: 0\r\n\r\n",
    f"POST /campaign HTTP/1.1\r\n{HOST}Content-Length: 1\r\n\r\nx",
    f"POST /campaign HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    f"GET /leader HTTP/1.1\r\n{HOST}Expect: junk\r\n\r\n",
    "GET /leader HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "GET /leader HTTP/1.1\r\n\r\n",
    f"GET /leader HTTP/2.0\r\n{HOST}\r\n",
    f"GET /leader HTTP/3.0\r\n{HOST}\r\n",
    "GARBAGE\r\n\r\n",
    f"GET /leader HTTP/1.1\r\n{HOST}X: {'a' * 20_000}\r\n\r\n",
    f"GET /leader HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("probe", [False, True])
@pytest.mark.parametrize("request_", EVERYTHING)
async def test_no_answer_names_what_serves_it_and_all_are_what_they_say(served: Served, request_: str, probe: bool) -> None:  # noqa: FBT001 - the listener
    """No Server, nosniff once, no-store: of routes, streams, refusals and the parser's own errors, on both listeners."""
    served.runner.lead()
    found = await exchange(port(served, probe=probe), request_.encode(), head_alone=True)
    assert_dressed(found)
    assert not any("server" in head.lower() for head in found.before)


def assert_dressed(found: Response) -> None:
    """What every answer carries, and what none does."""
    assert found.values("server") == []
    assert found.values("x-content-type-options") == ["nosniff"]
    assert found.values("cache-control") == ["no-store"]


async def test_a_stream_too_many_and_a_fault_of_our_own_are_no_exception(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "MAX_STREAMS", 0)
    found = await exchange(port(served), f"GET /leader/events HTTP/1.1\r\n{HOST}\r\n".encode())
    assert found.status == 503
    assert_dressed(found)
    monkeypatch.setattr(served.runner, "campaign", lambda: 1 // 0)
    found = await exchange(port(served), f"POST /campaign HTTP/1.1\r\n{HOST}Content-Length: 0\r\n\r\n".encode())
    assert found.status == 500
    assert_dressed(found)
