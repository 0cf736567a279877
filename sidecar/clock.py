"""The only place that reads time.

Deadlines are CLOCK_BOOTTIME nanoseconds (clock_gettime(2)): unlike CLOCK_MONOTONIC it counts a suspended machine, and every container of
a Pod shares it. Wall-clock time is written into Leases for people to read and never decides anything.
"""

import asyncio
import time
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final, Protocol

NS_PER_SECOND: Final = 1_000_000_000

MAX_SLEEP_SECONDS: Final = 1.0
"""asyncio's timers stand still in a suspend, so each wait looks at the clock at least this often."""
MIN_SLEEP_SECONDS: Final = 0.001
"""A timer may fire a tick of the clock early; to sleep for less than this would be to spin."""

# macOS has no CLOCK_BOOTTIME; its CLOCK_MONOTONIC counts a sleeping machine already (clock_gettime(3) there).
_BOOTTIME: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def ns(seconds: float) -> int:
    """Whole nanoseconds in `seconds`."""
    return round(seconds * NS_PER_SECOND)


def seconds(nanoseconds: int) -> float:
    """`nanoseconds` as seconds."""
    return nanoseconds / NS_PER_SECOND


class Clock(Protocol):
    """The clocks and timers that the elector needs. The simulator's clock has an offset, a rate and pauses of its own."""

    def boottime_ns(self) -> int:
        """CLOCK_BOOTTIME in nanoseconds: never steps, counts suspends."""

    def wall_us(self) -> int:
        """Microseconds since the Unix epoch, UTC: may step, for people only."""

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """A context that raises the builtin TimeoutError after `seconds`."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`, or later."""

    async def wait(self, event: asyncio.Event, until_ns: int) -> None:
        """Return when `event` is set, or when CLOCK_BOOTTIME shows `until_ns`: soon after a suspend as well."""


class SystemClock:
    """The machine's clocks and asyncio's timers."""

    def boottime_ns(self) -> int:
        """CLOCK_BOOTTIME in nanoseconds."""
        return time.clock_gettime_ns(_BOOTTIME)

    def wall_us(self) -> int:
        """Microseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1000

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """`asyncio.timeout`: exact, where aiohttp rounds what is over 5 s up to the next whole second of its loop."""
        return asyncio.timeout(seconds)

    async def sleep(self, seconds: float) -> None:
        """`asyncio.sleep`: it stands still in a suspend, so its caller looks at the clock again afterwards."""
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, until_ns: int) -> None:
        """See `Clock`. Looks at the clock at least once a second, since timers stand still in a suspend."""
        while not event.is_set() and (left_ns := until_ns - self.boottime_ns()) > 0:
            with suppress(TimeoutError):
                async with self.timeout(min(max(left_ns / NS_PER_SECOND, MIN_SLEEP_SECONDS), MAX_SLEEP_SECONDS)):
                    await event.wait()
