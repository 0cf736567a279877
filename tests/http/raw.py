"""Requests as bytes, over real sockets: what no client library would send."""

import asyncio
import json
from dataclasses import dataclass, field


@dataclass
class Response:
    """What came back, taken apart."""

    status_line: str
    headers: list[tuple[str, str]]
    body: bytes
    before: list[str] = field(default_factory=list)
    """Heads of interim answers (100)."""

    @property
    def status(self) -> int:
        """The code."""
        return int(self.status_line.split()[1])

    def values(self, name: str) -> list[str]:
        """Of that header."""
        return [value for key, value in self.headers if key == name]

    def json(self) -> dict[str, object]:
        """The body, an object."""
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


async def exchange(port: int, *parts: bytes, head_alone: bool = False) -> Response:
    """Send each of `parts` on its own, and read one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for number, part in enumerate(parts):
            if number:
                await asyncio.sleep(0.05)  # a segment of its own
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(5):
            before = []
            while True:
                status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().removesuffix("\r\n\r\n").split("\r\n")
                if " 100 " not in status_line:
                    break
                before.append("\r\n".join([status_line, *lines]))
            headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
            length = int(next((value for name, value in headers if name == "content-length"), "0"))
            body = b"" if head_alone else await reader.readexactly(length)
        return Response(status_line, headers, body, before)
    finally:
        writer.close()


async def status_of(served: object, request: str, *rest: str) -> int:
    """The status that the application's listener answers with, in JSON where it is an error."""
    port: int = served.sockets[0].getsockname()[1]  # type: ignore[attr-defined] # of a Served
    found = await exchange(port, *(part.encode() for part in (request, *rest)))
    if found.status >= 400:
        assert set(found.json()) == {"error", "message"}
        assert found.values("content-type") == ["application/json; charset=utf-8"]
    return found.status
