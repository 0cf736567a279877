"""asyncio on virtual time: sockets included, real aiohttp on both ends; no TLS and no threads."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar
from unittest.mock import patch

import async_solipsism

from sidecar.clock import SystemClock

Result = TypeVar("Result")


def run_virtually(main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` to its end on virtual time and virtual sockets: hours take moments. A deadlock raises SleepForeverError."""
    start = "aiohttp.connector.aiohappyeyeballs.start_connection"
    start_virtually = async_solipsism.aiohappyeyeballs_start_connection
    with patch(start, start_virtually), asyncio.Runner(loop_factory=async_solipsism.EventLoop) as runner:
        return runner.run(main)


class VirtualClock(SystemClock):
    """Every clock is the loop's."""

    def boottime_ns(self) -> int:
        """The loop's time in nanoseconds, from some moment after boot."""
        return 1_000_000_000 + round(asyncio.get_running_loop().time() * 1e9)

    def wall_us(self) -> int:
        """A wall clock that goes with it."""
        return 1_790_000_000_000_000 + self.boottime_ns() // 1000

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """On the loop's time."""
        return asyncio.timeout(seconds)

    async def sleep(self, seconds: float) -> None:
        """On the loop's time."""
        await asyncio.sleep(seconds)
