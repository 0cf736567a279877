"""An HTTP server that answers from a script, byte by byte, on loopback: what no well-behaved server would do can be done with it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sidecar.kubernetes.credentials import Access
from sidecar.kubernetes.in_cluster import Configuration
from sidecar.kubernetes.store import KubernetesStore

LEASE = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "7"},
    "spec": {"holderIdentity": "web-0"},
}


@dataclass(frozen=True)
class Reply:
    """What goes over the wire, and what becomes of the connection after it."""

    data: bytes
    then: str = "keep"
    """`keep` it for the next request, `close` it, `abort` it (RST), or `hang`: say no more."""
    when: asyncio.Event | None = None
    """Nothing goes out before it."""


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Server:
    """What has come in so far."""

    url: str = ""
    requests: list[Seen] = field(default_factory=list)
    connections: int = 0
    ended: int = 0
    """Connections that are over."""


def reply(status: int, body: Any = b"", then: str = "keep", **headers: str) -> Reply:
    """A whole answer; a `body` that is no bytes goes as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"Content-Length": str(len(data)), "Content-Type": "application/json"}
    named |= {key.replace("_", "-"): value for key, value in headers.items()}
    head = f"HTTP/1.1 {status} Whatever\r\n" + "".join(f"{key}: {value}\r\n" for key, value in named.items())
    return Reply(head.encode() + b"\r\n" + data, then)


def refusal(status: int, message: str, **headers: str) -> Reply:
    """A Status object, as the API server sends it."""
    return reply(status, {"kind": "Status", "status": "Failure", "message": message, "code": status}, **headers)


def stream(*pieces: bytes, end: bool = True, then: str = "keep") -> Reply:
    """A chunked answer; without its `end`, cut off."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    return Reply(head + chunks + (b"0\r\n\r\n" if end else b""), then)


@asynccontextmanager
async def scripted(*replies: Reply, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Serve the replies in turn, the last one for ever."""
    server = Server()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        number = server.connections
        try:
            while (seen := await _request(reader, number)) is not None:
                server.requests.append(seen)
                answer = replies[min(len(server.requests), len(replies)) - 1]
                if answer.when is not None:
                    await answer.when.wait()
                writer.write(answer.data)
                await writer.drain()
                if answer.then == "abort":
                    writer.transport.abort()
                if answer.then == "hang":
                    await reader.read()
                if answer.then != "keep":
                    return
        finally:
            server.ended += 1
            writer.close()

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await converse(reader, writer)

    listener = await asyncio.start_server(guarded, "127.0.0.1", 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        listener.close()


async def _request(reader: asyncio.StreamReader, number: int) -> Seen | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    method, path, _ = first.split(" ")
    return Seen(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))), number)


@asynccontextmanager
async def connected(url: str, access: Access | None = None) -> AsyncIterator[KubernetesStore]:
    """The store of Lease shop/web."""
    store = await KubernetesStore.connect(access or Access(Configuration(host=url)), "shop", "web")
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def served(*replies: Reply) -> AsyncIterator[tuple[Server, KubernetesStore]]:
    """A scripted server and a store on it."""
    async with scripted(*replies) as server, connected(server.url) as store:
        yield server, store


async def until(condition: Callable[[], bool], limit_seconds: float = 10) -> None:
    """Wait until `condition()` holds."""
    async with asyncio.timeout(limit_seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in a socket
            await asyncio.sleep(0.005)
