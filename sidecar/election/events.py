"""The events that an election is told, and the request that it asks for."""

from dataclasses import dataclass
from math import log
from typing import Final

from sidecar.clock import ns
from sidecar.election.record import Record
from sidecar.election.requests import Kind
from sidecar.election.store import Outcome

LARGEST_GROUP: Final = 1000
SPREAD_SECONDS: Final = 0.05
"""L2: where the Lease names no stand-by, each candidate that sees the Lease free waits SPREAD_SECONDS x (1 + log u to the base
LARGEST_GROUP), with u uniform in (0, 1]. In a group of up to LARGEST_GROUP a handful write first; the others see that in time."""
STANDBY_STEP_SECONDS: Final = 0.05
"""The first stand-by does not wait, each further one waits so much longer: several times what a write and the news of it take."""
STANDBY_LEAD_SECONDS: Final = 0.25
LATE_SPREAD_SECONDS: Final = 0.6
"""Where a candidate stands by, all others wait for STANDBY_LEAD_SECONDS, and then spread over LATE_SPREAD_SECONDS: the news of one write
takes a while to reach a thousand candidates. The sum stays within the second that L1 allows."""
HOLD_BACK_SECONDS: Final = 1.0
"""Others wait 1 s for the successor that a release names: long against a watch's delay, short if the successor has died."""

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

    def spread_ns(self, longest_seconds: float = SPREAD_SECONDS) -> int:
        """How long to wait so that a few others write first (L2)."""
        return ns(spread_seconds(self.dice, longest_seconds))


def spread_seconds(dice: float, longest_seconds: float) -> float:
    """A wait from 0 to `longest_seconds`; few of any group up to LARGEST_GROUP draw one near 0. `dice` is uniform in (0, 1]."""
    return longest_seconds * max(0.0, 1 + log(dice, LARGEST_GROUP))


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
    """Stop leading: say false first, release later."""

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
