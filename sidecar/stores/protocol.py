"""What a store must be: one Lease, read, written conditionally and watched, with typed outcomes and never an exception.

Both stores pass the one suite in `tests/contract`.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from sidecar.lease import JSON, Record


@dataclass(frozen=True, slots=True)
class Done:
    """It happened: the Lease as the store holds it now."""

    record: Record


@dataclass(frozen=True, slots=True)
class Conflict:
    """Refused: the version written on is not the newest, or a create found the Lease there (HTTP 409). It may be one's own success (S5)."""


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no such Lease (HTTP 404)."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Refused, and nothing was written: no right (HTTP 401, 403), or not valid (HTTP 400, 413, 422)."""

    message: str
    """For the log and `/readyz?verbose`: names what is missing (verb and resource), or what the server said is not valid."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Turned away before it was tried (HTTP 429, a lock that another process has)."""

    retry_after_seconds: float
    """As the server asks; 0 if it does not."""
    message: str = "turned away: too many requests"


@dataclass(frozen=True, slots=True)
class Unknown:
    """No telling whether it happened: no answer, half an answer, a server's error (HTTP 5xx)."""

    message: str


Outcome = Done | Conflict | Missing | Denied | Busy | Unknown


@dataclass(frozen=True, slots=True)
class Opened:
    """The watch stands; what follows is news. It says nothing about the Lease."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The Lease as of some version; the first after `Opened` may be its present state. May be late, never made up."""

    record: Record


@dataclass(frozen=True, slots=True)
class Deleted:
    """The Lease was deleted. May be late: only a read tells whether it is missing."""


@dataclass(frozen=True, slots=True)
class Alive:
    """Nothing new, but the stream lives (a bookmark)."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The last event of every watch."""

    why: Missing | Denied | Busy | Unknown | None
    """None: it ended as agreed (the server's time limit)."""


WatchEvent = Opened | Changed | Deleted | Alive | Closed


class Store(Protocol):
    """One Lease. No call has a time limit of its own: the caller cancels it, and its outcome is then unknown."""

    async def read(self) -> Outcome:
        """The newest state (a quorum read): Done, Missing, Denied, Busy or Unknown."""

    async def patch(self, patch: JSON) -> Outcome:
        """Apply a merge patch (`lease.merge_patch`), conditional on the resourceVersion in it; sent once, never repeated."""

    async def create(self, body: JSON) -> Outcome:
        """Create the Lease from `lease.merge_patch(record, None)`; Conflict if it is there."""

    def watch(self) -> AsyncGenerator[WatchEvent, None]:
        """Opened, then news until Closed. The caller limits silence and closes the generator."""

    async def close(self) -> None:
        """Let go of connections and files."""
