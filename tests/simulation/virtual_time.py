"""asyncio on virtual time: sockets included, real aiohttp on both ends; no TLS and no threads."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar
from unittest.mock import patch

import async_solipsism

Result = TypeVar("Result")


def run_virtually(main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` to its end on virtual time and virtual sockets: hours take moments. A deadlock raises SleepForeverError."""
    start = "aiohttp.connector.aiohappyeyeballs.start_connection"
    start_virtually = async_solipsism.aiohappyeyeballs_start_connection
    with patch(start, start_virtually), asyncio.Runner(loop_factory=async_solipsism.EventLoop) as runner:
        return runner.run(main)
