"""The probe listener: for a kubelet, which connects to the Pod's address and never reaches localhost. No request changes anything."""

from aiohttp import web

from sidecar.clock import Clock
from sidecar.http import health, metrics, openapi
from sidecar.http.errors import as_json
from sidecar.http.leader import Waiting
from sidecar.http.responses import is_leader_response
from sidecar.runtime.runner import Runner


def application(runner: Runner, clock: Clock, waiting: Waiting) -> web.Application:
    """Health, `/is-leader` and metrics."""

    async def is_leader(_: web.Request) -> web.Response:
        return is_leader_response(runner.leadership.read())

    app = web.Application(middlewares=[as_json])
    app.add_routes([*health.routes(runner, clock), web.get("/is-leader", is_leader)])
    app.add_routes([web.get("/metrics", metrics.handler(runner, clock, waiting)), openapi.route(openapi.PROBES)])
    return app
