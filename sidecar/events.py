"""What an election is told, and what it asks for."""

from dataclasses import dataclass
from math import log
from typing import Final

from sidecar.clock import ns
from sidecar.lease import Record
from sidecar.stores.protocol import Outcome
from sidecar.writes import Kind

LARGEST_GROUP: Final = 1000
SPREAD_SECONDS: Final = 0.05
"""L2: where nobody stands by, who sees the Lease free waits SPREAD_SECONDS x (1 + log u to the base LARGEST_GROUP), u uniform in (0, 1]: in
a group of any size below that a handful write first, and the others see it before their turn."""
STANDBY_STEP_SECONDS: Final = 0.05
"""The first stand-by waits for nobody, each further one so much longer: several times what a write and the news of it take."""
STANDBY_LEAD_SECONDS: Final = 0.25
LATE_SPREAD_SECONDS: Final = 0.6
"""Where somebody stands by, all others wait for so long before they spread, and spread over more: the news of one write takes a while to
reach a thousand. Both together end within the second that L1 has."""
HOLD_BACK_SECONDS: Final = 1.0
"""A release that names its successor gives it this much before anyone else contends: enough for it to hear, too little to miss."""

UNHEALTHY_DURATIONS: Final = 2
"""For so many lease durations a Lease must stand free before a candidate whose app is not healthy contends."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What an event needs of the world."""

    now_ns: int
    """CLOCK_BOOTTIME."""
    wall_us: int
    """Microseconds since the epoch, written for people."""
    dice: float = 1.0
    """Uniform in (0, 1]."""

    def spread_ns(self, longest_seconds: float = SPREAD_SECONDS) -> int:
        """How long to wait for others to go first (L2)."""
        return ns(spread_seconds(self.dice, longest_seconds))


def spread_seconds(dice: float, longest_seconds: float) -> float:
    """A wait that few of any group up to LARGEST_GROUP draw near 0, and most near the longest; `dice` uniform in (0, 1]."""
    return longest_seconds * max(0.0, 1 + log(dice, LARGEST_GROUP))


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of the request under way."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Watched:
    """The watch shows the Lease; it may be late."""

    record: Record


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The watch lives and has nothing new."""


@dataclass(frozen=True, slots=True)
class Doubted:
    """A quorum read is called for: the watch shows a deletion, broke, or shows nothing, or a poll is due."""


@dataclass(frozen=True, slots=True)
class StepDown:
    """Stop leading: say false first, release later."""

    why: str
    given_until_ns: int = 0
    """The latest deadline in a true answer of this process (S11), CLOCK_BOOTTIME."""
    app_ended: bool = False
    """The app has said, or a setting says, that it no longer acts."""
    leaving: bool = False
    """The process is about to end."""
    out_seconds: float | None = None
    """How long to stay out; None: as before, or twice the lease duration."""
    successor: str = ""
    """Whom the release names: that candidate goes first. "" for nobody."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """End a resignation early."""


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes of the app say, again with each of them."""

    ok: bool
    given_until_ns: int = 0
    """As of `StepDown` (S11)."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Every process of the holder's Pod has ended (S6 x): shown by a read that was sent when that renewal was known."""

    renewal: tuple[str, str, int | None, int | None]
    """`Record.renewal` of the record that names the Pod."""


Event = Tick | Answered | Watched | Confirmed | Doubted | StepDown | Campaign | Health | Ended


@dataclass(frozen=True, slots=True)
class Due:
    """A request that is wanted."""

    kind: Kind
    at_ns: int
    """Not before, CLOCK_BOOTTIME."""
    urgent: bool = False
    """Of the holder: no budget delays it (L2)."""
