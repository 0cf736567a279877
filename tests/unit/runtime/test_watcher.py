"""The watch of one candidate: when it is opened anew, and when its word is not taken for the whole truth."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from itertools import pairwise

import pytest

from sidecar.election.requests import Candidate
from sidecar.election.store import Closed, Denied, Opened, Outcome, Unknown, WatchEvent
from sidecar.runtime.leadership import Leadership, Names
from tests.simulation.memory_store import MemoryLease, MemoryStore
from tests.simulation.runners import NoStandBy
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.unit.runtime.test_standby import group

Script = Callable[["Counted"], AsyncGenerator[WatchEvent, None]]


class Counted(MemoryStore):
    """Counts reads and watches; each watch goes by the script, where there is one."""

    def __init__(self, lease: MemoryLease, script: Script | None = None) -> None:
        super().__init__(lease)
        self.reads = self.watches = 0
        self._script = script

    async def read(self) -> Outcome:
        """Counted."""
        self.reads += 1
        return await super().read()

    async def watch(self) -> AsyncGenerator[WatchEvent, None]:
        """Counted."""
        self.watches += 1
        events = super().watch() if self._script is None else self._script(self)
        async for event in events:
            yield event


async def shows_and_ends(store: Counted) -> AsyncGenerator[WatchEvent, None]:
    """As the API server does at its time limit."""
    events = MemoryStore.watch(store)
    yield await anext(events)
    yield await anext(events)
    await asyncio.sleep(3)
    yield Closed(None)


async def shows_and_breaks(store: Counted) -> AsyncGenerator[WatchEvent, None]:
    """In the middle of something, perhaps."""
    async for event in shows_and_ends(store):
        yield event if not isinstance(event, Closed) else Closed(Unknown("reset"))


async def opens_and_ends(_: Counted) -> AsyncGenerator[WatchEvent, None]:
    """With nothing to show."""
    yield Opened()
    await asyncio.sleep(3)
    yield Closed(None)


async def opens_and_is_mute(_: Counted) -> AsyncGenerator[WatchEvent, None]:
    """A proxy that holds everything back."""
    yield Opened()
    await asyncio.sleep(1e6)


async def is_denied(_: Counted) -> AsyncGenerator[WatchEvent, None]:
    """No right to watch."""
    yield Closed(Denied("no right"))


def a_minute_with(script: Script | None) -> Counted:
    """What a follower asks for in a minute in which another one leads and renews."""
    found: list[Counted] = []

    async def main() -> None:
        async with group("a") as (lease, _):
            me = Candidate("b_u", "process-b", "place", 15, 10, 2, 10)
            clock, store = VirtualClock(), Counted(lease, script)
            runner = NoStandBy(store, clock, Leadership(clock, Names("b_u", "web", "shop", "b")), me, random.Random(1))
            running = asyncio.create_task(runner.run())
            await asyncio.sleep(60)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            found.append(store)

    run_virtually(main())
    return found[0]


@pytest.mark.parametrize(
    ("script", "least", "most"),
    [
        (None, 1, 1),
        (shows_and_ends, 1, 1),
        (shows_and_breaks, 1, 1),
        (opens_and_ends, 21, 31),
        (opens_and_is_mute, 21, 31),
        (is_denied, 21, 31),
    ],
)
def test_a_watch_that_showed_the_lease_is_opened_anew_with_no_read(script: Script | None, least: int, most: int) -> None:
    """Each begins with the present state. While none shows the Lease it is polled every 1 to 1.4 retry periods (L1). One read comes first
    of all, whatever there is.
    """
    assert least <= a_minute_with(script).reads <= most


def test_when_the_holder_dies_each_watches_anew_before_its_promise_ends_and_reads_nothing() -> None:
    """A watch that is merely silent may be half-open. At various times (L2): that is a TLS handshake for each of a thousand."""

    async def main() -> None:
        lease, clock = MemoryLease(), VirtualClock()
        stores = [Counted(lease) for _ in range(40)]
        runners = []
        for number, store in enumerate(stores):
            me = Candidate(f"{number}_u", f"process-{number}", "place", 15, 10, 2, 10)
            runners.append(NoStandBy(store, clock, Leadership(clock, Names(me.identity, "web", "shop", "b")), me, random.Random(number)))
        leading = asyncio.create_task(runners[0].run())
        await asyncio.sleep(1)
        tasks: list[asyncio.Task[None]] = [asyncio.create_task(runner.run()) for runner in runners[1:]]
        await asyncio.sleep(3)
        leading.cancel()
        seen, reads = [], sum(store.reads for store in stores)
        for _ in range(149):
            seen.append(sum(store.watches - 1 for store in stores[1:]))
            await asyncio.sleep(0.1)
        assert seen[-1] == len(stores) - 1, "all, before fifteen seconds are over"
        assert max(later - earlier for earlier, later in pairwise(seen)) <= 5, "not all at once"
        assert sum(store.reads for store in stores) == reads
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    run_virtually(main())
