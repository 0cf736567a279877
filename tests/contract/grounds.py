"""Where a store under test plays: each ground holds the Lease shop/web and has an administrator's hand behind the store's back."""

# ruff: noqa: D102 - the protocol says what each method does

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from sidecar.clock import SystemClock
from sidecar.election.record import JSON
from sidecar.election.store import Done, Store
from sidecar.kubernetes import credentials
from sidecar.kubernetes.credentials import Access
from sidecar.kubernetes.in_cluster import Configuration
from sidecar.kubernetes.store import KubernetesStore
from sidecar.local.store import LocalStore
from sidecar.local.validation import merged
from tests.apiserver.server import ApiServer
from tests.simulation.fake_apiserver import FakeApiServer

NAME = "web"


class Ground(Protocol):
    """One Lease, empty at first, as it is shipped."""

    seen_within_seconds: float
    """How long a watch may take to tell of a change: half of them, on a machine that has other work too."""

    async def store(self) -> Store:
        """A store of a process of its own."""

    async def lease(self) -> JSON | None:
        """What stands there."""

    async def create(self, lease: JSON) -> None:
        """Create it."""

    async def patch(self, patch: JSON) -> None:
        """Patch it, unconditionally."""

    async def delete(self) -> None:
        """Delete it."""


class Opened:
    """The stores that a ground has given out."""

    def __init__(self) -> None:
        self.stores: list[Store] = []

    def __call__(self, store: Store) -> Store:
        """Remember to close it."""
        self.stores.append(store)
        return store

    async def close(self) -> None:
        """Close them all."""
        for store in self.stores:
            await store.close()


class LocalGround:
    """A row in a file; its administrator uses SQLite."""

    seen_within_seconds = 0.02

    def __init__(self, path: Path, opened: Opened) -> None:
        self.path = path
        self._opened = opened

    async def store(self) -> Store:
        return self._opened(LocalStore(str(self.path), "shop", NAME, SystemClock()))

    def _sql(self, change: Callable[[sqlite3.Connection], Any]) -> Any:
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            found = change(connection)
            connection.execute("COMMIT")
        finally:
            connection.close()
        return found

    async def lease(self) -> JSON | None:
        row = self._sql(lambda sql: sql.execute("SELECT body FROM lease WHERE name = ?", (NAME,)).fetchone())
        return None if row is None else dict(json.loads(row[0]))

    async def create(self, lease: JSON) -> None:
        self._write("INSERT INTO lease (body, version, namespace, name) SELECT ?, version, 'shop', ? FROM newest", lease)

    async def patch(self, patch: JSON) -> None:
        self._write("UPDATE lease SET body = ?, version = (SELECT version FROM newest) WHERE name = ?", merged(await self.lease(), patch))

    def _write(self, statement: str, lease: JSON) -> None:
        def change(sql: sqlite3.Connection) -> None:
            sql.execute("UPDATE newest SET version = version + 1")
            sql.execute(statement, (json.dumps(lease), NAME))

        self._sql(change)

    async def delete(self) -> None:
        self._sql(lambda sql: sql.execute("DELETE FROM lease"))


class LocalFileGround(LocalGround):
    """The same, where the whole file is deleted, and made anew by another process that lived through it."""

    def __init__(self, path: Path, opened: Opened) -> None:
        super().__init__(path, opened)
        self._other = LocalStore(str(path), "shop", NAME, SystemClock())
        opened(self._other)

    async def lease(self) -> JSON | None:
        return await super().lease() if self.path.exists() else None

    async def create(self, lease: JSON) -> None:
        assert isinstance(await self._other.create(lease), Done)

    async def delete(self) -> None:
        os.unlink(self.path)  # noqa: PTH108 - what rm does


class FakeGround:
    """The simulator's API server: what it is believed to do, it is held to here."""

    seen_within_seconds = 0.2

    def __init__(self, server: FakeApiServer, url: str, opened: Opened) -> None:
        self._server = server
        self._url = url
        self._opened = opened

    async def store(self) -> Store:
        return self._opened(await KubernetesStore.connect(Access(Configuration(host=self._url)), "shop", NAME))

    async def lease(self) -> JSON | None:
        return self._server.leases.get(("shop", NAME))

    async def create(self, lease: JSON) -> None:
        self._server.put("shop", NAME, lease)

    async def patch(self, patch: JSON) -> None:
        self._server.put("shop", NAME, merged(self._server.leases["shop", NAME], patch))

    async def delete(self) -> None:
        self._server.delete("shop", NAME)


class ApiServerGround:
    """A real kube-apiserver; the store has the shipped Role and the optional one to create."""

    seen_within_seconds = 0.2

    def __init__(self, server: ApiServer, namespace: str, kubeconfig: Path, opened: Opened) -> None:
        self._server = server
        self._namespace = namespace
        self._kubeconfig = kubeconfig
        self._opened = opened

    async def store(self) -> Store:
        access = await credentials.load({"KUBECONFIG": str(self._kubeconfig)})
        return self._opened(await KubernetesStore.connect(access, self._namespace, NAME))

    async def lease(self) -> JSON | None:
        return self._server.lease(self._namespace)

    async def create(self, lease: JSON) -> None:
        metadata = {**lease.get("metadata", {}), "name": NAME}
        self._server.create_lease(self._namespace, {**lease, "metadata": metadata})

    async def patch(self, patch: JSON) -> None:
        self._server.patch_lease(self._namespace, patch)

    async def delete(self) -> None:
        self._server.delete_lease(self._namespace)

    async def afresh(self) -> None:
        """Put the Lease back to what is shipped."""
        if await self.lease() is not None:
            await self.delete()
        await self.create({})


@asynccontextmanager
async def closing() -> AsyncIterator[Opened]:
    """Close what was opened, and see that nothing of it is left: a TLS connection ends some turns of the loop later."""
    opened = Opened()
    before = _descriptors()
    try:
        yield opened
    finally:
        await opened.close()
        async with asyncio.timeout(10):
            while _descriptors() > before:  # noqa: ASYNC110 - what is waited for happens in sockets
                await asyncio.sleep(0.001)


def _descriptors() -> int:
    """How many files and sockets the loop looks at."""
    loop: Any = asyncio.get_running_loop()
    return len(loop._selector.get_map())


def now() -> float:
    """Seconds of one clock, to measure with."""
    return time.monotonic()
