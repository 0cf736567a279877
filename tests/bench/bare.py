"""The baseline in the same Python: `python bare.py` is an idle event loop with ssl and aiohttp loaded. `python bare.py PORT` answers every
request with the same JSON, which is as long as an answer of the sidecar. It prints `ready` on standard output.
"""

import asyncio
import json
import ssl
import sys

from aiohttp import ClientSession, TCPConnector, web

ANSWER = {
    "name": "web-0", "is_leader": True, "state": "leading", "version": "q7d1f3a8-42", "fencing_token": 81234, "expires_in": 9.214,
    "valid_until_boottime_ns": 93817265004411, "identity": "web-0_9f6c", "holder": "web-0_9f6c", "lease": "web", "namespace": "shop",
    "acquired_at": "2026-11-23T08:00:00.000000Z", "renewed_at": "2026-11-23T08:09:58.104213Z", "transitions": 3, "observed_ago": 0.8,
}  # fmt: skip


async def _answer(_: web.Request) -> web.Response:
    return web.json_response(ANSWER)


async def main(port: int | None) -> None:
    """For ever."""
    context = ssl.create_default_context()
    async with ClientSession(connector=TCPConnector(ssl=context)):
        app = web.Application()
        app.router.add_get("/leader", _answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        if port is not None:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        print("ready", len(json.dumps(ANSWER)), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else None))
