"""A small API server for Leases: versions, merge patches, conflicts, watches with bookmarks; on any event loop, virtual time included.

It behaves as a kube-apiserver 1.34 was measured to to: a stale or foreign condition is 409; a patch that changes nothing keeps the version
and sends no event; a watch without a resourceVersion begins with ADDED and a BOOKMARK.
"""

import asyncio
import copy
import itertools
import json
import re
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from sidecar.election.record import JSON
from tests.support.merge_patch import merge

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")

Key = tuple[str, str]
Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]


class _RefusedError(Exception):
    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code}

        self.code = code

    def response(self) -> web.Response:
        return web.json_response(self.body, status=self.code)


@dataclass
class FakeApiServer:
    """`before` and `after` see each request, before it is carried out and with it carried out: what they return is the answer instead.

    They may wait, for ever too; `drop` breaks the connection.
    """

    namespaces: frozenset[str] = frozenset({"shop"})
    bookmark_seconds: float = 60.0
    version: int = 1000
    leases: dict[Key, JSON] = field(default_factory=dict)
    log: list[tuple[int, str, JSON]] = field(default_factory=list)
    """Every change: its version, its event type, the Lease after it."""
    compacted: int = 0
    """A watch from this version or an older one is answered 410."""
    before: Fault | None = None
    after: Fault | None = None
    requests: list[tuple[str, str]] = field(default_factory=list)
    open_watches: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _uids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def application(self) -> web.Application:
        """The server, to be put behind any site."""
        application = web.Application(middlewares=[self._around])
        application.router.add_get(LEASES, self._collection)
        application.router.add_post(LEASES, self._create)
        application.router.add_get(LEASES + "/{name}", self._get)
        application.router.add_put(LEASES + "/{name}", self._put)
        application.router.add_patch(LEASES + "/{name}", self._patch)
        application.router.add_delete(LEASES + "/{name}", self._delete)
        return application

    @asynccontextmanager
    async def serve(self, host: str = "127.0.0.1") -> AsyncIterator[str]:
        """Serve until the block ends; gives the URL."""
        runner = web.AppRunner(self.application(), handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, host, 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        try:
            yield f"http://{host}:{port}"
        finally:
            self._wake()
            await runner.cleanup()

    def put(self, namespace: str, name: str, lease: JSON) -> JSON:
        """Write a Lease as an administrator would, unconditionally."""
        key = (namespace, name)
        former = self.leases.get(key)
        metadata = {**lease.get("metadata", {}), "name": name, "namespace": namespace}
        metadata["uid"] = former["metadata"]["uid"] if former else f"uid-{next(self._uids)}"
        metadata.setdefault("creationTimestamp", "2026-11-23T08:00:00Z")
        whole = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": lease.get("spec", {})}
        whole["spec"] = {key: value for key, value in whole["spec"].items() if value is not None}
        return self._store(key, "MODIFIED" if former else "ADDED", whole)

    def delete(self, namespace: str, name: str) -> None:
        """Delete a Lease; its watchers see it with the version of its end."""
        key = (namespace, name)
        self._store(key, "DELETED", self.leases[key])
        del self.leases[key]

    def _store(self, key: Key, event: str, lease: JSON) -> JSON:
        self.version += 1
        lease = copy.deepcopy(lease)
        lease["metadata"]["resourceVersion"] = str(self.version)
        self.leases[key] = lease
        self.log.append((self.version, event, copy.deepcopy(lease)))
        self._wake()
        return copy.deepcopy(lease)

    def _wake(self) -> None:
        former, self._changed = self._changed, asyncio.Event()
        former.set()

    @web.middleware
    async def _around(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        if self.before is not None and (instead := await self.before(request)) is not None:
            return instead
        try:
            response = await handler(request)
        except _RefusedError as refused:
            response = refused.response()
        except web.HTTPException as error:
            response = _RefusedError(error.status, error.reason, error.reason).response()
        if self.after is not None and (instead := await self.after(request)) is not None:
            return instead
        return response

    def _key(self, request: web.Request) -> Key:
        return (request.match_info["namespace"], request.match_info.get("name", ""))

    def _present(self, key: Key) -> JSON:
        if key not in self.leases:
            raise _RefusedError(404, "NotFound", f'leases.coordination.k8s.io "{key[1]}" not found')
        return self.leases[key]

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._present(self._key(request)))

    async def _create(self, request: web.Request) -> web.Response:
        body = await _body(request)
        namespace = self._key(request)[0]
        name = body.get("metadata", {}).get("name", "")
        if namespace not in self.namespaces:
            raise _RefusedError(404, "NotFound", f'namespaces "{namespace}" not found')
        if body.get("kind") != "Lease" or not name:
            raise _RefusedError(400, "BadRequest", "the object is no Lease with a name")
        if (namespace, name) in self.leases:
            raise _RefusedError(409, "AlreadyExists", f'leases.coordination.k8s.io "{name}" already exists')
        _validate(body)
        return web.json_response(self.put(namespace, name, body), status=201)

    async def _put(self, request: web.Request) -> web.Response:
        key = self._key(request)
        body = await _body(request)
        _condition(self._present(key), body)
        _validate(body)
        return web.json_response(self.put(*key, body))

    async def _patch(self, request: web.Request) -> web.Response:
        if request.content_type != "application/merge-patch+json":
            raise _RefusedError(415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {request.content_type}")
        key = self._key(request)
        change = await _body(request)
        present = self._present(key)
        merged = merge(present, change)
        _condition(present, merged)
        _validate(merged)
        merged["metadata"]["resourceVersion"] = present["metadata"]["resourceVersion"]
        return web.json_response(present if merged == present else self._store(key, "MODIFIED", merged))

    async def _delete(self, request: web.Request) -> web.Response:
        key = self._key(request)
        self._present(key)
        self.delete(*key)
        return web.json_response({"kind": "Status", "apiVersion": "v1", "status": "Success"})

    async def _collection(self, request: web.Request) -> web.StreamResponse:
        namespace = self._key(request)[0]
        selector = request.query.get("fieldSelector", "")
        name = selector.removeprefix("metadata.name=") if selector else None
        if request.query.get("watch") in ("1", "true"):
            return await self._watch(request, namespace, name)
        items = [lease for (where, called), lease in self.leases.items() if where == namespace and name in (None, called)]
        metadata = {"resourceVersion": str(self.version)}
        return web.json_response({"kind": "LeaseList", "apiVersion": "coordination.k8s.io/v1", "metadata": metadata, "items": items})

    async def _watch(self, request: web.Request, namespace: str, name: str | None) -> web.StreamResponse:
        stream = web.StreamResponse(headers={"Content-Type": "application/json"})
        await stream.prepare(request)
        self.open_watches += 1
        try:
            since = request.query.get("resourceVersion", "")
            if since and int(since) <= self.compacted:
                await _send(stream, "ERROR", _RefusedError(410, "Expired", f"too old resource version: {since}").body)
            else:
                await self._follow(request, stream, int(since) if since else None, (namespace, name))
        finally:
            self.open_watches -= 1
        await stream.write_eof()
        return stream

    async def _follow(self, request: web.Request, stream: web.StreamResponse, since: int | None, wanted: tuple[str, str | None]) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + float(request.query.get("timeoutSeconds", "1800"))
        bookmarks = request.query.get("allowWatchBookmarks") in ("1", "true")
        seen = self.version if since is None else since
        if since is None:
            for key, lease in list(self.leases.items()):
                if _is_wanted(key, wanted):
                    await _send(stream, "ADDED", lease)
            if bookmarks:
                await _send(stream, "BOOKMARK", _bookmark(seen))
        while (left := ends - loop.time()) > 0.001:  # below the virtual clock's resolution it would stand still
            changed = self._changed
            for version, event, lease in self.log[bisect_right(self.log, seen, key=lambda entry: entry[0]) :]:
                seen = version
                if _is_wanted((lease["metadata"]["namespace"], lease["metadata"]["name"]), wanted):
                    await _send(stream, event, lease)
            try:
                async with asyncio.timeout(min(left, self.bookmark_seconds)):
                    await changed.wait()
            except TimeoutError:
                if bookmarks:
                    await _send(stream, "BOOKMARK", _bookmark(seen))


async def _send(stream: web.StreamResponse, event: str, found: JSON) -> None:
    await stream.write(json.dumps({"type": event, "object": found}).encode() + b"\n")


def _bookmark(version: int) -> JSON:
    lease = {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1"}
    return {**lease, "metadata": {"resourceVersion": str(version), "creationTimestamp": None}, "spec": {}}


def _is_wanted(key: Key, wanted: tuple[str, str | None]) -> bool:
    return key[0] == wanted[0] and wanted[1] in (None, key[1])


def drop(request: web.Request) -> None:
    """Break the connection without an answer."""
    assert request.transport is not None
    request.transport.abort()


def _condition(present: JSON, wanted: JSON) -> None:
    """What is given of version and uid must be what stands there."""
    for key in ("resourceVersion", "uid"):
        given = wanted.get("metadata", {}).get(key)
        if given not in (None, present["metadata"][key]):
            name = present["metadata"]["name"]
            raise _RefusedError(
                409, "Conflict", f'Operation cannot be fulfilled on leases.coordination.k8s.io "{name}": the object has been modified'
            )


def _validate(lease: JSON) -> None:
    spec = lease.get("spec", {})
    for key, least in (("leaseDurationSeconds", 1), ("leaseTransitions", 0)):
        value = spec.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**31):
            raise _RefusedError(422, "Invalid", f"Lease is invalid: spec.{key}: Invalid value: {value!r}")
    for key in ("acquireTime", "renewTime"):
        value = spec.get(key)
        if value is not None and not (isinstance(value, str) and MICRO_TIME.fullmatch(value)):
            raise _RefusedError(422, "Invalid", f"Lease is invalid: spec.{key}: Invalid value: {value!r}")
    if not isinstance(spec.get("holderIdentity", ""), str | None):
        raise _RefusedError(422, "Invalid", "Lease is invalid: spec.holderIdentity: must be a string")


async def _body(request: web.Request) -> JSON:
    try:
        found = json.loads(await request.read())
    except ValueError as error:
        raise _RefusedError(400, "BadRequest", f"error decoding the body: {error}") from error
    if not isinstance(found, dict):
        raise _RefusedError(400, "BadRequest", "the body is no object")
    return found
