"""One request to the API server, and what its answer means: for the Lease and for every other object, never an exception."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final, Self
from urllib.parse import urlencode

from sidecar.election.record import JSON
from sidecar.election.store import Denied, Unknown, WatchEvent
from sidecar.kubernetes import watch
from sidecar.kubernetes.credentials import Access, one_line
from sidecar.kubernetes.resource import Resource
from sidecar.kubernetes.responses import OK, Answer, Received, Reply, decode, meaning
from sidecar.kubernetes.transport import Transport, read

MERGE_PATCH: Final = "application/merge-patch+json"
"""RFC 7386."""
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"
"""Merges a Pod's conditions by their type (Kubernetes API concepts, "Strategic merge patch")."""
_JSON: Final = "application/json"

_METHODS: Final = {"get": "GET", "list": "GET", "patch": "PATCH", "create": "POST"}
"""Of Kubernetes' verbs."""


class Client:
    """Connections of its own, so that no other client's requests hold up its own. May be shared by several parts and elections."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @classmethod
    async def connect(cls, access: Access, tcp_timeout_seconds: float) -> Self:
        """Sends nothing yet; `access` comes from `credentials.load` and may be shared with other clients."""
        return cls(await Transport.open(access, tcp_timeout_seconds))

    async def request(  # noqa: PLR0913 - a request has that many parts
        self,
        verb: str,
        resource: Resource,
        body: JSON | None = None,
        *,
        query: dict[str, str] | None = None,
        patch_type: str = MERGE_PATCH,
        limit_seconds: float | None = None,
    ) -> Reply:
        """Once on the wire. `verb` is get, list, patch or create; with no `limit_seconds` the caller cancels it.

        Without a resourceVersion in `query` a get is a quorum read.
        """
        path = (resource.collection if verb in ("list", "create") else resource).path
        if query:
            path = f"{path}?{urlencode(query)}"
        answer = await self.exchange(
            _METHODS[verb], path, body, content_type=patch_type if verb == "patch" else _JSON, limit_seconds=limit_seconds
        )
        found = answer if isinstance(answer, Unknown) else meaning(resource, verb, answer)
        if isinstance(found, Denied | Unknown) and (trouble := self.trouble):
            return replace(found, message=f"{found.message}; {trouble}")
        return found

    async def exchange(
        self, method: str, path: str, body: JSON | None, *, content_type: str, limit_seconds: float | None
    ) -> Answer | Unknown:
        """The answer, whatever its status; Unknown where there is none, or none in time."""
        try:
            async with asyncio.timeout(limit_seconds):
                return await self._transport.exchange(method, path, body, content_type)
        except Exception as error:  # noqa: BLE001 - the promise: an outcome, never an exception
            if isinstance(error, TimeoutError) and limit_seconds is not None:
                return Unknown(f"no answer within {limit_seconds:g} s")
            return Unknown(one_line(f"{type(error).__name__}: {error}"))

    @property
    def trouble(self) -> str:
        """Why the credentials may be no good any more; empty while nothing is wrong."""
        return self._transport.trouble

    async def watch(self, resource: Resource, query: dict[str, str]) -> AsyncGenerator[Any, None]:
        """The events of a watch as JSON, on a connection of its own; last a `Refusal`, or nothing more where it ended normally."""
        path = f"{resource.collection.path}?{urlencode({**query, 'watch': '1'})}"
        try:
            async with self._transport.stream("GET", path, alone=True) as response:
                if response.status != OK:
                    found = meaning(resource, "watch", await read(response))
                    yield found if not isinstance(found, Received) else Unknown("no watch")
                    return
                async with aclosing(watch.lines(response.content)) as stream:
                    async for line in stream:
                        yield decode(line)
        except Exception as error:  # noqa: BLE001 - as above
            yield Unknown(one_line(f"{type(error).__name__}: {error}"))

    def watch_lease(self, lease: Resource, dice: Callable[[], float]) -> AsyncGenerator[WatchEvent, None]:
        """See `sidecar.kubernetes.watch`."""
        return watch.watch(self._transport, lease, dice)

    async def close(self) -> None:
        """Let go of the connections; open watches end."""
        await self._transport.close()
