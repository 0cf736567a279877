"""The limit on requests (L2): one per retry period on average, and five in any second, whatever fails. A holder's renewals are exempt."""

from collections import deque
from collections.abc import Callable
from typing import Final

from sidecar.clock import MIN_SLEEP_SECONDS, NS_PER_SECOND, Clock, ns, seconds

BURST: Final = 5
KEPT_REQUESTS: Final = 2
"""Requests of each burst that are reserved for the election: one acquisition, and one read after a conflict."""


class RateLimiter:
    """A token bucket with a limit on each second, for every request of one election. Times are CLOCK_BOOTTIME nanoseconds."""

    def __init__(self, period_seconds: float, clock: Clock) -> None:
        self._period_ns, self._clock = ns(period_seconds), clock
        self._full_ns = 0
        """When the bucket is full again: each request moves this a retry period further off."""
        self._recent: deque[int] = deque([-NS_PER_SECOND] * BURST, maxlen=BURST)

    def opens_ns(self, requests: int = 1) -> int:
        """From when the next `requests` may be sent at once, BURST at most."""
        return max(self._full_ns - (BURST - requests) * self._period_ns, self._recent[requests - 1] + NS_PER_SECOND)

    def spend(self, now_ns: int) -> None:
        """Count a request that is sent now. Only the elector calls this; every other part calls `acquire`."""
        self._full_ns = max(self._full_ns, now_ns) + self._period_ns
        self._recent.append(now_ns)

    async def acquire(self, requests: int = 1, *, leaving: int = KEPT_REQUESTS, wanted: Callable[[], bool] = lambda: True) -> bool:
        """Wait until `requests` may be sent at once, with `leaving` more left for the election (L2). Count them, and return True.

        Where `wanted` is false once the wait is over, count nothing and return False.
        """
        while (wait_ns := self.opens_ns(requests + leaving) - self._clock.boottime_ns()) > 0:
            await self._clock.sleep(max(seconds(wait_ns), MIN_SLEEP_SECONDS))
        if not wanted():
            return False
        for _ in range(requests):
            self.spend(self._clock.boottime_ns())
        return True
