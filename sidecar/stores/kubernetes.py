"""The Lease in a Kubernetes cluster."""

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final, Self

from sidecar.lease import JSON
from sidecar.stores import watch
from sidecar.stores.answers import Target, body_of_create, outcome
from sidecar.stores.credentials import Access, one_line
from sidecar.stores.protocol import Closed, Denied, Outcome, Store, Unknown, WatchEvent
from sidecar.stores.transport import Transport

TCP_TIMEOUT_SECONDS: Final = 10.0
"""An API server that acknowledges nothing for a renew deadline is gone."""


class KubernetesStore(Store):
    """One `coordination.k8s.io/v1` Lease. At most one watch at a time, on a connection of its own."""

    def __init__(self, transport: Transport, target: Target, dice: Callable[[], float]) -> None:
        self._transport = transport
        self._target = target
        self._dice = dice
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{target.namespace}/leases"
        self._watching = False

    @classmethod
    async def connect(
        cls,
        access: Access,
        namespace: str,
        name: str,
        *,
        tcp_timeout_seconds: float = TCP_TIMEOUT_SECONDS,
        dice: Callable[[], float] = random.random,
    ) -> Self:
        """The store of the Lease `name`; `access` comes from `credentials.load`. Sends nothing yet."""
        return cls(await Transport.open(access, tcp_timeout_seconds), Target(namespace, name), dice)

    async def read(self) -> Outcome:
        """A GET without a resourceVersion: a quorum read."""
        return await self._ask("get", "GET", f"{self._collection}/{self._target.name}")

    async def patch(self, patch: JSON) -> Outcome:
        """A merge patch (RFC 7386), sent once."""
        path = f"{self._collection}/{self._target.name}"
        return await self._ask("patch", "PATCH", path, patch, "application/merge-patch+json")

    async def create(self, body: JSON) -> Outcome:
        """A POST, sent once."""
        return await self._ask("create", "POST", self._collection, body_of_create(self._target, body))

    async def watch(self) -> AsyncGenerator[WatchEvent, None]:
        """See `sidecar.stores.watch`. A second one while the first is open ends at once."""
        if self._watching:
            yield Closed(Unknown("watch: one is open already"))
            return
        self._watching = True
        try:
            async with aclosing(watch.watch(self._transport, self._collection, self._target, self._dice)) as events:
                async for event in events:
                    yield event
        finally:
            self._watching = False

    async def close(self) -> None:
        """Close the connections; an open watch ends."""
        await self._transport.close()

    async def _ask(self, verb: str, method: str, path: str, body: JSON | None = None, content_type: str = "application/json") -> Outcome:
        try:
            answer = await self._transport.exchange(method, path, body, content_type)
            found = outcome(self._target, verb, answer)
        except Exception as error:  # noqa: BLE001 - the store's promise: an outcome, never an exception
            found = Unknown(one_line(f"{verb}: {type(error).__name__}: {error}"))
        if isinstance(found, Denied | Unknown) and (trouble := self._transport.trouble):
            return replace(found, message=f"{found.message}; {trouble}")
        return found
