"""Processes on one world's time: each has an event loop of its own, so that one can be stopped, killed or suspended while others go on.

asyncio's own tasks, futures and timeouts run on it unchanged. Nothing waits for real, and nothing is left to chance: what happens at one
instant happens in the order in which it was asked for.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from tests.simulation import eager

Callback = Callable[..., object]

TIMER_NS = 1_000
"""No timer is finer: a float of seconds is not, on a machine that has run for months."""


AT_ONCE = 20_000
"""More happenings in one instant are a loop that spins."""


class SpinError(Exception):
    """Time does not move on: a process looks again and again."""


class Agenda:
    """Time, and what will happen when. `now_ns` is the world's own, which no process can read."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.halted = False
        self._heap: list[tuple[int, int, Process | None, Callback, tuple[Any, ...]]] = []
        self._count = 0

    def at(self, when_ns: int, process: "Process | None", callback: Callback, *args: Any) -> None:
        """Call `callback` then: inside `process`, which may be stopped just then and does it later; or never, if it has died."""
        self._count += 1
        heapq.heappush(self._heap, (when_ns, self._count, process, callback, args))

    def run(self, until_ns: int) -> None:
        """Let everything happen up to `until_ns`. Raises SpinError where that never ends."""
        heap, at_once = self._heap, 0
        while heap and heap[0][0] <= until_ns and not self.halted:
            when_ns, _, process, callback, args = heapq.heappop(heap)
            at_once = at_once + 1 if when_ns <= self.now_ns else 0
            if at_once > AT_ONCE:
                raise SpinError
            self.now_ns = max(self.now_ns, when_ns)
            if process is None:
                callback(*args)
            else:
                process.happen(callback, args)
        if not self.halted:
            self.now_ns = until_ns


class Handle:
    """A callback that waits for its turn."""

    __slots__ = ("args", "callback", "dead", "local_ns")

    def __init__(self, callback: Callback, args: tuple[Any, ...], local_ns: int = 0) -> None:
        self.callback, self.args, self.dead, self.local_ns = callback, args, False, local_ns

    def cancel(self) -> None:
        """Never call it."""
        self.dead = True

    def cancelled(self) -> bool:
        """Whether it will never be called."""
        return self.dead

    def when(self) -> float:
        """For a timer: when, on its loop's clock."""
        return self.local_ns / 1e9


class Process(asyncio.AbstractEventLoop):
    """One process's event loop and clocks.

    `rate` is in thousandths: 1200 is a clock that runs a fifth too fast.
    """

    def __init__(self, agenda: Agenda, *, rate: int = 1000, offset_ns: int = 0) -> None:
        self.agenda = agenda
        self.alive = True
        self.stopped_until_ns = 0
        """World's time: it does nothing before (SIGSTOP, a loop that hangs, a suspended machine)."""
        self.failure: BaseException | None = None
        """What nobody caught."""
        self._rate, self._offset_ns = rate, offset_ns
        self._suspended_ns = 0
        self._ready: deque[Handle] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()

    # ---- clocks -------------------------------------------------------------------------------------------------------------------

    def boottime_ns(self) -> int:
        """CLOCK_BOOTTIME: goes on in a suspend."""
        return self.agenda.now_ns * self._rate // 1000 + self._offset_ns

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC: stands still in a suspend."""
        return self.boottime_ns() - self._suspended_ns

    def world_ns(self, boottime_ns: int) -> int:
        """When this process's CLOCK_BOOTTIME will show that, or has shown it."""
        return -(-(boottime_ns - self._offset_ns) * 1000 // self._rate)

    def freeze(self, until_ns: int, *, suspended: bool = False) -> None:
        """Do nothing until then. With `suspended` the monotonic clock stands still, and so do the timers."""
        if until_ns <= max(self.stopped_until_ns, self.agenda.now_ns):
            return
        if suspended:
            self._suspended_ns += (until_ns - max(self.stopped_until_ns, self.agenda.now_ns)) * self._rate // 1000
        self.stopped_until_ns = until_ns

    def kill(self) -> None:
        """End it as SIGKILL does: nothing that it does from here on counts; its tasks are cleared away."""
        self.alive = False
        for task in list(self._tasks):
            task.cancel()
        self._drain()

    # ---- what happens -------------------------------------------------------------------------------------------------------------

    def happen(self, callback: Callback, args: tuple[Any, ...]) -> None:
        """Something reaches this process."""
        if not self.alive:
            return
        if self.stopped_until_ns > self.agenda.now_ns:
            self.agenda.at(self.stopped_until_ns, self, callback, *args)
            return
        callback(*args)
        if self._ready:
            self._drain()

    def start(self, main: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run `main` in it."""
        task = self.create_task(main)
        self._drain()
        return task

    def _drain(self) -> None:
        asyncio._set_running_loop(self)
        ready, at_once = self._ready, 0
        try:
            while ready:
                handle = ready.popleft()
                if not handle.dead:
                    handle.callback(*handle.args)
                at_once += 1
                if at_once > AT_ONCE:
                    raise SpinError
        finally:
            asyncio._set_running_loop(None)

    def _fire(self, timer: Handle) -> None:
        if timer.dead:
            return
        left_ns = timer.local_ns - self.monotonic_ns()
        if left_ns > 0:  # it was suspended meanwhile
            self.agenda.at(self.agenda.now_ns + -(-left_ns * 1000 // self._rate), self, self._fire, timer)
        else:
            self._ready.append(timer)

    def _ring(self, timer: Handle) -> None:
        if not timer.dead:
            self._ready.append(timer)

    # ---- asyncio's side -----------------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """What asyncio goes by: the monotonic clock."""
        return self.monotonic_ns() / 1e9

    def call_soon(self, callback: Callback, *args: Any, context: Context | None = None) -> Handle:  # type: ignore[override]  # noqa: ARG002
        """In this process, next."""
        handle = Handle(callback, args)
        self._ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Callback, *args: Any, context: Context | None = None) -> Handle:  # type: ignore[override]  # noqa: ARG002
        """At `when` on its monotonic clock."""
        timer = Handle(callback, args, -int(-when * 1e9 // 1))
        left_ns = max(TIMER_NS, timer.local_ns - self.monotonic_ns())
        self.agenda.at(self.agenda.now_ns + -(-left_ns * 1000 // self._rate), self, self._fire, timer)
        return timer

    def call_later(self, delay: float, callback: Callback, *args: Any, context: Context | None = None) -> Handle:  # type: ignore[override]
        """After `delay` seconds on its monotonic clock."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_boottime(self, when_ns: int, callback: Callback, *args: Any) -> Handle:
        """When CLOCK_BOOTTIME shows that; after a suspend over that moment up to a second later."""
        timer = Handle(callback, args)
        self.agenda.at(max(self.agenda.now_ns, self.world_ns(when_ns)), self, self._ring, timer)
        return timer

    def create_future(self) -> "asyncio.Future[Any]":
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **kwargs: Any) -> "asyncio.Task[Any]":  # type: ignore[override]
        """A task of this loop."""
        return self._kept(asyncio.Task(coro, loop=self, **kwargs))

    def _kept(self, task: "asyncio.Task[Any]") -> "asyncio.Task[Any]":
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def create_eagerly(self, coro: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """A task whose first step is done before this returns."""
        return self._kept(eager.start(coro, self, self._last))

    def _last(self) -> Callback:
        handle = self._ready.pop()
        return lambda: handle.callback(*handle.args)

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """As far as its tasks can tell."""
        return True

    def is_closed(self) -> bool:
        """Never: it dies."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody caught."""
        self.failure = context.get("exception") or RuntimeError(str(context.get("message")))
