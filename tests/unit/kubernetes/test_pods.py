"""Pods of a cluster, over HTTP: typed outcomes of what an API server, a proxy or nobody answers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from sidecar.election.store import Busy, Closed, Denied, Missing, Unknown
from sidecar.kubernetes.client import Client
from sidecar.kubernetes.credentials import Access
from sidecar.kubernetes.in_cluster import Configuration
from sidecar.kubernetes.pods import Found, KubernetesPods, Removed

POD = {"kind": "Pod", "metadata": {"name": "web-0", "uid": "u"}}
GONE = {"kind": "Status", "reason": "NotFound", "message": 'pods "web-0" not found'}


@asynccontextmanager
async def pods(handler: Callable[[web.Request], Any]) -> AsyncIterator[KubernetesPods]:
    """Those of the namespace shop, on a server that answers by `handler`."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    client = await Client.connect(Access(Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")), 10)
    try:
        yield KubernetesPods(client, "shop")
    finally:
        await client.close()
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, POD, Found(POD)),
        (404, GONE, Missing()),
        (404, {"message": "no such route"}, Unknown),
        (403, {"message": "forbidden"}, Denied),
        (429, {}, Busy(0)),
        (500, {}, Unknown),
        (200, {"kind": "Pod", "metadata": {"name": "web-1"}}, Unknown),
        (200, ["junk"], Unknown),
    ],
)
async def test_a_read_has_a_typed_outcome(status: int, body: object, expected: object) -> None:
    """A 404 that is not an API server's own word about Pods is no absence."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        return web.json_response(body, status=status)

    async with pods(answer) as found:
        outcome = await found.read("web-0", 5)
    assert asked == ["/api/v1/namespaces/shop/pods/web-0"]
    assert isinstance(outcome, expected) if isinstance(expected, type) else outcome == expected
    if isinstance(outcome, Denied):
        assert 'verb get on pods "web-0" in namespace "shop"' in outcome.message


async def test_a_watch_tells_of_the_one_pod_until_it_ends() -> None:
    selectors: list[str | None] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        selectors.append(request.query.get("fieldSelector"))
        stream = web.StreamResponse()
        await stream.prepare(request)
        for kind in ("ADDED", "MODIFIED", "DELETED"):
            await stream.write(web.json_response({"type": kind, "object": POD}).body + b"\n")  # type: ignore[operator]
        return stream

    async with pods(answer) as found:
        assert [event async for event in found.watch("web-0")] == [Found(POD), Found(POD), Removed(POD), Closed(None)]
    assert selectors == ["metadata.name=web-0"]


@pytest.mark.parametrize("status", [403, 404, 429, 500])
async def test_a_watch_that_is_refused_says_why(status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"message": "no"}, status=status)

    async with pods(answer) as found:
        (event,) = [event async for event in found.watch("web-0")]
    assert isinstance(event, Closed)
    assert isinstance(event.why, {403: Denied, 429: Busy}.get(status, Unknown))
