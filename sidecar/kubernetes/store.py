"""The Lease in a Kubernetes cluster."""

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, Self

from sidecar.election.record import JSON
from sidecar.election.store import Closed, Conflict, Done, Missing, Outcome, Store, Unknown, WatchEvent
from sidecar.kubernetes import resource
from sidecar.kubernetes.client import Client
from sidecar.kubernetes.credentials import Access, one_line
from sidecar.kubernetes.resource import Resource
from sidecar.kubernetes.responses import Conflicted, NotFound, Received, body_of_create, lease_in

TCP_TIMEOUT_SECONDS: Final = 10.0
"""An API server that acknowledges nothing for a renew deadline is gone."""


class KubernetesStore(Store):
    """One `coordination.k8s.io/v1` Lease. At most one watch at a time, on a connection of its own."""

    def __init__(self, client: Client, lease: Resource, dice: Callable[[], float]) -> None:
        self._client, self._lease, self._dice = client, lease, dice
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
        return cls(await Client.connect(access, tcp_timeout_seconds), resource.lease(namespace, name), dice)

    async def read(self) -> Outcome:
        """A GET without a resourceVersion: a quorum read."""
        return await self._ask("get")

    async def patch(self, patch: JSON) -> Outcome:
        """A merge patch (RFC 7386), sent once."""
        return await self._ask("patch", patch)

    async def create(self, body: JSON) -> Outcome:
        """A POST, sent once."""
        return await self._ask("create", body_of_create(self._lease, body))

    async def watch(self) -> AsyncGenerator[WatchEvent, None]:
        """Watch the Lease; see `sidecar.kubernetes.watch`. While one watch is open, a second yields only Closed."""
        if self._watching:
            yield Closed(Unknown("watch: one is open already"))
            return
        self._watching = True
        try:
            async with aclosing(self._client.watch_lease(self._lease, self._dice)) as events:
                async for event in events:
                    yield event
        finally:
            self._watching = False

    async def close(self) -> None:
        """Close the connections; an open watch ends."""
        await self._client.close()

    async def _ask(self, verb: str, body: JSON | None = None) -> Outcome:
        found = await self._client.request(verb, self._lease, body)
        match found:
            case Received():
                record = lease_in(found.object, self._lease)
                return Done(record) if record is not None else self._not_this_lease(verb, found)
            case NotFound():
                return Missing()
            case Conflicted():
                return Conflict()
            case Unknown(message):
                return Unknown(f"{verb}: {message}")
        return found

    def _not_this_lease(self, verb: str, found: Received) -> Unknown:
        message = one_line(f"{verb}: the answer is not this Lease: {found.answer.reason}")
        return Unknown(f"{message}; {self._client.trouble}" if self._client.trouble else message)
