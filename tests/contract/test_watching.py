"""What every store's watch tells, and how soon."""

import asyncio
from dataclasses import replace
from statistics import median

from sidecar.election.store import (
    Closed,
    Deleted,
    Unknown,
)
from tests.contract.calls import HELD, done, number, renew, watching
from tests.contract.grounds import Ground, now


async def test_a_watch_begins_with_the_present_state(ground: Ground) -> None:
    store = await ground.store()
    for turn in range(3):
        written = done(await renew(store, replace(HELD, transitions=turn)))
        async with watching(store) as watch:
            assert await watch.changed() == written


async def test_a_watch_tells_of_a_change_a_deletion_and_a_new_lease(ground: Ground) -> None:
    store, other = await ground.store(), await ground.store()
    async with watching(store) as watch:
        first = await watch.changed()
        written = done(await renew(other))
        assert await watch.changed() == written
        own = done(await renew(store, replace(HELD, holder="web-1_u2", term=None)))
        assert await watch.changed() == own
        await ground.delete()
        assert await watch.next() == Deleted()
        await ground.create({"spec": {"holderIdentity": "web-2"}})
        created = await watch.changed()
        assert created.holder == "web-2"
        assert number(created) > number(own) > number(written) > number(first)


async def test_a_watch_on_a_missing_lease_tells_when_it_is_there(ground: Ground) -> None:
    store = await ground.store()
    await ground.delete()
    async with watching(store) as watch:
        waiting = asyncio.create_task(watch.changed())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await ground.create({})
        assert (await waiting).holder == ""


async def test_a_change_is_seen_soon(ground: Ground) -> None:
    store, other = await ground.store(), await ground.store()
    took: list[float] = []
    async with watching(store) as watch:
        await watch.changed()
        for turn in range(21):
            await asyncio.sleep(0.003 * (turn % 5))  # not in step with whoever polls
            written = done(await renew(other, replace(HELD, transitions=turn)))
            begin = now()
            assert await watch.changed() == written
            took.append(now() - begin)
    assert median(took) <= ground.seen_within_seconds, took


async def test_closing_the_store_ends_a_watch_and_calls_after_it_are_unknown(ground: Ground) -> None:
    store = await ground.store()
    async with watching(store) as watch:
        await watch.changed()
        waiting = asyncio.create_task(watch.next())
        await asyncio.sleep(0.05)
        await store.close()
        assert isinstance(await waiting, Closed)
    assert isinstance(await store.read(), Unknown)
    await store.close()


async def test_a_watch_that_is_given_up_leaves_the_store_usable(ground: Ground) -> None:
    store = await ground.store()
    for _ in range(3):
        async with watching(store) as watch:
            await watch.changed()
            waiting = asyncio.create_task(watch.next())
            await asyncio.sleep(0.05)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        done(await renew(store, replace(HELD, transitions=0)))
