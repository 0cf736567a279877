"""What a store must be: one Lease, read, written conditionally and watched, with typed outcomes and never an exception.

Both stores pass the one suite in `tests/contract`.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from sidecar.election.record import JSON, Record


@dataclass(frozen=True, slots=True)
class Done:
    """The request was carried out; the Lease as the store holds it now."""

    record: Record


@dataclass(frozen=True, slots=True)
class Conflict:
    """Refused (HTTP 409): the Lease has another version than the write is based on, or exists already. The write may have landed (S5)."""


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
    """Turned away before the store tried it (HTTP 429, or another process has the lock)."""

    retry_after_seconds: float
    """As the server asks; 0 where it does not ask."""
    message: str = "too many requests (HTTP 429)"


@dataclass(frozen=True, slots=True)
class Unknown:
    """Whether the request was carried out cannot be told: no answer, half an answer, a server's error (HTTP 5xx)."""

    message: str


Outcome = Done | Conflict | Missing | Denied | Busy | Unknown


@dataclass(frozen=True, slots=True)
class Opened:
    """The watch is open, and news will follow. Says nothing about the Lease."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The Lease as it was at some version; the first one after `Opened` may be the present state. May be late, never made up."""

    record: Record


@dataclass(frozen=True, slots=True)
class Deleted:
    """The Lease was deleted. May be late: only a read tells whether it is missing."""


@dataclass(frozen=True, slots=True)
class Alive:
    """Nothing new, but the stream is alive (a bookmark)."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The last event of every watch."""

    why: Missing | Denied | Busy | Unknown | None
    """None: the stream ended without an error, as it does when its timeoutSeconds have run out."""


WatchEvent = Opened | Changed | Deleted | Alive | Closed


class Store(Protocol):
    """One Lease. No call has a time limit of its own: the caller cancels it, and its outcome is then unknown."""

    async def read(self) -> Outcome:
        """The newest state (a quorum read): Done, Missing, Denied, Busy or Unknown."""

    async def patch(self, patch: JSON) -> Outcome:
        """Apply a merge patch (`record.merge_patch`), conditional on the resourceVersion in it; sent once, never repeated."""

    async def create(self, body: JSON) -> Outcome:
        """Create the Lease from `record.merge_patch(record, None)`; Conflict if it is there."""

    def watch(self) -> AsyncGenerator[WatchEvent, None]:
        """Opened, then news until Closed. The caller limits how long the watch may be silent, and closes the generator."""

    async def close(self) -> None:
        """Close connections and files."""
