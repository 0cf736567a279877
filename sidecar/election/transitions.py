"""The moves of a candidate: from which state, for which cause, to which state."""

from enum import StrEnum
from typing import Final

from sidecar.election.view import State


class Cause(StrEnum):
    """Why a candidate moves from one state to another."""

    SEEN = "the Lease was seen, or found missing"
    TOOK = "its own write is what stands in the Lease (S3, S9)"
    LOST = "the Lease names another, or nobody (S4)"
    ALTERED = "what stands in the Lease is not what it wrote: that is no renewal (S3)"
    EXPIRED = "its deadline passed (S3)"
    STEP_DOWN = "it is asked to stop (S11)"
    RELEASED = "its release landed"
    DUPLICATE = "another process writes under its identity (S9 d)"
    RETURN = "its time out is over"


TRANSITIONS: Final[dict[tuple[State, Cause], State]] = {
    (State.STARTING, Cause.SEEN): State.FOLLOWING,
    (State.STARTING, Cause.STEP_DOWN): State.RESIGNED,
    (State.FOLLOWING, Cause.TOOK): State.LEADING,
    (State.FOLLOWING, Cause.DUPLICATE): State.CONFLICT,
    (State.FOLLOWING, Cause.STEP_DOWN): State.RESIGNED,
    (State.LEADING, Cause.LOST): State.FOLLOWING,
    (State.LEADING, Cause.ALTERED): State.FOLLOWING,
    (State.LEADING, Cause.EXPIRED): State.FOLLOWING,
    (State.LEADING, Cause.DUPLICATE): State.CONFLICT,
    (State.LEADING, Cause.STEP_DOWN): State.STEPPING_DOWN,
    (State.STEPPING_DOWN, Cause.LOST): State.RESIGNED,
    (State.STEPPING_DOWN, Cause.ALTERED): State.RESIGNED,
    (State.STEPPING_DOWN, Cause.EXPIRED): State.RESIGNED,
    (State.STEPPING_DOWN, Cause.DUPLICATE): State.CONFLICT,
    (State.STEPPING_DOWN, Cause.RELEASED): State.RESIGNED,
    (State.RESIGNED, Cause.DUPLICATE): State.CONFLICT,
    (State.RESIGNED, Cause.RETURN): State.FOLLOWING,
    (State.CONFLICT, Cause.RETURN): State.FOLLOWING,
    (State.CONFLICT, Cause.STEP_DOWN): State.RESIGNED,
}
"""Every move there is. A candidate holds a term while leading or stepping down; its answer is true only while leading."""
