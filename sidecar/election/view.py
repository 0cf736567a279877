"""What the election takes to be true, until a deadline: the one value that flows from the election to the leadership."""

from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """The state of a candidate, in the words of the HTTP contract."""

    STARTING = "starting"
    FOLLOWING = "following"
    LEADING = "leading"
    STEPPING_DOWN = "stepping-down"
    RESIGNED = "resigned"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class View:
    """What the election takes to be true, until `expires_ns`."""

    state: State = State.STARTING
    holder: str = ""
    """The identity of the candidate that leads, as far as is known; "" for none. Never the placeholder's."""
    token: int | None = None
    expires_ns: int | None = None
    """From this moment (CLOCK_BOOTTIME) on no candidate is known to lead. While leading: the deadline (S3)."""
    covered_until_ns: int | None = None
    """While leading or stepping down: until when this candidate certainly holds the Lease (the deadline or the planned release)."""
    acquired_at_us: int | None = None
    renewed_at_us: int | None = None
    transitions: int = 0
    confirmed_ns: int | None = None
    """When (CLOCK_BOOTTIME) the store last confirmed the record."""

    def at(self, now_ns: int) -> "View":
        """This view as it stands at `now_ns`."""
        if self.expires_ns is None or now_ns < self.expires_ns:
            return self
        state = State.FOLLOWING if self.state is State.LEADING else self.state
        return replace(self, state=state, holder="", token=None, expires_ns=None, covered_until_ns=None)
