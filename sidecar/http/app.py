"""The app listener: who leads, am I it, until when, and tell me when it changes."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from aiohttp import web

from sidecar.clock import Clock
from sidecar.durations import ALLOWED, parse_seconds
from sidecar.elector import Elector, OutOfSeason
from sidecar.http import health
from sidecar.http.answers import etag, is_leader_response, leader_response, not_modified
from sidecar.http.errors import Refused, as_json
from sidecar.http.guards import local_only
from sidecar.leadership import Leadership

DEFAULT_WAIT_SECONDS: Final = 30.0
MAX_WAIT_SECONDS: Final = 600.0
MAX_PARKED: Final = 1000
"""Parked polls; one more is told to come back."""
MAX_BODY_BYTES: Final = 64 * 1024


def application(elector: Elector, clock: Clock) -> web.Application:
    """All routes of the app listener."""
    leadership = elector.leadership

    async def leader(request: web.Request) -> web.Response:
        """Where both `since` and If-None-Match are sent, `since` counts; `wait` with neither has nothing to wait for."""
        since, tags = request.query.get("since"), _tags(request.headers.getall("If-None-Match", []))
        wait_seconds = _wait_seconds(request.query.get("wait"), asked=since is not None)
        if since is not None:
            await _park(leadership, since, wait_seconds)
            return leader_response(leadership.read(give=True))
        if tags:
            now = leadership.read()
            if "*" in tags or etag(now) in tags:
                await _park(leadership, now.version, wait_seconds)
        answer = leadership.read(give=True)
        return not_modified(answer) if "*" in tags or etag(answer) in tags else leader_response(answer)

    async def is_leader(_: web.Request) -> web.Response:
        return is_leader_response(leadership.read(give=True))

    async def drained(request: web.Request) -> web.Response:
        token = _token(await request.read())
        try:
            elector.drained(token)
        except OutOfSeason as error:
            raise Refused(HTTPStatus.CONFLICT, str(error)) from None
        return leader_response(leadership.read(give=True))

    async def end_waiting(_: web.Application) -> None:
        leadership.close()

    app = web.Application(middlewares=[as_json, local_only], client_max_size=MAX_BODY_BYTES)
    app.add_routes([web.get("/leader", leader), web.get("/is-leader", is_leader), web.post("/drained", drained)])
    app.add_routes(health.routes(elector, clock))
    app.on_shutdown.append(end_waiting)
    return app


async def _park(leadership: Leadership, version: str, wait_seconds: float) -> None:
    if wait_seconds <= 0 or leadership.read().version != version:
        return
    if leadership.waiters >= MAX_PARKED:
        message = f"{MAX_PARKED} polls are waiting already: close some, or ask again without wait"
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, message, {"Retry-After": "1"})
    await leadership.wait(version, wait_seconds)


def _wait_seconds(text: str | None, *, asked: bool) -> float:
    """How long to wait: as said and ten minutes at most; by default half a minute with `since`, and not at all without."""
    if text is None:
        return DEFAULT_WAIT_SECONDS if asked else 0.0
    try:
        return min(parse_seconds(text), MAX_WAIT_SECONDS)
    except ValueError:
        message = f"wait={text!r} is of no use: write {ALLOWED}; what is longer than 10m counts as 10m"
        raise Refused(HTTPStatus.BAD_REQUEST, message) from None


def _tags(headers: Sequence[str]) -> frozenset[str]:
    """The entity tags of If-None-Match, all as weak ones (RFC 9110 13.1.2); several lines of it are one list (5.3)."""
    tags = (tag.strip().removeprefix("W/") for header in headers for tag in header.split(","))
    return frozenset(tag if tag == "*" else f"W/{tag}" for tag in tags if tag)


def _token(body: bytes) -> int | None:
    """The token in a `/drained` body; None for an empty body."""
    if not body.strip():
        return None
    allowed = 'send no body, or {"token": N} with the fencing_token of the term that has ended'
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {allowed}") from None
    token = found.get("token") if isinstance(found, dict) and set(found) <= {"token"} else False
    if isinstance(found, dict) and not found:
        return None
    if isinstance(token, bool) or not isinstance(token, int):
        raise Refused(HTTPStatus.BAD_REQUEST, f"the body does not fit: {allowed}")
    return token
