"""The theoretical minimum of a handover, in Python: `python minimum.py` with plain aiohttp, in the interpreter that the sidecar runs in.

The program takes the Lease whenever a watch shows it empty, and empties the Lease for each line of standard input. Each of these events is
one JSON line on standard output. It has no renewal, no deadline and no application. `tests/binaries/bench/minimum.go` is the same in Go.
"""

import argparse
import asyncio
import json
import ssl
import sys
import time
from typing import Any

import aiohttp


def say(event: str, boottime_ns: int, **more: object) -> None:
    """One line, at once."""
    print(json.dumps({"event": event, "boottime_ns": boottime_ns, **more}), flush=True)


def now_ns() -> int:
    """CLOCK_BOOTTIME."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Racer:
    """One candidate."""

    def __init__(self, session: aiohttp.ClientSession, leases: str, name: str, identity: str) -> None:
        self._session = session
        self._leases = leases
        self._name = name
        self._identity = identity
        self._newest: dict[str, Any] = {}
        self._has_released = False

    async def _write(self, version: str, holder: str) -> bool:
        """Conditional on the version; whether it landed."""
        body = json.dumps({"metadata": {"resourceVersion": version}, "spec": {"holderIdentity": holder}})
        headers = {"Content-Type": "application/merge-patch+json"}
        async with self._session.patch(f"{self._leases}/{self._name}", data=body, headers=headers) as response:
            after = json.loads(await response.read())
            if response.status == 200:
                self._newest = after
            return response.status == 200

    async def _see(self, lease: dict[str, Any]) -> None:
        self._newest = lease
        if lease.get("spec", {}).get("holderIdentity"):
            self._has_released = False
        elif not self._has_released and await self._write(lease["metadata"]["resourceVersion"], self._identity):
            say("acquired", now_ns())

    async def release(self) -> None:
        """Empty the Lease, and report when that began."""
        self._has_released = True
        began_ns = now_ns()
        landed = await self._write(self._newest["metadata"]["resourceVersion"], "")
        say("released", began_ns, landed=landed)

    async def watch(self) -> None:
        """For ever."""
        async with self._session.get(f"{self._leases}/{self._name}") as response:
            first = await response.json()
        query = {
            "watch": "1",
            "timeoutSeconds": "86400",
            "fieldSelector": f"metadata.name={self._name}",
            "resourceVersion": first["metadata"]["resourceVersion"],
        }
        async with self._session.get(self._leases, params=query) as stream:
            say("watching", now_ns())
            await self._see(first)
            async for line in stream.content:
                await self._see(json.loads(line)["object"])


async def main() -> None:
    """Until standard input ends."""
    parser = argparse.ArgumentParser()
    for name in ("server", "ca", "token", "namespace", "lease", "identity"):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=given.ca), keepalive_timeout=3600)
    headers = {"Authorization": f"Bearer {given.token}"}
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:
        leases = f"{given.server}/apis/coordination.k8s.io/v1/namespaces/{given.namespace}/leases"
        racer = Racer(session, leases, given.lease, given.identity)
        watching = asyncio.create_task(racer.watch())
        watching.add_done_callback(lambda task: task.cancelled() or sys.exit(f"the watch ended: {task.exception()}"))
        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while await lines.readline():
            await racer.release()
        watching.cancel()


if __name__ == "__main__":
    asyncio.run(main())
