"""One watch on the one Lease: a single GET, whose answer is read line by line until the first line that is not as it should be.

Kubernetes API concepts, "Efficient detection of changes" and "Watch bookmarks". Without a resourceVersion a watch begins with ADDED and the
present state. So nothing is carried over from one watch to the next, and 410 Gone needs no handling.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import Final

import aiohttp

from sidecar.election.store import Alive, Busy, Changed, Closed, Deleted, Denied, Missing, Opened, Unknown, WatchEvent
from sidecar.escaping import cut
from sidecar.kubernetes.credentials import one_line
from sidecar.kubernetes.resource import Resource
from sidecar.kubernetes.responses import Answer, decode, lease_in, refusal
from sidecar.kubernetes.transport import BrokenAnswerError, Transport, read

SHORTEST_SECONDS: Final = 240
LONGEST_SECONDS: Final = 480
"""How long the server keeps a watch open: random between the two, so that a group's watches do not end together."""
MAX_LINE_BYTES: Final = 4 * 2**20

Why = Missing | Denied | Busy | Unknown | None


async def watch(transport: Transport, lease: Resource, dice: Callable[[], float]) -> AsyncGenerator[WatchEvent, None]:
    """Opened, news, Closed. `path` is the collection's; `dice` draws from [0, 1). The caller limits how long the watch may be silent."""
    query = {
        "fieldSelector": f"metadata.name={lease.name}",
        "watch": "1",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(SHORTEST_SECONDS + int((LONGEST_SECONDS - SHORTEST_SECONDS) * dice())),
    }
    why: Why = None
    try:
        async with transport.stream("GET", lease.collection.path, query=query, alone=True) as response:
            if response.status != HTTPStatus.OK:
                why = refused(lease, await read(response))
            else:
                yield Opened()
                async with aclosing(lines(response.content)) as stream:
                    async for line in stream:
                        event = news(line, lease)
                        if isinstance(event, Unknown):
                            why = event
                            break
                        if event is not None:
                            yield event
    except Exception as error:  # noqa: BLE001 - the store's promise: an outcome, never an exception
        why = Unknown(one_line(f"watch: {type(error).__name__}: {error}"))
    yield Closed(why)


def refused(resource: Resource, answer: Answer) -> Why:
    """Why the API server opens no watch."""
    if answer.status == HTTPStatus.NOT_FOUND:
        return Missing()
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS):
        return refusal(resource, "watch", answer)
    return Unknown(f"watch: {answer.reason}")


def news(line: bytes, resource: Resource) -> Changed | Deleted | Alive | Unknown | None:
    """The event in one line; None where it is about another Lease, Unknown where it is none that an API server sends."""
    event = decode(line)
    kind, found = (event.get("type"), event.get("object")) if isinstance(event, dict) else (None, None)
    metadata = found.get("metadata") if isinstance(found, dict) else None
    match kind:
        case "BOOKMARK":
            return Alive()
        case "ADDED" | "MODIFIED" | "DELETED":
            if isinstance(metadata, dict) and isinstance(metadata.get("name"), str) and metadata["name"] != resource.name:
                return None
            record = lease_in(found, resource)
            if record is not None:
                return Deleted() if kind == "DELETED" else Changed(record)
        case "ERROR" if isinstance(found, dict):
            return Unknown(one_line(f"watch: the server ends it: {found.get('code')} {found.get('reason')}: {found.get('message')}"))
    return Unknown(one_line(f"watch: not an event of this Lease: {cut(line[:2048].decode(errors='replace'), 200)}"))


async def lines(content: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """The lines of a stream, without their ends. Raises BrokenAnswerError for a line that is too long, or has no end."""
    rest = bytearray()
    async for chunk in content.iter_any():
        begin = len(rest)
        rest += chunk
        while (end := rest.find(b"\n", begin)) >= 0:
            line = bytes(rest[:end])
            del rest[: end + 1]
            begin = 0
            if line.strip():
                yield line
        if len(rest) > MAX_LINE_BYTES:
            raise BrokenAnswerError(f"a line of more than {MAX_LINE_BYTES} bytes")
    if rest.strip():
        raise BrokenAnswerError("the connection broke inside an event")
