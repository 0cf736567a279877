"""Watches that fail, each in its own way, while reads and writes go well: proxies, load balancers and API servers make such."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from sidecar.election.requests import Candidate
from sidecar.election.store import Alive, Busy, Changed, Closed, Denied, Missing, Opened, Outcome, Unknown, WatchEvent
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner
from tests.simulation.memory_store import MemoryLease, MemoryStore
from tests.simulation.runners import NoStandBy
from tests.simulation.virtual_time import VirtualClock

Events = AsyncGenerator[WatchEvent, None]
Kind = Callable[["FailingStore"], Events]

FOREVER = 1e6
HOUR = 3600.0


@dataclass(frozen=True)
class Times:
    """Lease duration, renew deadline and retry period, in seconds."""

    lease: int
    renew: float
    retry: float

    def __str__(self) -> str:
        """As people write them."""
        return f"{self.lease}/{self.renew:g}/{self.retry:g}"

    @property
    def release_seconds(self) -> float:
        """L1 where it must poll, after a release: a poll and a half; the read, the write and whose turn it is have a tenth of a second."""
        return 1.5 * self.retry + 0.1

    @property
    def crash_seconds(self) -> float:
        """L1 where it must poll, after a crash."""
        return self.lease + 1 + 1.5 * self.retry


DEFAULT, QUICK, COARSE = Times(15, 10, 2), Times(3, 2, 0.5), Times(5, 4, 1)


class FailingStore(MemoryStore):
    """Reads and writes go well; each watch goes by `kind`, where there is one. Whatever is asked for is noted with its time."""

    def __init__(self, lease: MemoryLease, kind: Kind | None, retry_seconds: float) -> None:
        super().__init__(lease)
        self.kind, self.retry_seconds = kind, retry_seconds
        self.asked: list[tuple[float, str]] = []
        self.looks: Callable[[str], None] = lambda _: None
        """Called with each read and watch as it is sent."""

    async def read(self) -> Outcome:
        """Noted."""
        self._note("read")
        return await super().read()

    async def watch(self) -> Events:
        """Noted. Where the kind is changed meanwhile, the next event is its end, in good order."""
        self._note("watch")
        kind = self.kind
        async for event in self.good() if kind is None else kind(self):
            if self.kind is not kind:
                yield Closed(None)
                return
            yield event

    def good(self) -> Events:
        """A watch as it should be."""
        return super().watch()

    def _note(self, what: str) -> None:
        self.asked.append((asyncio.get_running_loop().time(), what))
        self.looks(what)

    def times(self, *kinds: str) -> list[float]:
        """When requests of these kinds were made; of every kind without one."""
        return [at for at, kind in self.asked if not kinds or kind in kinds]


# ---- what shows nothing --------------------------------------------------------------------------------------------------------------


async def is_closed_at_once(_: FailingStore) -> Events:
    """By a load balancer, in good order."""
    yield Opened()
    yield Closed(None)


async def is_answered_503(_: FailingStore) -> Events:
    """An API server in trouble."""
    yield Closed(Unknown("watch: HTTP 503"))


async def is_answered_410(_: FailingStore) -> Events:
    """As HTTP status."""
    yield Closed(Unknown("watch: HTTP 410: Gone"))


async def is_told_410(_: FailingStore) -> Events:
    """As an ERROR event."""
    yield Opened()
    yield Closed(Unknown("watch: the server ends it: 410 Expired: too old resource version"))


async def is_turned_away(_: FailingStore) -> Events:
    """For an hour."""
    yield Closed(Busy(HOUR))


async def is_denied(_: FailingStore) -> Events:
    """No right to watch."""
    yield Closed(Denied("no right"))


async def is_missing(_: FailingStore) -> Events:
    """A proxy that does not know the path."""
    yield Closed(Missing())


async def is_silent(_: FailingStore) -> Events:
    """It opens, and a proxy holds back what follows."""
    yield Opened()
    await asyncio.sleep(FOREVER)


async def never_opens(_: FailingStore) -> Events:
    """It is never answered."""
    await asyncio.sleep(FOREVER)
    yield Opened()


async def is_alive_and_shows_nothing(_: FailingStore) -> Events:
    """Bookmarks come, and never the Lease."""
    yield Opened()
    while True:
        await asyncio.sleep(1)
        yield Alive()


# ---- what shows the Lease -------------------------------------------------------------------------------------------------------------


async def shows_it_and_ends(store: FailingStore) -> Events:
    """At once, in good order."""
    yield Opened()
    yield Changed(store._lease.record)
    yield Closed(None)


async def shows_it_and_breaks(store: FailingStore) -> Events:
    """At once."""
    yield Opened()
    yield Changed(store._lease.record)
    yield Closed(Unknown("reset"))


async def shows_it_and_falls_silent(store: FailingStore) -> Events:
    """Half-open: nothing more comes, and nobody closes it."""
    yield Opened()
    yield Changed(store._lease.record)
    await asyncio.sleep(FOREVER)


async def brings_news_and_falls_silent(store: FailingStore) -> Events:
    """After three retry periods, each time."""
    ends = asyncio.get_running_loop().time() + 3 * store.retry_seconds
    async for event in store.good():
        if asyncio.get_running_loop().time() > ends:
            await asyncio.sleep(FOREVER)
        yield event


async def comes_in_lumps(store: FailingStore) -> Events:
    """A proxy's buffer holds five events, and lets them go when it is full."""
    held: list[WatchEvent] = []
    async for event in store.good():
        held.append(event)
        if len(held) == 5:
            for one in held:
                yield one
            held.clear()


async def comes_late(store: FailingStore) -> Events:
    """Each event three retry periods later."""
    queue: asyncio.Queue[tuple[float, WatchEvent]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def fill() -> None:
        async for event in store.good():
            queue.put_nowait((loop.time() + 3 * store.retry_seconds, event))

    filling = asyncio.create_task(fill())
    try:
        while True:
            due, event = await queue.get()
            await asyncio.sleep(due - loop.time())
            yield event
    finally:
        filling.cancel()


SHOWS_NOTHING: tuple[Kind, ...] = (
    is_closed_at_once,
    is_answered_503,
    is_answered_410,
    is_told_410,
    is_turned_away,
    is_denied,
    is_missing,
    is_silent,
    never_opens,
    is_alive_and_shows_nothing,
)
SHOWS_IT: tuple[Kind, ...] = (
    shows_it_and_ends,
    shows_it_and_breaks,
    shows_it_and_falls_silent,
    brings_news_and_falls_silent,
    comes_in_lumps,
    comes_late,
)
KINDS = SHOWS_NOTHING + SHOWS_IT


# ---- who is at it ---------------------------------------------------------------------------------------------------------------------


@dataclass
class Two:
    """A leader and a follower."""

    leader: Runner
    follower: Runner
    leads: FailingStore
    """The leader's store, whose watch is well."""
    store: FailingStore
    """The follower's."""
    lease: MemoryLease
    runs: "list[asyncio.Task[None]]" = field(default_factory=list)

    async def taken(self, within_seconds: float) -> float:
        """Seconds until the follower leads; that many and a hundredth if it does not."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not self.follower.leadership.read().is_leader and loop.time() < began + within_seconds:  # noqa: ASYNC110 - as an app polls
            await asyncio.sleep(0.01)
        return loop.time() - began

    async def release(self) -> None:
        """The leader ends in good order."""
        self.leader.stop()
        await asyncio.gather(self.runs[0], return_exceptions=True)

    async def crash(self) -> None:
        """The leader ends as SIGKILL ends it."""
        self.runs[0].cancel()
        await asyncio.gather(self.runs[0], return_exceptions=True)

    async def end(self) -> None:
        """Everything."""
        for run in self.runs:
            run.cancel()
        await asyncio.gather(*self.runs, return_exceptions=True)


async def two(kind: Kind | None, times: Times = DEFAULT, seed: int = 0) -> Two:
    """One leads, and another follows whose watches fail in that way."""
    lease, clock = MemoryLease(), VirtualClock()

    def runner(name: str, store: MemoryStore) -> Runner:
        process = f"{name}-{seed}"  # draws how patient it is
        me = Candidate(f"{name}_u", process, name, times.lease, times.renew, times.retry, times.renew, native_sidecar=True)
        return NoStandBy(store, clock, Leadership(clock, Names(me.identity, "web", "shop", name)), me, random.Random(f"{seed}:{name}"))

    leads, store = FailingStore(lease, None, times.retry), FailingStore(lease, kind, times.retry)
    here = Two(runner("a", leads), runner("b", store), leads, store, lease)
    here.runs.append(asyncio.create_task(here.leader.run()))
    await asyncio.sleep(0.2)
    here.runs.append(asyncio.create_task(here.follower.run()))
    await asyncio.sleep(0.2 + times.retry * random.Random(seed).random())
    assert here.leader.leadership.read().is_leader
    return here
