"""`python relay.py LISTEN CONNECT`, each `tcp:PORT` (loopback) or `unix:PATH`: carries bytes between them until it is ended.

A unix socket's file is seen from every network namespace: two relays carry loopback from one into another, and nothing is routed.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _connect(where: str) -> Streams:
    kind, _, name = where.partition(":")
    return await (asyncio.open_connection("127.0.0.1", int(name)) if kind == "tcp" else asyncio.open_unix_connection(name))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def _relayed(target: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def relayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await _connect(target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))

    return relayed


async def _main(listen: str, target: str) -> None:
    kind, _, name = listen.partition(":")
    relayed = _relayed(target)
    server = await (asyncio.start_server(relayed, "127.0.0.1", int(name)) if kind == "tcp" else asyncio.start_unix_server(relayed, name))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
