"""Requests to the API server with typed outcomes instead of exceptions: for the Lease and for every other object."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import urlencode

from sidecar.election.record import JSON
from sidecar.election.store import Denied, Unknown, WatchEvent
from sidecar.kubernetes import watch
from sidecar.kubernetes.credentials import Access, one_line
from sidecar.kubernetes.resource import Resource
from sidecar.kubernetes.responses import Answer, Received, Reply, decode, meaning
from sidecar.kubernetes.transport import Transport, read

MERGE_PATCH: Final = "application/merge-patch+json"
"""RFC 7386."""
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"
"""Merges a Pod's conditions by their type (Kubernetes API concepts, "Strategic merge patch")."""
_JSON: Final = "application/json"

_METHODS: Final = {"get": "GET", "list": "GET", "patch": "PATCH", "create": "POST"}
"""The HTTP method of each of Kubernetes' verbs."""


class Client:
    """Sends requests over connections of its own, so that no other client's requests delay them. Features and elections may share one."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @classmethod
    async def connect(cls, access: Access, tcp_timeout_seconds: float) -> Self:
        """A client; no request is sent yet. `access` comes from `credentials.load` and may be shared with other clients."""
        return cls(await Transport.open(access, tcp_timeout_seconds))

    async def request(  # noqa: PLR0913 - a request has as many parts
        self,
        verb: str,
        resource: Resource,
        body: JSON | None = None,
        *,
        query: dict[str, str] | None = None,
        patch_type: str = MERGE_PATCH,
        limit_seconds: float | None = None,
    ) -> Reply:
        """Send a request, once. `verb` is get, list, patch or create. Without `limit_seconds` the caller limits the time itself.

        A get without a resourceVersion in `query` is a quorum read.
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
        """Send a request, and return the answer with any status; Unknown where no answer comes, or none in time."""
        try:
            async with asyncio.timeout(limit_seconds):
                return await self._transport.exchange(method, path, body, content_type)
        except Exception as error:  # noqa: BLE001 - the caller gets an outcome, never an exception
            if isinstance(error, TimeoutError) and limit_seconds is not None:
                return Unknown(f"no answer within {limit_seconds:g} s")
            return Unknown(one_line(f"{type(error).__name__}: {error}"))

    @property
    def trouble(self) -> str:
        """Why the credentials may have stopped working; "" while nothing is wrong with them."""
        return self._transport.trouble

    async def watch(self, resource: Resource, query: dict[str, str]) -> AsyncGenerator[Any, None]:
        """Watch objects, on a connection of its own. Yields events as JSON, and a `Refusal` at the end unless the watch ends normally."""
        path = f"{resource.collection.path}?{urlencode({**query, 'watch': '1'})}"
        try:
            async with self._transport.stream("GET", path, alone=True) as response:
                if response.status != HTTPStatus.OK:
                    found = meaning(resource, "watch", await read(response))
                    yield found if not isinstance(found, Received) else Unknown("the answer is no watch")
                    return
                async with aclosing(watch.lines(response.content)) as stream:
                    async for line in stream:
                        yield decode(line)
        except Exception as error:  # noqa: BLE001 - as above
            yield Unknown(one_line(f"{type(error).__name__}: {error}"))

    def watch_lease(self, lease: Resource, dice: Callable[[], float]) -> AsyncGenerator[WatchEvent, None]:
        """Watch one Lease; see `sidecar.kubernetes.watch`. `dice` gives random numbers from 0 to 1."""
        return watch.watch(self._transport, lease, dice)

    async def close(self) -> None:
        """Close all connections; open watches end."""
        await self._transport.close()
