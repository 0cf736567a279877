"""Runs both listeners as aiohttp runners, with settings for production where aiohttp's defaults are not."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from aiohttp.http import HttpProcessingError

from sidecar.clock import Clock
from sidecar.http import app, probes
from sidecar.http.client_connection import LINGERING_SECONDS
from sidecar.http.leader import Waiting
from sidecar.http.limits import Limits
from sidecar.http.listener import Listener
from sidecar.http.local_only import local_only
from sidecar.http.protocol import Check, speak
from sidecar.runtime.runner import Runner

SHUTDOWN_SECONDS: Final = 0.5
"""aiohttp waits for up to twice this; waiting clients are woken before, so it does not have to (aiohttp issue 7718)."""

READ_BYTES: Final = 8 * 1024
"""So much of a body may wait for its handler; at twice as much aiohttp stops reading."""


def _is_no_fault_of_a_client(record: logging.LogRecord) -> bool:
    fault = record.exc_info[1] if record.exc_info else None
    return not isinstance(fault, (HttpProcessingError, web.RequestPayloadError))


_log: Final = logging.getLogger("sidecar.http.requests")
"""aiohttp's own log lines. A client that sends no HTTP gets its 400, but a port scan writes no tracebacks."""
_log.setLevel(logging.WARNING)
_log.addFilter(_is_no_fault_of_a_client)


@asynccontextmanager
async def serving(
    runner: Runner, clock: Clock, app_sockets: list[socket.socket], probe_sockets: list[socket.socket]
) -> AsyncIterator[None]:
    """Serve while the context lasts. At its end waiting clients get the final state, then the listeners close."""
    limits = Limits.in_force()
    waiting = Waiting(runner.leadership, limits)
    runner.signs.append(waiting.connections)
    listeners = [Listener(bound, limits.accepts) for bound in (limits.app_connections, limits.probe_connections)]
    servers = [
        await _run(app.application(runner, clock, waiting), local_only, listeners[0], app_sockets),
        await _run(probes.application(runner, clock, waiting), None, listeners[1], probe_sockets),
    ]
    try:
        yield
    finally:
        runner.leadership.close()
        for listener, server in zip(listeners, servers, strict=True):
            listener.stop()
            await server.cleanup()
            await listener.end()


async def _run(application: web.Application, only_from: Check | None, listener: Listener, sockets: list[socket.socket]) -> web.AppRunner:
    server = web.AppRunner(
        application,
        handle_signals=False,
        handler_cancellation=True,  # a client that has gone is forgotten at once
        shutdown_timeout=SHUTDOWN_SECONDS,
        access_log=None,
        logger=_log,
        keepalive_timeout=75,
        lingering_time=LINGERING_SECONDS,
        read_bufsize=READ_BYTES,
        auto_decompress=False,  # no body with a coding is read
    )
    await server.setup()
    assert server.server is not None  # it has been set up
    speak(server.server, application, only_from)
    listener.start(server.server, sockets)
    return server
