"""Requests for API objects other than the Lease: an answer, never an exception; on their own connections, not to delay the Lease's."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from sidecar.lease import JSON
from sidecar.stores.answers import OK, Answer, decode
from sidecar.stores.credentials import Access, one_line
from sidecar.stores.protocol import Unknown
from sidecar.stores.transport import Transport, read
from sidecar.stores.watch import lines

MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH: Final = "application/strategic-merge-patch+json"
"""Merges a Pod's conditions by their type (Kubernetes API concepts, "Strategic merge patch")."""


class Objects:
    """Sends what the optional features ask of the API server."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @classmethod
    async def connect(cls, access: Access, tcp_timeout_seconds: float) -> "Objects":
        """An object that sends nothing yet; `access` may be shared with the store."""
        return cls(await Transport.open(access, tcp_timeout_seconds))

    async def ask(
        self, method: str, path: str, body: JSON | None = None, *, limit_seconds: float, content_type: str = MERGE_PATCH
    ) -> Answer | Unknown:
        """The answer, whatever its status; Unknown where there is none within `limit_seconds`. A `path` may carry a query."""
        try:
            async with asyncio.timeout(limit_seconds):
                return await self._transport.exchange(method, path, body, content_type)
        except TimeoutError:
            return Unknown(f"no answer within {limit_seconds:g} s")
        except Exception as error:  # noqa: BLE001 - as the store: an outcome, never an exception
            return Unknown(one_line(f"{type(error).__name__}: {error}"))

    async def watch(self, path: str) -> AsyncGenerator[Any, None]:
        """The events of a watch as JSON, on a connection of its own; last an Answer that refuses it, or Unknown where it broke off."""
        try:
            async with self._transport.stream("GET", path, alone=True) as response:
                if response.status != OK:
                    yield await read(response)
                    return
                async with aclosing(lines(response.content)) as stream:
                    async for line in stream:
                        yield decode(line)
        except Exception as error:  # noqa: BLE001 - as above
            yield Unknown(one_line(f"{type(error).__name__}: {error}"))

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()
