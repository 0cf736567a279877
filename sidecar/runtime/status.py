"""How one election is doing, for people: for the health routes, the metrics and the log. Nothing in the election depends on it."""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sidecar.clock import seconds
from sidecar.election.machine import Election
from sidecar.election.record import GROUP_ANNOTATION, pod_name
from sidecar.election.requests import Candidate, Kind, Request
from sidecar.election.store import Busy, Conflict, Denied, Done, Outcome, Unknown
from sidecar.election.view import State
from sidecar.escaping import cut
from sidecar.logs import event as log_event
from sidecar.logs import move as log_move
from sidecar.runtime.health_lines import HealthLine

_log: Final = logging.getLogger(__name__)

LATENCY_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MARGIN_SECONDS: Final = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 20.0, 60.0, 600.0)

VERBS: Final = {Kind.READ: "get", Kind.PLACEHOLDER: "create"}
"""Kubernetes' verbs for the requests of an election; every other kind is a patch."""
_LINES: Final = {Kind.READ: HealthLine.READ, Kind.PLACEHOLDER: HealthLine.CREATE}
"""The lines that tell of them; that of every other kind is `patch`."""

TransitionListener = Callable[[Election, Election], None]
"""Called with the election before and after a move from one state to another; returns at once."""

STUCK_SECONDS: Final = 5.0
"""A loop that is late by less than this is never taken for one that hangs."""
LONGEST_STUCK_SECONDS: Final = 60.0
"""A loop that is late by this hangs, even where the renew deadline is most of an hour."""


def stuck_seconds(me: Candidate) -> float:
    """By how much the loop may be late. A loop that is later hangs: `/livez` fails, and the watchdog ends the process."""
    return min(max(STUCK_SECONDS, me.renew_deadline_seconds), LONGEST_STUCK_SECONDS)


class Histogram:
    """A histogram in Prometheus' sense: counts of values by upper bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """One count for each bound, of the values above the bound before it; the last count is of the values above all bounds."""
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count `value`."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass
class Status:
    """How one election is doing."""

    lease_seen: bool = False
    turns_by_ns: int = 0
    """CLOCK_BOOTTIME by which the loop means to turn next."""
    lag_seconds: float = 0.0
    """By how much the last turn of the loop was late."""
    conflict: str = ""
    watch: str = "connecting"
    problems: dict[HealthLine, str] = field(default_factory=dict)
    """The requests and checks that fail now, each with the reason."""
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Requests so far, by verb and outcome."""
    moves: Counter[State] = field(default_factory=Counter)
    """Moves so far into each state."""
    slow_paths: int = 0
    """Reads while a term is held: client-go's slow path."""
    renewal: Histogram = field(default_factory=lambda: Histogram(LATENCY_SECONDS))
    """How long each renewal that landed took, in seconds."""
    margin: Histogram = field(default_factory=lambda: Histogram(MARGIN_SECONDS))
    """How much time was left until the deadline when a renewal landed, in seconds."""
    transition_listeners: list[TransitionListener] = field(default_factory=list)
    """Called at every move from one state to another, in the order of the list."""
    _passing: set[HealthLine] = field(default_factory=set)
    """Requests whose last failure is transient: no right is missing, and nothing is invalid."""
    _said_no_order: bool = False
    _leader: tuple[str, int | None] = ("", None)
    """The leader that the log was told of last: its identity, and its token (or acquireTime where it has no token)."""

    def absorbed(self, before: Election, after: Election) -> None:
        """Take in that an event has led from the election `before` to the election `after`."""
        self.lease_seen = self.lease_seen or after.record is not None
        self.conflict = after.why if after.state is State.CONFLICT else ""
        if after.is_foreign() or before.is_foreign():
            self.note(HealthLine.CONTENDING, _foreign(after) if after.is_foreign() else None)
        renewed = after.record is not before.record and after.is_renewed_by_another(before.record)
        if after.altered or before.altered:
            self._say_altered(before, after, renewed=renewed)
        if renewed:
            self._forget_passing()
        if after.record is not before.record or after.state is not before.state:
            self._say_leader(after)
        if after.state is not before.state:
            self.moves[after.state] += 1
            self._tell(before, after)
            for listener in self.transition_listeners:
                listener(before, after)

    def answered(self, request: Request, outcome: Outcome, election: Election, now_ns: int) -> None:
        """Take in the outcome of a request. `election` is the election before it absorbs that outcome."""
        self.requests[VERBS.get(request.kind, "patch"), type(outcome).__name__.lower()] += 1
        self.note(_LINES.get(request.kind, HealthLine.PATCH), outcome)
        if election.held is not None and request.kind is Kind.READ:
            self.slow_paths += 1
        if election.held is not None and request.kind is Kind.RENEW and isinstance(outcome, Done):
            self.renewal.observe(seconds(now_ns - request.sent_ns))
            self.margin.observe(seconds(election.held.deadline_ns - now_ns))

    def watched(self) -> None:
        """The watch has opened."""
        self.watch = "open"
        self.note(HealthLine.WATCH, None)

    def unwatched(self, why: object) -> None:
        """The watch has ended; `why` is None where it ended normally."""
        reason = "normally" if why is None else getattr(why, "message", "the Lease is missing")
        self.watch = f"polling: {reason}" if isinstance(why, Denied) else f"connecting, the last watch ended: {reason}"
        if isinstance(why, Denied):
            self.note(HealthLine.WATCH, why)

    def note(self, what: HealthLine, outcome: object, *, passes: bool = True) -> None:
        """Remember for `/readyz?verbose` whether `what` fails, and log each change once.

        `passes`: a transient failure of `what` is forgotten once another candidate's renewal shows that writes land. So is each failure
        before a conflict: the right is there, but a validating webhook is called only after that, and may be down as it was. The
        conflict of a create comes after that webhook, and shows that it works.
        """
        if isinstance(outcome, Conflict) and what is not HealthLine.CREATE:
            self._passing.add(what)
            return
        message = outcome.message if isinstance(outcome, (Denied, Unknown, Busy)) else ""
        (self._passing.add if passes and isinstance(outcome, (Unknown, Busy)) else self._passing.discard)(what)
        self.say(what, message)

    def say(self, what: HealthLine, message: str) -> None:
        """Remember and log that `what` fails with `message`; "": it works."""
        if message == self.problems.get(what, ""):
            return
        if message:
            self.problems[what] = message
            log_event(_log, logging.WARNING, f"{what} failed", about=what, why=message)
        else:
            del self.problems[what]
            log_event(_log, logging.INFO, f"{what} works again", about=what)

    def _say_altered(self, before: Election, after: Election, *, renewed: bool) -> None:
        """S3: `/readyz?verbose` shows an own write that stands altered for as long as it does; the log names each set of fields once."""
        if not after.altered:
            self.problems.pop(HealthLine.LEASE_CONTENTS, None)
            if not renewed:  # another candidate's writes may be altered as well
                log_event(_log, logging.INFO, "the Lease again holds what this sidecar wrote")
            return
        fields = ", ".join(after.altered)
        said = f"the Lease does not hold what this sidecar wrote: {fields}; find the admission webhook or policy that changes leases"
        so = "" if after.held is not None else "; this sidecar does not lead while its writes are altered like this"
        self.problems[HealthLine.LEASE_CONTENTS] = f"{said}{so}"
        if after.altered != before.altered:
            log_event(_log, logging.WARNING, self.problems[HealthLine.LEASE_CONTENTS])

    def _forget_passing(self) -> None:
        """Forget transient failures: another candidate's renewal shows that writes land, and a follower itself seldom sends requests.

        The log is silent about that: it says "works again" only after a request of the same kind has succeeded.
        """
        for what in self._passing & self.problems.keys():
            del self.problems[what]
        self._passing.clear()

    def _say_leader(self, after: Election) -> None:
        """Log each new leader once, where it is another candidate. The term tells leaders apart: it outlasts outages and renewals."""
        view = after.view()
        if not view.holder:
            return
        leader = (view.holder, view.token if view.token is not None else view.acquired_at_us)
        if leader == self._leader:
            return
        self._leader = leader
        if view.holder != after.me.identity:  # `_tell` logs the own moves
            log_move(_log, logging.INFO, "new leader", leader=pod_name(view.holder), holder=view.holder, token=str(view.token))

    def _tell(self, before: Election, after: Election) -> None:
        level = (
            logging.WARNING
            if after.state is State.CONFLICT or (before.held is not None and after.state is State.FOLLOWING)
            else logging.INFO
        )
        fields = {"state": after.state.value, "was": before.state.value, "why": after.why}
        if after.held is not None:
            fields |= {"token": str(after.held.token)}
        if after.record is not None and after.record.holder:
            fields |= {"holder": after.record.holder}
        log_move(_log, level, _HEADLINES[after.state], **fields)
        if after.state is State.LEADING and after.record is not None and after.record.version_number is None and not self._said_no_order:
            self._said_no_order = True
            why = "the fencing token is taken from leaseTransitions; the sidecar reads the Lease after each watch event"
            log_event(_log, logging.WARNING, "the resourceVersions of this API server are not integers", why=why)


def _foreign(election: Election) -> Denied:
    record, me = election.record, election.me
    whose = record.group if record is not None else ""
    own = f'this sidecar belongs to the group "{me.group}"' if me.group else "this sidecar belongs to no group"
    advice = "set another LEADER_LEASE_NAME or LEADER_INSTANCE, or remove the annotation if no other group uses the Lease"
    return Denied(f'the Lease belongs to another group (annotation {GROUP_ANNOTATION}: "{cut(whose, 100)}"); {own}: {advice}')


_HEADLINES: Final = {
    State.STARTING: "starting",
    State.FOLLOWING: "following",
    State.LEADING: "leading",
    State.STEPPING_DOWN: "stepping down",
    State.RESIGNED: "resigned",
    State.CONFLICT: "in conflict",
}
