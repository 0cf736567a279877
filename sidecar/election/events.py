"""The events that an election is told, and the request that it asks for."""

from dataclasses import dataclass
from typing import Final

from sidecar.election.record import Record
from sidecar.election.requests import Kind
from sidecar.election.store import Outcome

UNHEALTHY_DURATIONS: Final = 2
"""A candidate with an unhealthy app contends when the Lease has stood free for so many lease durations."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The moment of an event: what the pure election is told of clocks and chance."""

    now_ns: int
    """CLOCK_BOOTTIME."""
    wall_us: int
    """Microseconds since the epoch; written into the Lease for people."""
    dice: float = 1.0
    """Uniform in (0, 1]."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The request under way was answered, or given up."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Watched:
    """The watch shows the Lease as `record`; the news may be late."""

    record: Record


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The watch is alive and shows nothing new."""


@dataclass(frozen=True, slots=True)
class Doubted:
    """A quorum read is wanted: the watch shows a deletion, broke, or shows nothing, or a poll is due."""


@dataclass(frozen=True, slots=True)
class StepDown:
    """Stop leading: answer false at once, and release the Lease once no application may act any more (S11)."""

    why: str
    given_until_ns: int = 0
    """The latest deadline that this process has given in a true answer (S11), CLOCK_BOOTTIME."""
    app_ended: bool = False
    """The app no longer acts, as it has said itself, or as a setting says."""
    leaving: bool = False
    """The process is about to end."""
    out_seconds: float | None = None
    """How long to stay out; None for as long as a resignation under way says, or else for twice the lease duration."""
    successor: str = ""
    """The candidate that the release names, which then goes first; "" for none."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """End a resignation early."""


@dataclass(frozen=True, slots=True)
class Health:
    """The app's health after a probe; told after each probe, also where it is as before."""

    ok: bool
    given_until_ns: int = 0
    """As in `StepDown` (S11)."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Every process of the holder's Pod has ended (S6 x), as a read shows that was sent after `renewal` was known."""

    renewal: tuple[str, str, int | None, int | None]
    """`Record.renewal` of the record that names the Pod."""


Event = Tick | Answered | Watched | Confirmed | Doubted | StepDown | Campaign | Health | Ended


@dataclass(frozen=True, slots=True)
class Due:
    """A request that the election wants to send."""

    kind: Kind
    at_ns: int
    """Send it at this moment or later; CLOCK_BOOTTIME."""
    urgent: bool = False
    """The holder's request: the rate limiter does not delay it (L2)."""
