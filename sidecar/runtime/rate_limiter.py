"""L2: whatever fails, at most one request per retry period on average, and five in any second, beside the holder's renewals."""

from collections import deque
from collections.abc import Callable
from typing import Final

from sidecar.clock import MIN_SLEEP_SECONDS, NS_PER_SECOND, Clock, ns, seconds

BURST: Final = 5
KEPT_REQUESTS: Final = 2
"""What all that runs beside the election leaves it of each burst: to take the Lease, and to read once more if that met a conflict."""


class RateLimiter:
    """A token bucket with a limit on each second, for every request of one election. Times are CLOCK_BOOTTIME nanoseconds."""

    def __init__(self, period_seconds: float, clock: Clock) -> None:
        self._period_ns, self._clock = ns(period_seconds), clock
        self._full_ns = 0
        """When the bucket is full again: each request puts it a period further off."""
        self._recent: deque[int] = deque([-NS_PER_SECOND] * BURST, maxlen=BURST)

    def opens_ns(self, requests: int = 1) -> int:
        """From when the next request may go, or so many at once, BURST at most."""
        return max(self._full_ns - (BURST - requests) * self._period_ns, self._recent[requests - 1] + NS_PER_SECOND)

    def spend(self, now_ns: int) -> None:
        """Count a request that goes now. The election itself calls it; all else calls `acquire`."""
        self._full_ns = max(self._full_ns, now_ns) + self._period_ns
        self._recent.append(now_ns)

    async def acquire(self, requests: int = 1, *, leaving: int = KEPT_REQUESTS, wanted: Callable[[], bool] = lambda: True) -> bool:
        """Wait until so many requests may go at once and leave the election so many (L2); count them, for they go now.

        `wanted` is asked after the waiting: where it says no, nothing is counted, and the answer is False.
        """
        while (wait_ns := self.opens_ns(requests + leaving) - self._clock.boottime_ns()) > 0:
            await self._clock.sleep(max(seconds(wait_ns), MIN_SLEEP_SECONDS))
        if not wanted():
            return False
        for _ in range(requests):
            self.spend(self._clock.boottime_ns())
        return True
