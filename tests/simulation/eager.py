"""Tasks that start eagerly, as those of Python 3.14 and newer do when they are asked to, on every Python."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


def start(
    work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop, taken: Callable[[], Callable[[], object]]
) -> "asyncio.Task[Any]":
    """A task whose first step is done before this returns.

    `taken` takes that step out of the loop, where it was asked for last.
    """
    task = asyncio.Task(work, loop=loop)
    step, current = taken(), asyncio.current_task(loop)
    if current is not None:
        asyncio.tasks._leave_task(loop, current)
    try:
        step()
    finally:
        if current is not None:
            asyncio.tasks._enter_task(loop, current)
    return task


def start_here(work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    """On one of asyncio's own loops."""
    loop: Any = asyncio.get_running_loop()
    return start(work, loop, lambda: loop._ready.pop()._run)
