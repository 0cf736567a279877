"""How one election is doing, kept for people: for the health routes, the metrics and the log. Nothing here decides anything."""

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
from sidecar.election.store import Busy, Denied, Done, Outcome, Unknown
from sidecar.election.view import State
from sidecar.escaping import cut
from sidecar.logs import event as log_event
from sidecar.logs import move as log_move

_log: Final = logging.getLogger(__name__)

LATENCY_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MARGIN_SECONDS: Final = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 20.0, 60.0, 600.0)

ALTERED: Final = "lease contents"
"""Its line in `/readyz?verbose`."""
VERBS: Final = {Kind.READ: "get", Kind.SENTINEL: "create"}
"""As Kubernetes calls the requests; every other one is a patch."""

TransitionListener = Callable[[Election, Election], None]
"""Called with the election before and after a move from one state to another; returns at once."""

STUCK_SECONDS: Final = 5.0
LONGEST_STUCK_SECONDS: Final = 60.0
"""A term may run for most of an hour; nobody waits so long for a loop that hangs."""


def stuck_seconds(me: Candidate) -> float:
    """How much later than it meant to the loop may turn: past that `/livez` fails, and the watchdog ends the process."""
    return min(max(STUCK_SECONDS, me.renew_deadline_seconds), LONGEST_STUCK_SECONDS)


class Histogram:
    """Counts by upper bounds, as Prometheus has them."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Of what lies between two bounds; the last is above all."""
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


@dataclass
class Status:
    """How the elector is doing."""

    lease_seen: bool = False
    turns_by_ns: int = 0
    """CLOCK_BOOTTIME by which the loop means to turn next."""
    lag_seconds: float = 0.0
    """How much later than that it turned last."""
    conflict: str = ""
    watch: str = "connecting"
    problems: dict[str, str] = field(default_factory=dict)
    """What fails now, by request."""
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By verb and outcome."""
    moves: Counter[State] = field(default_factory=Counter)
    """Into each state."""
    slow_paths: int = 0
    """Reads while a term is held: client-go's slow path."""
    renewal: Histogram = field(default_factory=lambda: Histogram(LATENCY_SECONDS))
    """How long renewals took that landed, in seconds."""
    margin: Histogram = field(default_factory=lambda: Histogram(MARGIN_SECONDS))
    """What was left of the deadline when a renewal landed, in seconds."""
    transition_listeners: list[TransitionListener] = field(default_factory=list)
    """Each is called at every move from one state to another, in order."""
    _passing: set[str] = field(default_factory=set)
    """Requests whose last failure may pass by itself: no right is missing, nothing is invalid."""
    _said_no_order: bool = False
    _leader: tuple[str, int | None] = ("", None)
    """The last one that was told of: its identity, and its token, or where it has none since when it leads."""

    def absorbed(self, before: Election, after: Election) -> None:
        """The election has moved on."""
        self.lease_seen = self.lease_seen or after.record is not None
        self.conflict = after.why if after.state is State.CONFLICT else ""
        if after.is_foreign() or before.is_foreign():
            self.note("contending", _foreign(after) if after.is_foreign() else None)
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
        """A request of the election has its outcome; `election` has not heard of it yet."""
        self.requests[VERBS.get(request.kind, "patch"), type(outcome).__name__.lower()] += 1
        self.note("read" if request.kind is Kind.READ else VERBS.get(request.kind, "patch"), outcome)
        if election.held is not None and request.kind is Kind.READ:
            self.slow_paths += 1
        if election.held is not None and request.kind is Kind.RENEW and isinstance(outcome, Done):
            self.renewal.observe(seconds(now_ns - request.sent_ns))
            self.margin.observe(seconds(election.held.deadline_ns - now_ns))

    def watched(self) -> None:
        """The watch has opened."""
        self.watch = "open"
        self.note("watch", None)

    def unwatched(self, why: object) -> None:
        """The watch has ended: None as agreed, else for this reason."""
        reason = getattr(why, "message", None) or ("as agreed" if why is None else type(why).__name__.lower())
        self.watch = f"polling: {reason}" if isinstance(why, Denied) else f"connecting, the last watch ended: {reason}"
        if isinstance(why, Denied):
            self.note("watch", why)

    def note(self, what: str, outcome: object, *, passes: bool = True) -> None:
        """Keep what fails for `/readyz?verbose`, and log it once. `passes`: it may pass by itself while following (`_forget_passing`)."""
        message = outcome.message if isinstance(outcome, (Denied, Unknown, Busy)) else ""
        (self._passing.add if passes and isinstance(outcome, (Unknown, Busy)) else self._passing.discard)(what)
        self.say(what, message)

    def say(self, what: str, message: str) -> None:
        """The same in words; "" where nothing fails."""
        if message == self.problems.get(what, ""):
            return
        if message:
            self.problems[what] = message
            log_event(_log, logging.WARNING, f"{what} failed", about=what, why=message)
        else:
            del self.problems[what]
            log_event(_log, logging.INFO, f"{what} works again", about=what)

    def _say_altered(self, before: Election, after: Election, *, renewed: bool) -> None:
        """S3: while an own write stands otherwise than written, that stands in `/readyz?verbose`; log it once for each set of fields."""
        if not after.altered:
            self.problems.pop(ALTERED, None)
            if not renewed:  # what another one writes may be altered as well
                log_event(_log, logging.INFO, "what stands in the Lease is what was written again")
            return
        said = f"what stands in the Lease is not what was written: {', '.join(after.altered)}; an admission webhook or policy changes it"
        self.problems[ALTERED] = said if after.held is not None else f"{said}; nobody leads by such a write"
        if after.altered != before.altered:
            log_event(_log, logging.WARNING, self.problems[ALTERED])

    def _forget_passing(self) -> None:
        """Another candidate's renewal shows that writes land, and a follower may not write again for a long time: no problem is left.

        Nothing is said of it: only of a request of the same kind that succeeds the log says that it works again.
        """
        for what in self._passing & self.problems.keys():
            del self.problems[what]
        self._passing.clear()

    def _say_leader(self, after: Election) -> None:
        """Each new leader that is another candidate, once: by its term, which neither an outage nor a renewal makes another one."""
        view = after.view()
        if not view.holder:
            return
        leader = (view.holder, view.token if view.token is not None else view.acquired_at_us)
        if leader == self._leader:
            return
        self._leader = leader
        if view.holder != after.me.identity:  # what this one does is told as its own move
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
            why = "resourceVersions are no integers here: leaseTransitions serves as fencing token, and news of the watch is read again"
            log_event(_log, logging.WARNING, "versions without an order", why=why)


def _foreign(election: Election) -> Denied:
    record, me = election.record, election.me
    whose = record.group if record is not None else ""
    own = f'this one is of the group "{me.group}"' if me.group else "this one is of no group"
    advice = "contend for another Lease (LEADER_LEASE_NAME, LEADER_INSTANCE), or take the annotation off if nobody uses it"
    return Denied(f'the Lease is marked as that of another group (annotation {GROUP_ANNOTATION}: "{cut(whose, 100)}"), and {own}: {advice}')


_HEADLINES: Final = {
    State.STARTING: "starting",
    State.FOLLOWING: "following",
    State.LEADING: "leading",
    State.STEPPING_DOWN: "stepping down",
    State.RESIGNED: "resigned",
    State.CONFLICT: "in conflict",
}
