"""L2: whatever fails, at most one request per retry period on average, and five in any second, beside the holder's renewals."""

from collections import deque
from typing import Final

from sidecar.clock import NS_PER_SECOND, ns

BURST: Final = 5
KEPT_REQUESTS: Final = 2
"""What all that runs beside the election leaves it of each burst: to take the Lease, and to read once more if that met a conflict."""


class Budget:
    """A token bucket with a limit on each second. Times are CLOCK_BOOTTIME nanoseconds."""

    def __init__(self, period_seconds: float) -> None:
        self._period_ns = ns(period_seconds)
        self._full_ns = 0
        """When the bucket is full again: each request puts it a period further off."""
        self._recent: deque[int] = deque([-NS_PER_SECOND] * BURST, maxlen=BURST)

    def opens_ns(self, requests: int = 1) -> int:
        """From when the next request may go, or so many at once, BURST at most."""
        return max(self._full_ns - (BURST - requests) * self._period_ns, self._recent[requests - 1] + NS_PER_SECOND)

    def spend(self, now_ns: int) -> None:
        """Count a request that goes now."""
        self._full_ns = max(self._full_ns, now_ns) + self._period_ns
        self._recent.append(now_ns)
