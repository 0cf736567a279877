"""The algorithm: a pure state machine. No clock, await, network, log or randomness.

`absorb` takes an event and gives the next state; `due` says which request that state asks for and from when; `send` writes the request
down as under way. One request is under way at a time. The rules are named S1 to S11, L1 and L2, as in the documentation.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from math import log
from typing import Any, Final

from sidecar import promise, writes
from sidecar.clock import ns
from sidecar.events import Answered, Confirmed, Doubted, Due, Event, Moment, StepDown, Tick, Watched
from sidecar.lease import MAX_TOKEN, SENTINEL, Record
from sidecar.promise import Promise
from sidecar.stores.protocol import Busy, Conflict, Denied, Done, Missing, Outcome
from sidecar.view import State, View
from sidecar.writes import Candidate, Held, Kind, Request


class Cause(StrEnum):
    """Why a candidate moves from one state to another."""

    SEEN = "the Lease was seen, or found missing"
    TOOK = "its own write is what stands in the Lease (S3, S9)"
    LOST = "the Lease names another, or nobody (S4)"
    EXPIRED = "its deadline passed (S3)"
    STEP_DOWN = "it is asked to stop (S11)"
    RELEASED = "its release landed"
    TWIN = "another process writes under its identity (S9 d)"
    RETURN = "its time out is over"


TRANSITIONS: Final[dict[tuple[State, Cause], State]] = {
    (State.STARTING, Cause.SEEN): State.FOLLOWING,
    (State.STARTING, Cause.STEP_DOWN): State.RESIGNED,
    (State.FOLLOWING, Cause.TOOK): State.LEADING,
    (State.FOLLOWING, Cause.TWIN): State.CONFLICT,
    (State.FOLLOWING, Cause.STEP_DOWN): State.RESIGNED,
    (State.LEADING, Cause.LOST): State.FOLLOWING,
    (State.LEADING, Cause.EXPIRED): State.FOLLOWING,
    (State.LEADING, Cause.TWIN): State.CONFLICT,
    (State.LEADING, Cause.STEP_DOWN): State.STEPPING_DOWN,
    (State.STEPPING_DOWN, Cause.LOST): State.RESIGNED,
    (State.STEPPING_DOWN, Cause.EXPIRED): State.RESIGNED,
    (State.STEPPING_DOWN, Cause.TWIN): State.CONFLICT,
    (State.STEPPING_DOWN, Cause.RELEASED): State.RESIGNED,
    (State.RESIGNED, Cause.TWIN): State.CONFLICT,
    (State.RESIGNED, Cause.RETURN): State.FOLLOWING,
    (State.CONFLICT, Cause.RETURN): State.FOLLOWING,
    (State.CONFLICT, Cause.STEP_DOWN): State.RESIGNED,
}
"""Every move there is. A term is held while leading or stepping down, and an answer is true while leading alone."""

OUT: Final = frozenset({State.RESIGNED, State.CONFLICT})

SPREAD_SECONDS: Final = 0.05
LARGEST_GROUP: Final = 1000
"""L2: who sees the Lease free waits SPREAD_SECONDS x (1 + log u to the base LARGEST_GROUP), u uniform in (0, 1]: in a group of any size
below that a handful write first, and the others see it before their turn."""


@dataclass(frozen=True, slots=True)
class Election:
    """The whole state of one candidate."""

    me: Candidate
    state: State = State.STARTING
    why: str = "starting"
    """The reason for the last move, for the log."""
    record: Record | None = None
    """The newest Lease known; None while it is missing, or not yet seen (STARTING)."""
    learned_ns: int = 0
    """When that became known."""
    confirmed_ns: int | None = None
    last: Promise | None = None
    last_token: int | None = None
    """The largest fencing token seen (S8)."""
    held: Held | None = None
    flight: Request | None = None
    unresolved: tuple[Request, ...] = ()
    """Own writes of unknown outcome that may still land: the newest version is the one they are conditional on."""
    landed: Request | None = None
    """The last own write known to have landed, while no other holder was seen since (S9 a)."""
    wrote: bool = False
    """A write of this process has landed: another instance of its identity is a twin from then on (S9 d)."""
    fresh: bool = True
    """No holder but its own identity was seen, and nothing written: a former process's term may be resumed (S9 b)."""
    former: Promise | None = None
    """What a former process of this Pod promised (S9 b, S11)."""
    sent_us: int = 0
    """The largest renewTime sent (S3)."""
    doubt: bool = True
    """A quorum read is called for."""
    raced: bool = False
    """A write met a conflict: read before the next."""
    quick: bool = True
    """One try at once may follow a conflict; the next waits its turn, whoever touches the Lease."""
    renew_ns: int = 0
    contend_ns: int = 0
    next_ns: int = 0
    """No request before: the last one failed."""
    release_ns: int = 0
    """Nothing is released before (S11)."""
    back_ns: int | None = None
    """While out: when to contend again; None for never."""
    leaving: bool = False
    """The process is about to end."""

    # ---- what happens -------------------------------------------------------------------------------------------------------------

    def absorb(self, event: Event, at: Moment) -> "Election":
        """The state after `event`. The clock comes first: a deadline that has passed ends the term whatever the event proves (S3)."""
        state = self._at(at)
        match event:
            case Tick():
                return state
            case Answered(outcome):
                request = state.flight
                assert request is not None, "an answer without a request"  # noqa: S101 - a bug: no leader rather than two
                return replace(state, flight=None)._answered(request, outcome, at)
            case Watched(record):
                return state._hear(record, at)
            case Confirmed():
                return replace(state, confirmed_ns=at.now_ns)
            case Doubted():
                return replace(state, doubt=True)
            case StepDown():
                return state._step_down(event, at)

    def _at(self, at: Moment) -> "Election":
        if self.held is not None and at.now_ns >= self.held.deadline_ns:  # S3
            return self._move(Cause.EXPIRED, "no renewal landed within the renew deadline", held=None)._schedule(None, at)
        if self.state is State.STEPPING_DOWN and self.record is None and not self.doubt and at.now_ns >= self.release_ns:
            return self._move(Cause.RELEASED, "the Lease is missing: nothing to release", held=None)
        if self.state in OUT and self.back_ns is not None and at.now_ns >= self._back_ns(self.back_ns) and not self._to_release():
            return self._move(Cause.RETURN, "its time out is over", back_ns=None)._schedule(None, at)
        return self

    def _back_ns(self, back_ns: int) -> int:
        """When a time out ends: a resignation earlier where the Lease stands free for a whole lease duration."""
        if self.state is State.CONFLICT or self.record is None:
            return back_ns
        return min(back_ns, max(self._free_ns(), self.learned_ns) + ns(self.me.lease_duration_seconds))

    def _answered(self, request: Request, outcome: Outcome, at: Moment) -> "Election":  # noqa: C901, PLR0911 - one branch for each kind of outcome
        writing = request.kind is not Kind.READ
        later_ns = max(at.now_ns, request.sent_ns + ns(self.me.retry_period_seconds))
        match outcome:
            case Done(record) if writing and record.version == request.base:  # S3: a 200 that changed nothing proves nothing
                return replace(self, unresolved=(*self.unresolved, request), doubt=True, next_ns=later_ns)
            case Done(record) if record == self.record:
                unresolved = () if self.leaving else self.unresolved  # looked once more: enough for who leaves
                return replace(self, next_ns=0, unresolved=unresolved)._hear(record, at)
            case Done(record) if self.learned_ns > request.sent_ns and not _older(self.record, record):
                return replace(self, doubt=True)._keep(request, record)  # the watch was faster: what this answer tells may be over
            case Done(record):
                return replace(self, next_ns=0)._keep(request, record)._see(record, at)
            case Missing() if request.kind is Kind.SENTINEL:  # not even its namespace is there
                return replace(self, next_ns=later_ns)
            case Missing() if self.learned_ns > request.sent_ns:
                return replace(self, doubt=True)
            case Missing():
                return replace(self, next_ns=0)._gone(at)
            case Conflict():  # S5: it may be one's own success, or a touch by somebody else: look
                raced = replace(self, unresolved=(*self.unresolved, request), doubt=True, raced=True)
                if self.held is None:
                    return raced
                return replace(raced, quick=False, renew_ns=at.now_ns) if self.quick else replace(raced, next_ns=later_ns)
            case Busy(retry_after_seconds):
                asked_ns = at.now_ns + ns(retry_after_seconds)
                wait_ns = min(asked_ns, later_ns) if self.held is not None else max(asked_ns, later_ns)
                return replace(self, next_ns=wait_ns, doubt=self.doubt or not writing)
            case Denied():
                return replace(self, next_ns=later_ns, doubt=self.doubt or not writing)
            case _:  # S3: an unknown outcome extends nothing until it is found landed
                unresolved = (*self.unresolved, request) if writing else self.unresolved
                doubt = self.doubt or not writing or self.state in OUT
                return replace(self, unresolved=unresolved, next_ns=later_ns, doubt=doubt, raced=False)

    def _keep(self, request: Request, record: Record) -> "Election":
        """A write that is seen to have landed is looked at as one that might have."""
        return replace(self, unresolved=(*self.unresolved, request)) if request.is_outcome(record) else self

    def _hear(self, record: Record, at: Moment) -> "Election":
        """Take news from the watch: what is later counts; what is older, or has no order, calls for one quorum read (S4)."""
        if record == self.record:
            return replace(self, confirmed_ns=at.now_ns)
        if (self.record is None and self.held is None) or _older(self.record, record):
            return self._see(record, at)
        return replace(self, doubt=True)

    def _see(self, record: Record, at: Moment) -> "Election":
        """Take `record` for the newest state of the Lease."""
        own = (self.flight, *self.unresolved, self.landed)  # the watch may be faster than the answer
        mine = next((write for write in own if write is not None and write.is_outcome(record)), None)
        token = record.term.token if record.term is not None else None
        tokens = [seen for seen in (self.last_token, token) if seen is not None and seen < MAX_TOKEN]  # none could grow past that
        known = replace(
            self,
            record=record,
            learned_ns=at.now_ns,
            confirmed_ns=at.now_ns,
            last=promise.seen(
                record, self.record, self.last, self.last_token, now_ns=at.now_ns, own_seconds=self.me.lease_duration_seconds
            ),
            last_token=max(tokens, default=None),
            unresolved=() if self.leaving else tuple(write for write in self.unresolved if write.base == record.version),
        )
        if known.state is State.STARTING:
            known = known._move(Cause.SEEN, "the Lease was seen")
        if mine is not None:
            return known._landed(mine, at)._schedule(self.record, at)
        if known._is_twin(record, self.record):  # S9 d
            return known._conflict(at)
        if record.holder not in ("", SENTINEL, self.me.identity):
            known = replace(known, landed=None, fresh=False)
        if known.held is not None and record.holder not in (SENTINEL, self.me.identity):  # S4, S7: the sentinel ends no term
            whom = f"{record.holder} holds the Lease" if record.holder else "the Lease was emptied"
            lost = known._move(Cause.LOST, whom, held=None)._schedule(None, at)
            # A pause that can be seen before it is taken anew: the app stops cleanly, and who emptied the Lease sees that it worked.
            return replace(lost, contend_ns=max(lost.contend_ns, at.now_ns + ns(self.me.retry_period_seconds)))
        return known._schedule(self.record, at)

    def _gone(self, at: Moment) -> "Election":
        """Find the Lease missing: that does not make it free (S7)."""
        known = self if self.state is not State.STARTING else self._move(Cause.SEEN, "the Lease is missing")
        last = promise.missing(self.last, at.now_ns, self.me.lease_duration_seconds)
        return replace(
            known,
            record=None,
            learned_ns=at.now_ns,
            confirmed_ns=at.now_ns,
            last=last,
            unresolved=(),
            contend_ns=at.now_ns + _spread_ns(at.dice) if self.held is None else 0,
        )

    # ---- own writes ---------------------------------------------------------------------------------------------------------------

    def _landed(self, write: Request, at: Moment) -> "Election":
        """Find an own write standing in the Lease."""
        if write.kind is Kind.SENTINEL or write is self.landed:
            return self
        # A write that landed is as good as a quorum read.
        known = replace(self, landed=write, wrote=True, fresh=False, quick=True, doubt=False, raced=False)
        if write.kind is Kind.RELEASE:
            return known._move(Cause.RELEASED, "released", held=None) if known.state is State.STEPPING_DOWN else known
        deadline_ns = writes.deadline_ns(self.me, write)  # S3
        if known.held is not None:
            return replace(known, held=replace(known.held, deadline_ns=max(known.held.deadline_ns, deadline_ns)))
        # S3: a renewal revives no term that has ended; an acquisition or a resumption that proves itself in time begins one.
        if known.state is not State.FOLLOWING or write.kind is Kind.RENEW or at.now_ns >= deadline_ns:
            return known
        token = write.record.token
        assert token is not None, "an own write names its token"  # noqa: S101
        held = Held(token, write.record.acquire_time_us, write.record.transitions, deadline_ns)
        return known._move(Cause.TOOK, "resumed its term" if write.kind is Kind.RESUME else "acquired the Lease", held=held)

    def _is_mine(self) -> bool:
        """S9 a: the Lease is as one's own last write left it: the chain of own writes is whole."""
        return self.landed is not None and self.record is not None and self.landed.is_outcome(self.record)

    def _is_twin(self, record: Record, before: Record | None) -> bool:
        """S9 d: another instance of this identity replaced a write of ours; the write of a former process cannot, it would come first."""
        term = record.term
        if not self.wrote or term is None or record.holder not in ("", self.me.identity):
            return False
        if before is not None and before.renewal == record.renewal:
            return False
        return term.holder == self.me.identity and term.instance not in ("", self.me.instance)

    def _conflict(self, at: Moment) -> "Election":
        seconds = max(self.me.lease_duration_seconds, self.last.seconds if self.last is not None else 0)
        out = replace(self, landed=None, back_ns=None if self.leaving else at.now_ns + ns(seconds))
        if self.state is State.CONFLICT:
            return out
        return out._move(Cause.TWIN, f"another process writes under the identity {self.me.identity}", held=None)

    # ---- waiting and stepping down ------------------------------------------------------------------------------------------------

    def _free_ns(self) -> int:
        """From when the Lease may be contended for (S6, S7, S9), CLOCK_BOOTTIME; 0 for at once. Needs a record."""
        assert self.record is not None  # noqa: S101
        if self._is_mine() or self._may_resume() or self.last is None:
            return 0
        if not self.record.holder and promise.is_free(self.record, self.last, self.last_token):
            return 0
        if not self.record.holder and self.landed is not None and self.landed.kind is not Kind.RELEASE:
            # S7: the former holder may take it anew, where nobody else can have held it meanwhile: inside its last write's deadline.
            return 0 if self.learned_ns < writes.deadline_ns(self.me, self.landed) else self.last.end_ns
        return self.last.end_ns

    def _may_resume(self) -> bool:
        """S9 b: a former process of this very place left its term; we have its socket, so it is dead."""
        term = self.record.own_term if self.record is not None else None
        if not self.fresh or term is None or not self.me.place:
            return False
        newest = term.token is None or self.last_token is None or term.token >= self.last_token
        return newest and term.holder == self.me.identity and term.place == self.me.place

    def _schedule(self, before: Record | None, at: Moment) -> "Election":
        """Say when to contend for the Lease as it is seen now; a touch that is no renewal moves nothing but a larger promise (S6)."""
        if self.state is not State.FOLLOWING or self.record is None:
            return self
        if self._may_resume():
            return replace(self, former=self.former or self.last, contend_ns=at.now_ns)
        free_ns = max(self._free_ns(), at.now_ns)
        if self._is_mine() and self.record.holder:
            return replace(self, contend_ns=free_ns)
        if before is not None and before.renewal == self.record.renewal:
            return replace(self, contend_ns=max(self.contend_ns, self._free_ns()))
        return replace(self, contend_ns=free_ns + _spread_ns(at.dice))

    def _step_down(self, event: StepDown, at: Moment) -> "Election":
        me, now_ns = self.me, at.now_ns
        given_ns = max(event.given_until_ns, self.former.end_ns if self.former is not None else 0)
        if event.app_ended or given_ns <= now_ns:  # S11: the app has stopped, or no given deadline lies ahead
            release_ns = now_ns
        elif me.drain_timeout_seconds < me.renew_deadline_seconds:  # S11: a setting says by when the app has stopped
            release_ns = now_ns + ns(me.drain_timeout_seconds)
        else:
            release_ns = max(now_ns + ns(me.drain_timeout_seconds), given_ns)
        if self.state in (State.STEPPING_DOWN, State.RESIGNED):
            release_ns = min(release_ns, self.release_ns)
        leaving = self.leaving or event.leaving
        back_ns = None if leaving else now_ns + 2 * ns(me.lease_duration_seconds)
        doubt = self.doubt or bool(self.unresolved)
        out = replace(self, leaving=leaving, back_ns=back_ns, release_ns=release_ns, doubt=doubt)
        return out._move(Cause.STEP_DOWN, event.why) if (self.state, Cause.STEP_DOWN) in TRANSITIONS else out

    def _move(self, cause: Cause, why: str, **changes: Any) -> "Election":
        return replace(self, state=TRANSITIONS[self.state, cause], why=why, **changes)

    # ---- what is wanted -----------------------------------------------------------------------------------------------------------

    def due(self, now_ns: int) -> Due | None:
        """The request that this state asks for next; None while one is under way, or before something happens."""
        due = self._due(now_ns) if self.flight is None else None
        return replace(due, at_ns=max(due.at_ns, self.next_ns)) if due is not None else None

    def _due(self, now_ns: int) -> Due | None:
        holder = self.held is not None or self._to_release()
        if self.doubt and (self.raced or not holder or now_ns < self.renew_ns):
            wanted = not self.leaving or holder or bool(self.unresolved)
            return Due(Kind.READ, 0, urgent=holder and self.raced) if wanted else None
        if self.record is None:
            return Due(Kind.SENTINEL, self.contend_ns, urgent=holder) if self.held is not None or self.state is State.FOLLOWING else None
        if self.held is not None and (self.record.holder == SENTINEL or not self._to_release() or self.renew_ns < self.release_ns):
            return Due(Kind.RENEW, 0 if self.record.holder == SENTINEL else self.renew_ns, urgent=True)  # S7: claimed back at once
        if self._to_release():
            return Due(Kind.RELEASE, self.release_ns, urgent=True)
        if self.state is State.FOLLOWING:
            return Due(Kind.RESUME if self._may_resume() and self.record.token is not None else Kind.ACQUIRE, self.contend_ns)
        return None

    def _to_release(self) -> bool:
        """Our term stands in the Lease and we are on the way out, or have resigned before it was found landed."""
        out = self.state in (State.STEPPING_DOWN, State.RESIGNED)
        return out and self._is_mine() and self.record is not None and self.record.holder == self.me.identity

    def ended(self, now_ns: int) -> bool:
        """Whether a process that is leaving has nothing left to do here: what may stand in its name is released, or has run out."""
        if not self.leaving or self.held is not None or (self.flight is not None and self.flight.kind is not Kind.READ):
            return False
        standing = [*self.unresolved, *([self.landed] if self._to_release() and self.landed is not None else [])]
        return all(now_ns >= write.sent_ns + ns(self.me.lease_duration_seconds) for write in standing)

    def send(self, kind: Kind, at: Moment) -> "Election":
        """The state with that request under way (`flight`). It must leave after `at`: its deadline counts from there (S3)."""
        if kind is Kind.READ:
            return replace(self, flight=writes.read(at.now_ns), doubt=False, raced=False)
        record, base = self._compose(kind, at), self.record.version if self.record is not None else None
        request = Request(kind, base, at.now_ns, record)
        renew_ns = at.now_ns + ns(self.me.retry_period_seconds)
        return replace(self, flight=request, sent_us=max(self.sent_us, record.renew_time_us or 0), renew_ns=renew_ns)

    def _compose(self, kind: Kind, at: Moment) -> Record:
        me, base, last = self.me, self.record, self.last
        time_us = writes.next_time_us(at.wall_us, base, self.sent_us)
        if kind is Kind.SENTINEL or base is None:
            assert base is None and kind is Kind.SENTINEL, "a create names no candidate"  # noqa: S101, PT018
            return writes.sentinel(me, last.seconds if last else 0, self.last_token, self.held.transitions if self.held else None, time_us)
        seconds = me.lease_duration_seconds
        if self.former is not None and at.now_ns < self.former.end_ns:  # S9 b: nobody shortens what a former process promised
            seconds = max(seconds, self.former.seconds)
        if kind is Kind.RELEASE:
            return writes.release(me, base, time_us)
        if kind is Kind.ACQUIRE:
            return writes.acquire(me, base, self.last_token, seconds, time_us)
        held = self.held
        if held is None:  # S9 b: the former process's term, taken on as it stands
            assert kind is Kind.RESUME and base.token is not None  # noqa: S101, PT018
            held = Held(base.token, base.acquire_time_us, base.transitions, 0)
        return writes.renew(me, base, held, seconds, time_us)

    def view(self) -> View:
        """What HTTP may say, until when."""
        record, held = self.record, self.held
        known = View(
            state=self.state,
            acquired_at_us=record.acquire_time_us if record else None,
            renewed_at_us=record.renew_time_us if record else None,
            transitions=(record.transitions if record else None) or 0,
            confirmed_ns=self.confirmed_ns,
        )
        if held is not None:
            leading = self.state is State.LEADING
            until_ns = held.deadline_ns if leading else min(held.deadline_ns, self.release_ns)
            expires_ns = held.deadline_ns if leading else None
            return replace(known, holder=self.me.identity, token=held.token, expires_ns=expires_ns, covered_until_ns=until_ns)
        if record is None or self.last is None or self._is_mine() or self._may_resume() or record.holder in ("", SENTINEL):
            return known
        return replace(known, holder=record.holder, token=record.token, expires_ns=self.last.end_ns)


def _spread_ns(dice: float) -> int:
    """How long to wait for others to go first (L2)."""
    return ns(SPREAD_SECONDS * max(0.0, 1 + log(dice, LARGEST_GROUP)))


def _older(record: Record | None, than: Record) -> bool:
    """Whether `record` is certainly an older version; versions that are no integers have no order (S4)."""
    if record is None or record.version_number is None or than.version_number is None:
        return False
    return record.version_number < than.version_number
