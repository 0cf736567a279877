"""A Lease in memory, for electors that share one loop: as quick as can be, with a millisecond's way in each direction."""

import asyncio
from collections.abc import AsyncGenerator

from sidecar.election.record import JSON, Record, parse
from sidecar.election.store import Changed, Conflict, Done, Missing, Opened, Outcome, Store, WatchEvent
from sidecar.local.validation import merged

WAY_SECONDS = 0.001


class MemoryLease:
    """The Lease itself; `requests` counts what was asked of it."""

    def __init__(self) -> None:
        self.version = 100
        self.lease: JSON | None = {}
        self.requests = 0
        self.changed = asyncio.Event()

    @property
    def record(self) -> Record:
        """As it stands."""
        assert self.lease is not None
        metadata = self.lease.get("metadata", {}) | {"resourceVersion": str(self.version)}
        return parse(self.lease | {"metadata": metadata})

    def put(self, lease: JSON) -> None:
        """A new version, told to every watch."""
        self.version += 1
        self.lease = lease
        self.changed.set()
        self.changed = asyncio.Event()


class MemoryStore(Store):
    """One candidate's way to the Lease."""

    def __init__(self, lease: MemoryLease) -> None:
        self._lease = lease

    async def _ask(self) -> None:
        self._lease.requests += 1
        await asyncio.sleep(WAY_SECONDS)

    async def read(self) -> Outcome:
        """The newest."""
        await self._ask()
        return Done(self._lease.record) if self._lease.lease is not None else Missing()

    async def patch(self, patch: JSON) -> Outcome:
        """Conditional on the version in it."""
        await self._ask()
        if self._lease.lease is None:
            return Missing()
        if patch["metadata"]["resourceVersion"] != str(self._lease.version):
            return Conflict()
        self._lease.put(merged(self._lease.lease, patch))
        done = Done(self._lease.record)
        await asyncio.sleep(WAY_SECONDS)
        return done

    async def create(self, body: JSON) -> Outcome:
        """Conditional on absence."""
        await self._ask()
        if self._lease.lease is not None:
            return Conflict()
        self._lease.put(body)
        return Done(self._lease.record)

    async def watch(self) -> AsyncGenerator[WatchEvent, None]:
        """The present state, then each change."""
        await self._ask()
        yield Opened()
        while True:
            changed = self._lease.changed
            yield Changed(self._lease.record)
            await changed.wait()
            await asyncio.sleep(WAY_SECONDS)

    async def close(self) -> None:
        """Nothing to let go of."""
