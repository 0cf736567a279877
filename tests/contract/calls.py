"""What the tests write, and how they ask for it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from sidecar.election.record import Record, Term, merge_patch
from sidecar.election.store import (
    Alive,
    Changed,
    Done,
    Opened,
    Outcome,
    Store,
    WatchEvent,
)

TIME_US = 1_795_420_800_000_000
"""2026-11-23T08:00:00Z."""
HELD = Record(
    version="",
    holder="web-0_u1",
    duration_seconds=15,
    acquire_time_us=TIME_US,
    renew_time_us=TIME_US + 1,
    transitions=3,
    term=Term("web-0_u1", 81234, "i1", "here", extra=(("later", '"kept"'),)),
)
LIMIT_SECONDS = 20


def done(outcome: Outcome) -> Record:
    assert isinstance(outcome, Done), outcome
    return outcome.record


async def present(store: Store) -> Record:
    return done(await store.read())


async def renew(store: Store, record: Record = HELD, *, on: Record | None = None) -> Outcome:
    """Write `record` on the version that stands there, or on that of `on`."""
    return await store.patch(merge_patch(record, (on or await present(store)).version))


def number(record: Record) -> int:
    assert record.version_number is not None
    return record.version_number


class Watch:
    """A watch whose events are asked for one by one."""

    def __init__(self, events: AsyncGenerator[WatchEvent, None]) -> None:
        self._events = events

    async def next(self) -> WatchEvent:
        """The next event but for signs of life."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while isinstance(event := await anext(self._events), Alive):
                pass
        return event

    async def changed(self) -> Record:
        """The record that the next event tells of."""
        event = await self.next()
        assert isinstance(event, Changed), event
        return event.record


@asynccontextmanager
async def watching(store: Store) -> AsyncIterator[Watch]:
    """A watch that stands."""
    async with aclosing(store.watch()) as events:
        watch = Watch(events)
        assert await watch.next() == Opened()
        yield watch
