"""The probe listener: for a kubelet, which comes to the Pod's address and never reaches localhost. Nothing here changes anything."""

from aiohttp import web

from sidecar.clock import Clock
from sidecar.elector import Elector
from sidecar.http import health
from sidecar.http.answers import is_leader_response
from sidecar.http.errors import as_json


def application(elector: Elector, clock: Clock) -> web.Application:
    """Health and `/is-leader`."""

    async def is_leader(_: web.Request) -> web.Response:
        return is_leader_response(elector.leadership.read())

    app = web.Application(middlewares=[as_json])
    app.add_routes([*health.routes(elector, clock), web.get("/is-leader", is_leader)])
    return app
