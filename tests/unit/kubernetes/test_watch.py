"""A watch tells of the one Lease until the first oddity, and says why it ended."""

import asyncio
import json
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sidecar.election.record import parse
from sidecar.election.store import Alive, Busy, Changed, Closed, Deleted, Denied, Done, Missing, Opened, Unknown, WatchEvent
from sidecar.kubernetes import watch
from tests.support.scripted import LEASE, Reply, connected, refusal, reply, scripted, served, stream, until


def line(kind: str, found: Any = LEASE) -> bytes:
    return json.dumps({"type": kind, "object": found}).encode() + b"\n"


async def events(*replies: Reply) -> list[WatchEvent]:
    """All that one watch says."""
    async with served(*replies) as (_, store), aclosing(store.watch()) as found:
        return [event async for event in found]


async def why(*replies: Reply) -> object:
    """Why a watch ended that opened and told nothing."""
    found = await events(*replies)
    assert found[:-1] in ([Opened()], [])
    assert isinstance(found[-1], Closed)
    return found[-1].why


async def test_each_kind_of_event_is_told_in_order_and_an_orderly_end_has_no_reason() -> None:
    other = {**LEASE, "metadata": {**LEASE["metadata"], "name": "other"}}  # type: ignore[dict-item]
    found = await events(
        stream(line("ADDED"), line("BOOKMARK", {"kind": "Lease", "metadata": {"resourceVersion": "9"}}), line("MODIFIED", other)),
    )
    assert found == [Opened(), Changed(parse(LEASE)), Alive(), Closed(None)]
    assert await events(stream(line("MODIFIED"), line("DELETED"))) == [Opened(), Changed(parse(LEASE)), Deleted(), Closed(None)]


async def test_lines_are_found_wherever_the_chunks_break() -> None:
    whole = line("ADDED") + b"\n" + line("DELETED") + line("BOOKMARK", {})
    broken = [[whole[at : at + size] for at in range(0, len(whole), size)] for size in (1, 7, 64, len(whole))]
    broken += [[whole[:at], whole[at:]] for at in range(1, len(whole), 29)]
    for pieces in broken:
        assert await events(stream(*pieces)) == [Opened(), Changed(parse(LEASE)), Deleted(), Alive(), Closed(None)]


async def test_the_request_is_one_get_on_the_collection_that_get_and_watch_by_name_allow() -> None:
    times = set()
    for _ in range(8):
        async with served(stream()) as (server, store):
            assert [event async for event in store.watch()] == [Opened(), Closed(None)]
        (seen,) = server.requests
        parts = urlsplit(seen.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        assert (seen.method, parts.path) == ("GET", "/apis/coordination.k8s.io/v1/namespaces/shop/leases")
        seconds = int(query.pop("timeoutSeconds"))
        assert 240 <= seconds <= 480
        times.add(seconds)
        assert query == {"fieldSelector": "metadata.name=web", "watch": "1", "allowWatchBookmarks": "true"}
    assert len(times) > 1, "spread, so that a group does not come back all at once"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refusal(404, "the server could not find the requested resource"), Missing),
        (refusal(401, "Unauthorized"), Denied),
        (refusal(403, "leases is forbidden"), Denied),
        (refusal(429, "slow down", Retry_After="5"), Busy),
        (refusal(410, "too old"), Unknown),
        (refusal(400, "bad"), Unknown),
        (refusal(409, "odd"), Unknown),
        (refusal(500, "etcd"), Unknown),
        (reply(503, b"<html>"), Unknown),
        (reply(201, LEASE), Unknown),
        (reply(302, b"", Location="/"), Unknown),
        (Reply(b"", "close"), Unknown),
        (Reply(b"", "abort"), Unknown),
        (Reply(b"HTTP/1.1 20", "close"), Unknown),
    ],
)
async def test_a_watch_that_is_not_to_be_had_says_why_and_never_opens(answer: Reply, expected: type) -> None:
    (only,) = await events(answer)
    assert isinstance(only, Closed)
    assert isinstance(only.why, expected)
    if isinstance(only.why, Denied):
        assert "verb watch on leases.coordination.k8s.io" in only.why.message
    if isinstance(only.why, Busy):
        assert only.why.retry_after_seconds == 5


@pytest.mark.parametrize(
    "oddity",
    [
        line("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}),
        line("ERROR", {"kind": "Status", "code": 500}),
        line("ERROR", None),
        line("SOMETHING"),
        line("ADDED", None),
        line("ADDED", {"kind": "Lease", "metadata": {"name": "web"}}),
        line("ADDED", {"kind": "Status", "metadata": {"name": "web", "resourceVersion": "7"}}),
        line("MODIFIED", {"kind": "Lease", "metadata": []}),
        line("DELETED", "web"),
        b"<html><body>504 Gateway Time-out</body></html>\n",
        b"null\n",
        b"[" * 50_000 + b"\n",
        b"\xff\n",
        line("ADDED")[:-9] + b"\n",
    ],
)
async def test_the_first_oddity_ends_the_watch(oddity: bytes) -> None:
    """Nothing after it is believed: the stream is not what it should be."""
    found = await why(stream(oddity, line("ADDED")))
    assert isinstance(found, Unknown)
    assert "\n" not in found.message
    assert len(found.message) < 500


@pytest.mark.parametrize(
    "cut",
    [
        stream(line("ADDED")[:-20]),
        stream(line("ADDED")[:-20], end=False, then="close"),
        stream(line("ADDED")[:-20], end=False, then="abort"),
        stream(end=False, then="close"),
        Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", "close"),
    ],
)
async def test_a_stream_that_is_cut_off_is_no_orderly_end(cut: Reply) -> None:
    assert isinstance(await why(cut), Unknown)


async def test_a_line_without_end_is_given_up() -> None:
    pieces = [b"x" * 65536] * (watch.MAX_LINE_BYTES // 65536 + 2)
    assert isinstance(await why(stream(*pieces, end=False, then="hang")), Unknown)


async def test_silence_is_the_callers_to_limit_and_giving_up_drops_the_connection() -> None:
    async with served(stream(line("ADDED"), end=False, then="hang")) as (server, store):
        found = store.watch()
        assert await anext(found) == Opened()
        assert await anext(found) == Changed(parse(LEASE))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(found)
        await found.aclose()
        await until(lambda: server.ended == 1)


async def test_a_server_that_does_not_answer_at_all_can_be_given_up() -> None:
    async with served(Reply(b"", "hang"), stream()) as (server, store):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(store.watch())
        await until(lambda: server.ended == 1)
        assert [event async for event in store.watch()] == [Opened(), Closed(None)]


async def test_closing_the_generator_between_events_drops_the_connection() -> None:
    async with served(stream(line("ADDED"), end=False, then="hang")) as (server, store):
        found = store.watch()
        assert await anext(found) == Opened()
        await found.aclose()
        await until(lambda: server.ended == 1)


async def test_closing_the_store_ends_its_watch_and_none_is_opened_after() -> None:
    async with served(stream(end=False, then="hang"), stream()) as (server, store):
        found = store.watch()
        assert await anext(found) == Opened()
        rest = asyncio.create_task(anext(found))
        await asyncio.sleep(0)
        await store.close()
        last = await rest
        assert isinstance(last, Closed)
        assert isinstance(last.why, Unknown)
        await found.aclose()
        (only,) = [event async for event in store.watch()]
        assert isinstance(only, Closed)
        await until(lambda: server.ended == 1)
        assert len(server.requests) == 1


async def test_there_are_never_two_watches_at_once() -> None:
    async with served(stream(end=False, then="hang"), stream()) as (server, store):
        first = store.watch()
        assert await anext(first) == Opened()
        (refused,) = [event async for event in store.watch()]
        assert isinstance(refused, Closed)
        assert isinstance(refused.why, Unknown)
        assert len(server.requests) == 1
        await first.aclose()
        assert [event async for event in store.watch()] == [Opened(), Closed(None)]


async def test_a_watch_has_a_connection_of_its_own_that_no_request_uses_before_or_after() -> None:
    async with scripted(reply(200, LEASE), stream(), reply(200, LEASE)) as server, connected(server.url) as store:
        assert isinstance(await store.read(), Done)
        assert [event async for event in store.watch()] == [Opened(), Closed(None)]
        assert isinstance(await store.read(), Done)
        assert [seen.connection for seen in server.requests] == [1, 2, 1]
