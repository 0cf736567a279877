"""Who tries first when the Lease is free (L2): the successor that the last holder named, then the standbys, then all others, spread."""

from math import log
from typing import Final

from sidecar.clock import ns
from sidecar.election.record import Record, pod_name

LARGEST_GROUP: Final = 1000
SPREAD_SECONDS: Final = 0.05
"""L2: where the Lease names no standby, each candidate that sees the Lease free waits SPREAD_SECONDS x (1 + log u to the base
LARGEST_GROUP), with u uniform in (0, 1]. In a group of up to LARGEST_GROUP a handful write first; the others see that in time."""
STANDBY_STEP_SECONDS: Final = 0.05
"""The first standby does not wait, each further one waits so much longer: several times what a write and the news of it take."""
STANDBY_LEAD_SECONDS: Final = 0.25
LATE_SPREAD_SECONDS: Final = 0.6
"""Where a candidate stands by, all others wait for STANDBY_LEAD_SECONDS, and then spread over LATE_SPREAD_SECONDS: the news of one write
takes a while to reach a thousand candidates. The sum stays within the second that L1 allows."""
HOLD_BACK_SECONDS: Final = 1.0
"""Others wait 1 s for the successor that a release names: long against a watch's delay, short if the successor has died."""


def wait_ns(record: Record | None, identity: str, dice: float) -> int:
    """How long the candidate `identity` waits once the Lease is free, by the record of it; `dice` is uniform in (0, 1]."""
    named = record.successor if record is not None and record.term is not None and record.term.released else ""
    if named and named in (identity, pod_name(identity)):
        return 0
    held_back_ns = ns(HOLD_BACK_SECONDS) if named else 0
    standbys = record.standbys if record is not None else ()
    if identity in standbys:
        return held_back_ns + standbys.index(identity) * ns(STANDBY_STEP_SECONDS)
    if standbys:
        return held_back_ns + ns(STANDBY_LEAD_SECONDS) + ns(spread_seconds(dice, LATE_SPREAD_SECONDS))
    return held_back_ns + ns(spread_seconds(dice, SPREAD_SECONDS))


def spread_seconds(dice: float, longest_seconds: float) -> float:
    """A wait from 0 to `longest_seconds`; few of any group up to LARGEST_GROUP draw one near 0. `dice` is uniform in (0, 1]."""
    return longest_seconds * max(0.0, 1 + log(dice, LARGEST_GROUP))
