"""An application's way into one process of its sidecar: the real handlers of the app listener, with neither a socket nor a parser."""

import json
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final, cast

from aiohttp import EMPTY_PAYLOAD, HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from sidecar.clock import Clock
from sidecar.election.view import State
from sidecar.http.app import application
from sidecar.http.errors import RefusedError
from sidecar.http.leader import Waiting
from sidecar.runtime.leadership import Answer
from sidecar.runtime.runner import Runner

AT_ONCE: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "leader": ("/leader", {}),
    "is-leader": ("/is-leader", {}),
    "since": ("/leader?since=another&wait=30s", {}),
    "tag": ("/leader?wait=30s", {"If-None-Match": '"another"'}),
}
"""How an application may ask for what is so at this moment: the target, and headers."""
WAITING: Final = ("poll", "poll by tag", "stream")
"""How it may wait for what comes."""


class _Transport:
    """A connection over which everything gets through at once."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Who is at its ends."""
        return {"sockname": ("127.0.0.1", 4040), "peername": ("127.0.0.1", 50_000)}.get(name, default)

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def is_closing(self) -> bool:
        """Never."""
        return False

    def abort(self) -> None:
        """Nothing is left to end."""


class _Protocol:
    """What a request knows of its connection."""

    ssl_context = peername = None
    sockname = ("127.0.0.1", 4040)

    def __init__(self) -> None:
        self.transport = _Transport()


class _Writer(AbstractStreamWriter):
    """Tells what a stream says, piece by piece."""

    def __init__(self, told: Callable[[bytes], None]) -> None:
        self._told = told

    async def write(self, chunk: Any) -> None:
        """A piece."""
        self._told(bytes(chunk))

    async def write_eof(self, chunk: bytes = b"") -> None:
        """The last."""
        self._told(chunk)

    async def drain(self) -> None:
        """All has gone."""

    def enable_compression(self, *_args: Any, **_named: Any) -> None:
        """Nothing is compressed."""

    def enable_chunking(self) -> None:
        """Pieces stay whole."""

    async def write_headers(self, status_line: str, headers: Any) -> None:
        """Nobody looks at them."""


class Client:
    """Of one process."""

    def __init__(self, runner: Runner, clock: Clock) -> None:
        routes = application(runner, clock, Waiting(runner.leadership)).router.routes()
        self._handlers = {(route.method, route.resource.canonical): route.handler for route in routes if route.resource is not None}

    def _handle(
        self, method: str, target: str, headers: dict[str, str], body: bytes = b"", told: Callable[[bytes], None] = lambda _: None
    ) -> Awaitable[web.StreamResponse]:
        url, fields = URL(target), CIMultiDictProxy(CIMultiDict(headers))
        message = RawRequestMessage(method, target, HttpVersion11, fields, (), False, None, False, False, url)  # noqa: FBT003
        parts: tuple[Any, ...] = (message, EMPTY_PAYLOAD, _Protocol(), _Writer(told), None, None)
        request = web.Request(*parts)
        request._read_bytes = body
        return self._handlers[method, url.path](request)

    def at_once(self, how: str) -> Answer:
        """One reading, by one of `AT_ONCE`: no handler may wait for it."""
        target, headers = AT_ONCE[how]
        work = cast("Coroutine[Any, Any, web.Response]", self._handle("GET", target, headers))
        try:
            work.send(None)
        except StopIteration as done:
            answer = _answer(done.value)
            assert answer is not None, f"no answer by {how}"
            return answer
        raise AssertionError(f"{how} waits, where there is nothing to wait for")

    async def command(self, path: str, body: bytes = b"") -> Answer | None:
        """POST one; None where it is refused."""
        try:
            return _answer(cast("web.Response", await self._handle("POST", path, {}, body)))
        except RefusedError:
            return None

    async def follow(self, how: str, wait_seconds: float, hear: Callable[[Answer], None]) -> None:
        """Wait for ever, by one of `WAITING`; each poll for so long, so that a new deadline is known in time."""
        if how == "stream":
            await self._handle("GET", "/leader/events?renewals=1", {}, told=lambda piece: _hear(piece, hear))
            return
        version = ""
        while True:
            wait = f"wait={wait_seconds:.3f}s"
            tag = {"If-None-Match": f'"{version}"'} if how == "poll by tag" else {}
            target = f"/leader?{wait}" if tag else f"/leader?since={version}&{wait}"
            response = cast("web.Response", await self._handle("GET", target, tag))
            answer = _answer(response)
            if answer is not None:
                version = answer.version
                hear(answer)


def _answer(response: web.Response) -> Answer | None:
    """What stands in it; None for a 304, which carries no deadline."""
    return None if response.status == HTTPStatus.NOT_MODIFIED else _parsed(cast("bytes", response.body))


def _parsed(text: bytes) -> Answer:
    body = {"expires_in": 0.0} | json.loads(text)
    return Answer(**(body | {"state": State(body["state"])}))


def _hear(piece: bytes, hear: Callable[[Answer], None]) -> None:
    for line in piece.splitlines():
        if line.startswith(b"data: "):
            hear(_parsed(line.removeprefix(b"data: ")))
