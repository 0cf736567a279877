"""The application's commands: `/drained`, `/resign`, `/campaign`. Each is answered with the leadership as it then is."""

import asyncio
import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from sidecar.clock import Clock, seconds
from sidecar.durations import ALLOWED, parse_seconds
from sidecar.election.record import format_time
from sidecar.escaping import cut
from sidecar.http.connections import Connections
from sidecar.http.errors import RefusedError
from sidecar.http.responses import leader_response
from sidecar.runtime.runner import Runner, WrongStateError

MAX_OUT_SECONDS: Final = 24 * 3600.0
BODY_SECONDS: Final = 10.0
MAX_NAME_CHARS: Final = 512
NAME: Final = r"[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]*"
"""What `to` may be: no control characters, and no space first."""

_DRAINED: Final = 'send no body, or {"token": N} with the fencing_token of the term that has ended'
_RESIGN: Final = 'send no body, or {"for": "10m", "to": "web-1"}, both optional'
_CAMPAIGN: Final = "send no body"


def routes(runner: Runner, clock: Clock, connections: Connections) -> list[web.RouteDef]:
    """The three commands."""

    def answer(request: web.Request, command: Callable[[], None], more: Callable[[], dict[str, object]] = dict) -> web.Response:
        try:
            command()
        except WrongStateError as error:
            raise RefusedError(HTTPStatus.CONFLICT, str(error)) from None
        return leader_response(connections.read(request), more=more())

    async def drained(request: web.Request) -> web.Response:
        token = _token(_fields(await _body(request), {"token"}, _DRAINED))
        return answer(request, lambda: runner.drained(token))

    async def resign(request: web.Request) -> web.Response:
        fields = _fields(await _body(request), {"for", "to"}, _RESIGN)
        out_seconds, successor = _out_seconds(fields), _successor(fields)
        return answer(request, lambda: runner.resign(out_seconds, successor), lambda: _out(runner, clock))

    async def campaign(request: web.Request) -> web.Response:
        _fields(await _body(request), set(), _CAMPAIGN)
        return answer(request, runner.campaign)

    return [web.post("/drained", drained), web.post("/resign", resign), web.post("/campaign", campaign)]


def _out(runner: Runner, clock: Clock) -> dict[str, object]:
    """Until when, at the latest, a resignation lasts that has just begun; null for as long as the process lives."""
    back_ns = runner.situation().back_ns
    if back_ns is None:
        return {"out_for": None, "out_until": None}
    rest_ns = max(0, back_ns - clock.boottime_ns())
    return {"out_for": round(seconds(rest_ns), 3), "out_until": format_time(clock.wall_us() + rest_ns // 1000)}


async def _body(request: web.Request) -> bytes:
    if request.query_string:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "a command takes no query parameters: send its fields as JSON in the body")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        late = f"the body did not arrive within {BODY_SECONDS:g} s"
        raise RefusedError(HTTPStatus.REQUEST_TIMEOUT, late, {"Connection": "close"}) from None


def _fields(body: bytes, known: set[str], allowed: str) -> dict[str, Any]:
    """The fields of a body: JSON in UTF-8 (RFC 8259 8.1), each name once, no NaN or Infinity. An empty body has no fields."""
    if not body:
        return {}
    try:
        found = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {allowed}") from None
    if not isinstance(found, dict) or not set(found) <= known:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"the body is not an object with the allowed fields: {allowed}")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that stands twice: of two values readers take the one or the other (RFC 8259 4)."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON's")


def _token(fields: dict[str, Any]) -> int | None:
    token = fields.get("token", 0)
    if isinstance(token, bool) or not isinstance(token, int):
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"token is not an integer: {_DRAINED}")
    return fields.get("token")


def _out_seconds(fields: dict[str, Any]) -> float | None:
    """How long to stay out (`for`); None where the body does not say."""
    text = fields.get("for")
    if text is None and "for" not in fields:
        return None
    try:
        out_seconds = parse_seconds(text) if isinstance(text, str) else float("nan")
    except ValueError:
        out_seconds = float("nan")
    if not 0 <= out_seconds <= MAX_OUT_SECONDS:
        raise RefusedError(HTTPStatus.BAD_REQUEST, f"for={cut(repr(text), 100)} is not valid: write {ALLOWED}, as text, at most 24h")
    return out_seconds


def _successor(fields: dict[str, Any]) -> str:
    """The successor that the release names (`to`); "" where the body names none."""
    name = fields.get("to", "")
    if "to" in fields and not (isinstance(name, str) and len(name) <= MAX_NAME_CHARS and re.fullmatch(NAME, name) and _is_text(name)):
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, f"to={cut(repr(name), 100)} is not valid: write the name of a Pod, or the identity of a candidate"
        )
    return str(name)


def _is_text(name: str) -> bool:
    """Whether `name` can be encoded: JSON may hold half of a surrogate pair, which is no character."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
