"""`GET /leader` with its long-poll, and the two streams: a waiting client is told of a change at once, and costs the others nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

from aiohttp import web

from sidecar.durations import ALLOWED, parse_seconds
from sidecar.escaping import plain, to_json
from sidecar.http.client_connection import Connection
from sidecar.http.connections import Connections
from sidecar.http.errors import RefusedError
from sidecar.http.limits import UNBOUNDED, Limits
from sidecar.http.responses import HEADERS, etag, leader_response, named, not_modified
from sidecar.runtime.leadership import Answer, Leadership

DEFAULT_WAIT_SECONDS: Final = 30.0
MAX_WAIT_SECONDS: Final = 600.0
MAX_PARKED: Final = 1000
"""The most polls that wait, where the limit on open files allows so many; a further one is told to come back."""
MAX_STREAMS: Final = 500
"""The most open streams, where the limit on open files allows so many; a further one is told to come back."""
COMMENT_SECONDS: Final = 15.0
RETRY_MS: Final = 1000
"""How long a browser waits before it connects again."""
MAX_BODY_BYTES: Final = 64 * 1024
BODY_SECONDS: Final = 10.0
"""A request that waits needs no body. If it has one, the body is read and thrown away first, so that it is not held while it waits."""


class Waiting:
    """The routes on which clients wait, and how many of them do."""

    def __init__(self, leadership: Leadership, limits: Limits = UNBOUNDED) -> None:
        self._leadership = leadership
        self._limits = limits
        self.connections = Connections(leadership)
        """The app listener's connections, by which the application shows that it lives."""
        self.polls = self.streams = 0

    def routes(self) -> list[web.RouteDef]:
        """`/leader`, `/leader/events`, and `/sse` for clients of the older sidecars."""
        # aiohttp would answer HEAD with a stream without an end.
        streams = [web.get("/leader/events", self._events, allow_head=False), web.get("/sse", self._classic, allow_head=False)]
        return [web.get("/leader", self._leader), *streams]

    async def _leader(self, request: web.Request) -> web.Response:
        """`since` counts where If-None-Match is sent as well. `wait` without either returns immediately."""
        leadership = self._leadership
        since, tags = request.query.get("since"), _tags(request.headers.getall("If-None-Match", []))
        wait_seconds = _wait_seconds(request.query.get("wait"), asked=since is not None)
        if since is not None:
            await self._park(request, since, wait_seconds)
            return leader_response(self.connections.read(request))
        if tags and "*" not in tags:  # "*" fits any version, so no change would end the wait
            now = leadership.read()
            if etag(now) in tags:
                tags = frozenset((etag(now),))  # the other tags cannot fit any more: do not hold them while the poll waits
                await self._park(request, now.version, wait_seconds)
        answer = self.connections.read(request)
        return not_modified(answer) if "*" in tags or etag(answer) in tags else leader_response(answer)

    async def _park(self, request: web.Request, version: str, wait_seconds: float) -> None:
        """Wait while the version is `version`. Raises RefusedError where too many polls wait already."""
        if wait_seconds <= 0 or self._leadership.version() != version:
            return
        await _throw_body_away(request)
        if self.polls >= (limit := min(MAX_PARKED, self._limits.polls)):
            message = f"{limit} polls are waiting already: close some, or ask again without wait"
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, message, {"Retry-After": "1"})
        self.polls += 1
        try:
            with self.connections.waits(request):
                async with _until_hung_up(request):
                    await self._leadership.wait(version, wait_seconds)
        finally:
            self.polls -= 1

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Stream the present state, unless `Last-Event-ID` is its version, and each change; with `renewals=1` each new deadline too."""
        renewals = _flag(request, "renewals")
        return await self._stream(request, _event, renewals=renewals, known=request.headers.get("Last-Event-ID", ""))

    async def _classic(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, lambda answer, _: f"data: {to_json(named(answer))}\n\n", renewals=False, known="")

    async def _stream(
        self, request: web.Request, event: Callable[[Answer, bool], str], *, renewals: bool, known: str
    ) -> web.StreamResponse:
        await _throw_body_away(request)
        if self.streams >= (limit := min(MAX_STREAMS, self._limits.streams)):
            message = f"{limit} streams are open already: close some, or poll /leader"
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, message, {"Retry-After": "1"})
        headers = HEADERS | {"Content-Type": "text/event-stream"}
        response = web.StreamResponse(headers=headers)
        self.streams += 1
        try:
            await response.prepare(request)
            with self.connections.waits(request):
                async with _until_hung_up(request):
                    await self._tell(request, response, event, renewals=renewals, known=known)
        except ConnectionResetError:
            pass  # the client has gone
        finally:
            self.streams -= 1
        return response

    async def _tell(
        self,
        request: web.Request,
        response: web.StreamResponse,
        event: Callable[[Answer, bool], str],
        *,
        renewals: bool,
        known: str,
    ) -> None:
        """Write events until the process ends. Raises ConnectionResetError where the client has gone or does not read."""
        leadership = self._leadership
        await _write(request, response, f"retry: {RETRY_MS}\n\n")
        version, until_ns = known, leadership.read().valid_until_boottime_ns
        while True:
            changed = leadership.version() != version
            if changed or (renewals and leadership.read().valid_until_boottime_ns != until_ns):
                answer = self.connections.read(request)  # of this very moment: nothing was awaited since the check
                version, until_ns = answer.version, answer.valid_until_boottime_ns
                await _write(request, response, event(answer, not changed))
            if leadership.closed and leadership.version() == version:
                return
            await leadership.wait(version, COMMENT_SECONDS, until_ns if renewals else None)
            now = leadership.read()
            if now.version == version and not (renewals and now.valid_until_boottime_ns != until_ns) and not leadership.closed:
                await _write(request, response, ":\n\n")


def _event(answer: Answer, renewed: bool) -> str:  # noqa: FBT001 - one of two kinds
    """An event of `answer`, without `expires_in`: the event may wait in a buffer, where `valid_until_boottime_ns` stays right."""
    body = answer.to_json()
    del body["expires_in"]
    kind = "event: renewed\n" if renewed else ""
    return f"id: {answer.version}\n{kind}data: {to_json(body)}\n\n"


async def _write(request: web.Request, response: web.StreamResponse, text: str) -> None:
    """Write, and return when the client has read what came before. Raises ConnectionResetError where it has gone, or reads nothing."""
    await response.write(text.encode())
    await request.writer.drain()


@asynccontextmanager
async def _until_hung_up(request: web.Request) -> AsyncIterator[None]:
    """Leave the context as soon as the client closes its side: it has gone, or wants its answer now."""
    connection = request.protocol
    if not isinstance(connection, Connection):
        yield
        return
    try:
        async with asyncio.timeout(None) as scope:
            connection.waits(scope)
            yield
    except TimeoutError:
        pass
    finally:
        connection.waits(None)


async def _throw_body_away(request: web.Request) -> None:
    if not request.body_exists:
        return
    read = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while chunk := await request.content.readany():
                read += len(chunk)
                if read > MAX_BODY_BYTES:
                    raise web.HTTPRequestEntityTooLarge(MAX_BODY_BYTES)
    except TimeoutError:
        late = f"the body did not arrive within {BODY_SECONDS:g} s"
        raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, late, {"Connection": "close"}) from None


def _flag(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "0")
    if text not in {"0", "1"}:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"{name}='{plain(text, 100)}' is not valid: write {name}=1, or leave it out")
    return text == "1"


def _wait_seconds(text: str | None, *, asked: bool) -> float:
    """How long to wait: as the client says, ten minutes at most; by default half a minute with `since`, else not at all."""
    if text is None:
        return DEFAULT_WAIT_SECONDS if asked else 0.0
    try:
        return min(parse_seconds(text), MAX_WAIT_SECONDS)
    except ValueError:
        message = f"wait='{plain(text, 100)}' is not valid: write {ALLOWED}; more than 10m counts as 10m"
        raise RefusedError(HTTPStatus.BAD_REQUEST, message) from None


def _tags(headers: Sequence[str]) -> frozenset[str]:
    """The entity tags of If-None-Match, all as weak ones (RFC 9110 13.1.2); several such header lines are one list (5.3)."""
    tags = (tag.strip().removeprefix("W/") for header in headers for tag in header.split(","))
    return frozenset(tag if tag == "*" else f"W/{tag}" for tag in tags if tag)
