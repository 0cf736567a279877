"""The algorithm: a pure state machine. No clock, await, network, log or randomness. The own term's changes stand in `own_term.py`.

`absorb` takes an event and gives the next state; `due` says which request that state asks for, and from when; `send` records that request
as under way. At most one request is under way at a time. Rules: docs/rules.md.
"""

from dataclasses import dataclass, replace

from sidecar.clock import ns
from sidecar.election import expiry, requests, turns
from sidecar.election.events import Answered, Campaign, Confirmed, Doubted, Ended, Event, Health, Moment, StepDown, Tick, Watched
from sidecar.election.own_term import OwnTerm
from sidecar.election.record import MAX_TOKEN, PLACEHOLDER, Record
from sidecar.election.requests import Kind, Request
from sidecar.election.situation import OUT
from sidecar.election.store import Busy, Conflict, Denied, Done, Missing, Outcome
from sidecar.election.transitions import Cause
from sidecar.election.view import State

MOST_UNRESOLVED = 16
"""The most own writes of unknown outcome that are remembered, the newest: where every write ends in 5xx, they would grow without end."""


@dataclass(frozen=True, slots=True)
class Election(OwnTerm):
    """The whole state of one candidate, and every change of that state."""

    # ---- events ----------------------------------------------------------------------------------------------------------------------

    def absorb(self, event: Event, at: Moment) -> "Election":  # noqa: PLR0911 - one branch for each kind of event
        """The state after `event`. The clock comes first: a deadline that has passed ends the term, whatever the event proves (S3)."""
        state = self._at(at)
        match event:
            case Tick():
                return state
            case Answered(outcome):
                request = state.flight
                assert request is not None, "an answer without a request"  # a bug: no leader rather than two
                state = replace(state, flight=None)
                return (state._remember_token(outcome.record) if isinstance(outcome, Done) else state)._answered(request, outcome, at)
            case Watched(record):
                return state._remember_token(record)._watched(record, at)
            case Confirmed():
                return replace(state, confirmed_ns=at.now_ns)
            case Doubted():
                return replace(state, doubt=True)
            case StepDown():
                return state._step_down(event, at)
            case Campaign():
                return replace(state, back_ns=at.now_ns)._at(at) if state.has_resigned() else state
            case Health():
                return state._health_changed(event, at)
            case Ended(renewal):
                return state._pod_ended(renewal, at)

    def _at(self, at: Moment) -> "Election":
        """The state after everything that the clock alone brings: a deadline that has passed, a time out that is over."""
        if self.held is not None and at.now_ns >= self.held.deadline_ns:  # S3
            return self._move(Cause.EXPIRED, "no renewal landed within the renew deadline", held=None)._schedule(None, at)
        if self.state is State.STEPPING_DOWN and self.record is None and not self.doubt and at.now_ns >= self.release_ns:
            return self._move(Cause.RELEASED, "the Lease is missing, so there is nothing to release", held=None)
        if self.state in OUT and self.back_ns is not None and at.now_ns >= self.returns_ns(self.back_ns) and not self.to_release():
            why = "the resignation or conflict is over: contending again"
            return self._move(Cause.RETURN, why, back_ns=None, successor="")._schedule(None, at)
        return self

    def _answered(self, request: Request, outcome: Outcome, at: Moment) -> "Election":  # noqa: C901, PLR0911 - one branch for each kind of outcome
        """The state after the answer to `request`."""
        writing = request.kind is not Kind.READ
        later_ns = max(at.now_ns, request.sent_ns + ns(self.me.retry_period_seconds))
        match outcome:
            case Done(record) if writing and record.version == request.base:  # S3: a 200 that changed nothing proves nothing
                return replace(self, doubt=True, next_ns=later_ns, altered=request.altered(record))._may_have_landed(request)
            case Done(record):
                return self._done(request if writing else None, record, request.sent_ns, at)
            case Missing() if request.kind is Kind.PLACEHOLDER:  # a create is answered 404 where the namespace is missing as well
                return replace(self, next_ns=later_ns)
            case Missing() if self.learned_ns > request.sent_ns:
                return replace(self, doubt=True)
            case Missing():
                return replace(self, next_ns=0)._missing(at)
            case Conflict():  # S5: this very write may have landed, or another program has changed the Lease: the next read tells
                raced = replace(self, doubt=True, raced=True)._may_have_landed(request)
                if self.held is None:
                    return raced
                return replace(raced, quick=False, renew_ns=at.now_ns) if self.quick else replace(raced, next_ns=later_ns)
            case Busy(retry_after_seconds):
                busy = replace(self, doubt=self.doubt or not writing)
                if self.held is not None or self.to_release():
                    return replace(busy, next_ns=min(at.now_ns + ns(retry_after_seconds), later_ns))
                # L2: no Retry-After keeps a candidate from a free Lease for longer than a lease duration.
                return replace(busy, next_ns=later_ns, asked_ns=at.now_ns + ns(min(retry_after_seconds, self.longest_wait_seconds())))
            case Denied():
                return replace(self, next_ns=later_ns, doubt=self.doubt or not writing)
            case _:  # S3: a write of unknown outcome extends nothing, until a read shows that it landed
                doubt = self.doubt or not writing or self.state in OUT
                unknown = replace(self, next_ns=later_ns, doubt=doubt, raced=False)
                return unknown._may_have_landed(request) if writing else unknown

    def _done(self, write: Request | None, record: Record, sent_ns: int, at: Moment) -> "Election":
        """Take in an answer that shows `record`; `write` is the write that was answered, None for a read."""
        if record == self.record and (write is None or self._has_found(write)):
            unresolved = () if self.leaving else self.unresolved  # a process that is leaving needs no second look at the Lease
            return replace(self, next_ns=0, asked_ns=0, unresolved=unresolved)._watched(record, at)
        if record != self.record and self.learned_ns > sent_ns and not record.is_later(self.record):
            late = replace(self, doubt=True)  # the watch has shown something since this request was sent: the answer may be out of date
            late = late._spoilt(write, record, at) if write is not None else late
            return late._may_have_landed(write) if write is not None and write.is_outcome(record) else late
        return replace(self, next_ns=0, asked_ns=0)._observe(record, at, write)

    def _remember_token(self, record: Record) -> "Election":
        """Remember the largest token seen (S8). Late news counts too, even if it changes nothing else."""
        token = record.term.token if record.term is not None else None
        if token is None or token >= MAX_TOKEN or (self.last_token is not None and token <= self.last_token):  # no token grows past 2^53
            return self
        return replace(self, last_token=token)

    def _may_have_landed(self, write: Request) -> "Election":
        """Queue `write` as unresolved: the next read decides. A write that falls out is waited out like another candidate's (S9 c)."""
        return replace(self, unresolved=(*self.unresolved, write)[-MOST_UNRESOLVED:])

    def _watched(self, record: Record, at: Moment) -> "Election":
        """Take in a record from the watch. A later one counts; an older one, or one without an order, calls for a quorum read (S4)."""
        if record == self.record:
            return replace(self, confirmed_ns=at.now_ns)
        if (self.record is None and self.held is None) or record.is_later(self.record):
            return self._observe(record, at)
        return replace(self, doubt=True)

    def _observe(self, record: Record, at: Moment, mine: Request | None = None) -> "Election":
        """Take `record` for the newest state of the Lease. `mine` is the own write that it answers, even where it stands there changed."""
        own = (mine, self.flight, *self.unresolved, self.landed)  # the watch may show a write before its answer arrives
        found = next((write for write in own if write is not None and (write is mine or write.is_outcome(record))), None)
        known = replace(
            self,
            record=record,
            learned_ns=at.now_ns,
            since_ns=self.since_ns if self.record is not None and self.record.same_renewal(record) else at.now_ns,
            confirmed_ns=at.now_ns,
            last=expiry.seen(record, self.record, self.last, self.last_token, now_ns=at.now_ns, own_seconds=self.me.lease_duration_seconds),
            unresolved=() if self.leaving else tuple(write for write in self.unresolved if write.base == record.version),
        )
        known = replace(known, asked_ns=min(known.asked_ns, at.now_ns + ns(known.longest_wait_seconds())))  # L2
        if known.state is State.STARTING:
            known = known._move(Cause.SEEN, "the Lease was seen")
        if known.altered and known.is_renewed_by_another(self.record):
            known = replace(known, altered=())
        if found is not None:
            known = known._landed(found, record, at)
        elif known.held is not None and record.holder == self.me.identity:  # also where other fields were changed with the duration
            known = known._curtailed(record)
        if found is not None and found.is_outcome(record):
            return known._schedule(self.record, at)
        if found is None and known._is_duplicate(record, self.record):  # S9 d
            return known._conflict(at)
        if record.holder not in ("", PLACEHOLDER, self.me.identity):
            known = replace(known, landed=None, fresh=False)
        if known.held is not None and record.holder not in (PLACEHOLDER, self.me.identity):  # S4, S7: the placeholder ends no term
            whom = f"{record.holder} holds the Lease" if record.holder else "the Lease was emptied"
            lost = known._move(Cause.LOST, whom, held=None)._schedule(None, at)
            # Pause for a retry period before taking it anew: the app stops cleanly, and an administrator who emptied the Lease sees it.
            return replace(lost, contend_ns=max(lost.contend_ns, at.now_ns + ns(self.me.retry_period_seconds)))
        return known._schedule(self.record, at)

    def _missing(self, at: Moment) -> "Election":
        """Take in that the Lease is missing: that does not make it free (S7)."""
        known = self if self.state is not State.STARTING else self._move(Cause.SEEN, "the Lease is missing")
        last = expiry.missing(self.last, at.now_ns, self.me.lease_duration_seconds)
        return replace(
            known,
            record=None,
            learned_ns=at.now_ns,
            since_ns=at.now_ns,
            confirmed_ns=at.now_ns,
            last=last,
            unresolved=(),
            contend_ns=at.now_ns + turns.wait_ns(None, self.me.identity, at.dice) if self.held is None else 0,
        )

    def _pod_ended(self, renewal: tuple[str, str, int | None, int | None], at: Moment) -> "Election":
        """S6 x: the Pod that made `renewal` has ended. A later renewal needs its own proof, also if a process that has ended sent it."""
        if self.record is None or self.record.renewal != renewal or self.suspect() is None:
            return self
        return replace(
            self, over=renewal, contend_ns=min(self.contend_ns, at.now_ns + turns.wait_ns(self.record, self.me.identity, at.dice))
        )

    # ---- requests --------------------------------------------------------------------------------------------------------------------

    def send(self, kind: Kind, at: Moment) -> "Election":
        """The state with a request of that kind under way (`flight`). Send it after `at`: its deadline counts from `at` (S3)."""
        if kind is Kind.READ:
            return replace(self, flight=requests.read(at.now_ns), doubt=False, raced=False)
        record, base = self.compose(kind, at), self.record.version if self.record is not None else None
        request = Request(kind, base, at.now_ns, record)
        renew_ns = at.now_ns + ns(self.me.retry_period_seconds)
        excused = not self.healthy if kind is Kind.ACQUIRE else self.excused
        sent_us = max(self.sent_us, record.renew_time_us or 0)
        return replace(self, flight=request, sent_us=sent_us, renew_ns=renew_ns, excused=excused)
