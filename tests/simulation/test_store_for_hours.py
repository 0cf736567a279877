"""The Kubernetes store over real aiohttp and the real client, for hours of virtual time."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import aclosing
from random import Random
from typing import Any

from aiohttp import web

from sidecar.election.record import Record, merge_patch
from sidecar.election.store import Alive, Changed, Closed, Conflict, Deleted, Done, Missing, Opened, Outcome, Unknown
from sidecar.kubernetes.credentials import Access
from sidecar.kubernetes.in_cluster import Configuration
from sidecar.kubernetes.store import KubernetesStore
from tests.simulation.fake_apiserver import FakeApiServer, drop
from tests.simulation.virtual_time import run_virtually

HOUR = 3600.0


def renewal(record: Record, holder: str, time_us: int) -> Record:
    return Record(version="", holder=holder, duration_seconds=15, acquire_time_us=1, renew_time_us=time_us, transitions=record.transitions)


async def connect(url: str, seed: int = 0) -> KubernetesStore:
    return await KubernetesStore.connect(Access(Configuration(host=url)), "shop", "web", dice=Random(seed).random)


def test_two_hours_of_reads_patches_and_watches_go_by_without_a_fault() -> None:
    """Every patch is seen by a watch that is opened anew each time the server ends it, and nothing is left open behind."""
    outcomes: Counter[str] = Counter()
    events: Counter[str] = Counter()

    async def main() -> None:
        server = FakeApiServer()
        server.put("shop", "web", {})
        async with server.serve() as url:
            store = await connect(url)
            loop = asyncio.get_running_loop()
            end = loop.time() + 2 * HOUR
            seen: set[str] = set()

            async def follow() -> None:
                while loop.time() < end:
                    async with aclosing(store.watch()) as stream:
                        async for event in stream:
                            events[type(event).__name__] += 1
                            if isinstance(event, Changed):
                                seen.add(event.record.version)
                            if isinstance(event, Closed):
                                assert event.why is None

            following = asyncio.create_task(follow())
            written: set[str] = set()
            while loop.time() < end:
                read = await store.read()
                outcomes[type(read).__name__] += 1
                assert isinstance(read, Done)
                patched = await store.patch(merge_patch(renewal(read.record, "web-0", int(loop.time() * 1e6) + 1), read.record.version))
                outcomes[type(patched).__name__] += 1
                assert isinstance(patched, Done)
                written.add(patched.record.version)
                await asyncio.sleep(2)
            await following
            await store.close()
            assert written <= seen
            await asyncio.sleep(1)
            assert server.open_watches == 0

    run_virtually(main())
    assert outcomes == {"Done": 7200}
    assert 15 <= events["Closed"] <= 31, "a watch lasts 240 to 480 s"
    assert events["Opened"] == events["Closed"]


async def limited(call: Coroutine[Any, Any, Outcome]) -> Outcome:
    """The call, given up after 4 s as the elector does it."""
    try:
        async with asyncio.timeout(4):
            return await call
    except TimeoutError:
        return Unknown("too late")


async def write(who: str, store: KubernetesStore, dice: Random) -> list[str]:
    """The outcomes of a thousand rounds of read and patch."""
    outcomes = []
    for step in range(1000):
        read = await limited(store.read())
        if isinstance(read, Done):
            patch = merge_patch(renewal(read.record, who, step * 1000 + 1), read.record.version)
            outcomes.append(type(await limited(store.patch(patch))).__name__)
        await asyncio.sleep(dice.random() * 0.01)
    return outcomes


def test_two_writers_and_a_server_that_drops_and_stalls_lose_no_update() -> None:
    """Under dropped requests, dropped answers and stalls, what the server holds is one chain of accepted writes, each sent once."""
    dice = Random(7)
    server = FakeApiServer()
    server.put("shop", "web", {})

    async def before(request: web.Request) -> web.StreamResponse | None:
        if request.method == "PATCH" and dice.random() < 0.1:
            drop(request)
            return web.Response()
        if dice.random() < 0.05:
            await asyncio.sleep(60)
        return None

    async def after(request: web.Request) -> web.StreamResponse | None:
        if request.method == "PATCH" and dice.random() < 0.1:
            drop(request)
        return None

    async def main() -> Counter[str]:
        server.before, server.after = before, after
        async with server.serve() as url:
            stores = [await connect(url, seed) for seed in range(2)]
            found = await asyncio.gather(*(write(f"web-{number}", store, dice) for number, store in enumerate(stores)))
            for store in stores:
                await store.close()
        return Counter(found[0] + found[1])

    outcomes = run_virtually(main())
    accepted = len(server.log) - 1
    assert outcomes["Done"] <= accepted <= outcomes["Done"] + outcomes["Unknown"]
    assert sum(1 for method, _ in server.requests if method == "PATCH") == outcomes.total(), "one PATCH on the wire for each call"
    assert set(outcomes) == {"Done", "Conflict", "Unknown"}


def test_a_lease_that_comes_and_goes_is_told_in_order() -> None:
    """Missing, created, conflicting create, deleted: the outcomes and the watch agree."""

    async def main() -> None:
        server = FakeApiServer()
        async with server.serve() as url:
            store = await connect(url)
            assert await store.read() == Missing()
            async with aclosing(store.watch()) as stream:
                assert await anext(stream) == Opened()
                assert await anext(stream) == Alive()
                body = merge_patch(Record(version="", holder="web-0", duration_seconds=15), None)
                created = await store.create(body)
                assert isinstance(created, Done)
                assert await anext(stream) == Changed(created.record)
                assert await store.create(body) == Conflict()
                server.delete("shop", "web")
                assert await anext(stream) == Deleted()
                assert await store.patch(merge_patch(created.record, created.record.version)) == Missing()
            await store.close()

    run_virtually(main())
