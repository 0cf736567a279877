"""The app listener: which Pod leads, whether it is this one, until when, each change, and the commands."""

from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import hdrs, web

from sidecar.clock import Clock
from sidecar.election.record import pod_name
from sidecar.election.view import State
from sidecar.escaping import plain
from sidecar.http import commands, health, metrics, openapi
from sidecar.http.errors import MAX_BODY_BYTES, as_json
from sidecar.http.leader import Waiting
from sidecar.http.page import page_response
from sidecar.http.responses import HEADERS, is_leader_response, json_response, named
from sidecar.runtime.runner import Runner


def application(runner: Runner, clock: Clock, waiting: Waiting) -> web.Application:
    """All routes of the app listener."""
    leadership = runner.leadership

    async def end_waiting(_: web.Application) -> None:
        leadership.close()

    app = web.Application(middlewares=[as_json], client_max_size=MAX_BODY_BYTES)
    app.add_routes([*waiting.routes(), *_reading(runner, waiting), *commands.routes(runner, clock, waiting.connections)])
    app.add_routes(health.routes(runner, clock))
    app.add_routes([web.get("/metrics", metrics.handler(runner, clock, waiting)), openapi.route(openapi.APP)])
    app.on_shutdown.append(end_waiting)
    return app


def _reading(runner: Runner, waiting: Waiting) -> Sequence[web.RouteDef]:
    """The routes that answer at once and change nothing."""
    leadership = runner.leadership

    async def is_leader(request: web.Request) -> web.Response:
        return is_leader_response(waiting.connections.read(request))

    async def history(_: web.Request) -> web.Response:
        return json_response({"terms": [term.to_json() for term in reversed(runner.history.terms)]})

    async def members(_: web.Request) -> web.Response:
        """This candidate, the holder and the standbys: candidates do not know of other followers."""
        answer, record = leadership.read(), runner.situation().record
        known = dict.fromkeys(record.standbys if record is not None else (), State.FOLLOWING)
        states = {answer.identity: answer.state, answer.holder: State.LEADING} | known  # each identity once, in this order
        states |= {answer.holder: State.LEADING} | {answer.identity: answer.state}
        found = [
            {"name": pod_name(one), "identity": one, "state": state, "self": one == answer.identity} for one, state in states.items() if one
        ]
        return json_response({"members": found, "complete": False})

    async def root(request: web.Request) -> web.Response:
        """A page for a browser; for any other client what the older sidecars serve."""
        if "text/html" in request.headers.get(hdrs.ACCEPT, ""):
            return page_response()
        return json_response(named(leadership.read()))

    async def classic_health(_: web.Request) -> web.Response:
        """Whether any candidate leads, in the words of instana's sidecar."""
        name = leadership.read().name
        status = HTTPStatus.OK if name else HTTPStatus.INTERNAL_SERVER_ERROR
        return web.Response(status=status, text=f"Valid leader set: &{{{plain(name)}}}" if name else "Invalid leader", headers=HEADERS)

    return [
        web.get("/is-leader", is_leader),
        web.get("/history", history),
        web.get("/members", members),
        web.get("/", root),
        web.get("/health", classic_health),
    ]
