"""The own term of a candidate: how it begins, goes on and ends by what stands in the Lease, how it is given up, and when to contend anew.

Pure, like the machine in `machine.py`, which calls it. Rules: docs/rules.md.
"""

from dataclasses import dataclass, replace
from typing import Any, Self

from sidecar.clock import ns
from sidecar.election import expiry, requests, turns
from sidecar.election.events import Health, Moment, StepDown
from sidecar.election.record import Record, version_number
from sidecar.election.requests import Held, Kind, Request
from sidecar.election.situation import Situation
from sidecar.election.transitions import TRANSITIONS, Cause
from sidecar.election.view import State


@dataclass(frozen=True, slots=True)
class OwnTerm(Situation):
    """The situation of a candidate, with every change of it that concerns the own term."""

    def _move(self, cause: Cause, why: str, **changes: Any) -> Self:
        return replace(self, state=TRANSITIONS[self.state, cause], why=why, **changes)

    # ---- own writes ------------------------------------------------------------------------------------------------------------------

    def _has_found(self, write: Request) -> bool:
        return self.landed is not None and write.is_outcome(self.landed.record)

    def _landed(self, write: Request, record: Record, at: Moment) -> Self:
        """Take in that the own write `write` landed; `record` shows what stands in the Lease."""
        if self._has_found(write):
            return self._curtailed(record)
        if write.kind is Kind.PLACEHOLDER:
            return self._spoilt(write, record, at)
        # A write that landed is as good as a quorum read.
        stands = write.standing(record)
        known = replace(self, landed=stands, wrote=write, fresh=False, quick=True, doubt=False, raced=False, curtailed=False)
        known = known._spoilt(write, record, at)
        if write.kind is Kind.RELEASE:
            return known._move(Cause.RELEASED, "released", held=None) if known.state is State.STEPPING_DOWN else known
        return known._holds(stands, at) if known.landed is not None else known

    def _holds(self, write: Request, at: Moment) -> Self:
        """Lead, or lead on, by the own write `write`, which stands in the Lease."""
        deadline_ns = requests.deadline_ns(self.me, write)  # S3
        if self.held is not None:  # S3: the newest write counts, also where it ends earlier than the one before
            return replace(self, held=replace(self.held, deadline_ns=deadline_ns))
        # S3: a renewal revives no term that has ended; an acquisition or a resumption that proves itself in time begins one.
        if self.state is not State.FOLLOWING or write.kind is Kind.RENEW or at.now_ns >= deadline_ns:
            return self
        token = write.record.token
        assert token is not None, "an own write names its token"
        held = Held(token, write.record.acquire_time_us, write.record.transitions, deadline_ns)
        return self._move(Cause.TOOK, "resumed its term" if write.kind is Kind.RESUME else "acquired the Lease", held=held)

    def _spoilt(self, write: Request, record: Record, at: Moment) -> Self:
        """S3: note the fields in which `write` stands altered. Where it is no renewal any more the term ends at once, unreleased."""
        altered = write.altered(record)
        if write.kind in (Kind.RELEASE, Kind.PLACEHOLDER):
            return replace(self, altered=altered, spoilt=None if write.is_outcome(record) else record.renewal)
        if requests.is_renewal(self.me, write, altered, record.duration_seconds):
            return replace(self, altered=altered, spoilt=None)
        last = expiry.missing(self.last, at.now_ns, self.me.lease_duration_seconds)  # the altered record may not name a holder at all
        spoilt = replace(self, altered=altered, spoilt=record.renewal, last=last, landed=None, wrote=write, fresh=False)
        why = f"the Lease does not hold what this sidecar wrote: {', '.join(altered)}"
        return (spoilt._move(Cause.ALTERED, why, held=None) if spoilt.held is not None else spoilt)._schedule(None, at)

    def _curtailed(self, record: Record) -> Self:
        """S3: where another program has shortened the duration under the last own write, go by the smaller one at once, and renew."""
        seconds, held = record.duration_seconds, self.held
        if self.landed is not None and seconds is None:  # S6: each follower takes its own duration instead, which may be smaller
            return replace(self, curtailed=True)
        if self.landed is None or seconds is None or seconds >= (self.landed.record.duration_seconds or 0):
            return self
        landed = self.landed.standing(record)
        if held is not None:
            held = replace(held, deadline_ns=min(held.deadline_ns, requests.deadline_ns(self.me, landed)))
        return replace(self, landed=landed, held=held, curtailed=True)

    def _is_duplicate(self, record: Record, before: Record | None) -> bool:
        """S9 d: another process of this identity has replaced an own write. A former process cannot: it writes on an older version."""
        term, version = record.term, record.version_number
        if self.wrote is None or term is None or record.holder not in ("", self.me.identity):
            return False
        base = version_number(self.wrote.base)
        former = version is not None and base is not None and version <= base  # older than the own write: a read may be stale
        if former or (before is not None and before.renewal == record.renewal):
            return False
        return term.holder == self.me.identity and term.process not in ("", self.me.process)

    def _conflict(self, at: Moment) -> Self:
        """Stay out for the longer of both durations, counted anew at each write of the duplicate (S9 d)."""
        seconds = max(self.me.lease_duration_seconds, self.last.seconds if self.last is not None else 0)
        out = replace(self, landed=None, back_ns=None if self.leaving else at.now_ns + ns(seconds))
        if self.state is State.CONFLICT:
            return out
        return out._move(Cause.DUPLICATE, f"another process writes under the identity {self.me.identity}", held=None)

    # ---- stepping down ---------------------------------------------------------------------------------------------------------------

    def _step_down(self, event: StepDown, at: Moment) -> Self:
        """Answer false from now on, and set when to release: once every deadline that an application was given has passed (S11)."""
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
        out_seconds = 2 * me.lease_duration_seconds if event.out_seconds is None else event.out_seconds
        kept = self.has_resigned() and event.out_seconds is None  # `/drained` ends no resignation
        back_ns = None if leaving else self.back_ns if kept else now_ns + ns(out_seconds)
        doubt, successor = self.doubt or bool(self.unresolved), event.successor or self.successor
        out = replace(self, leaving=leaving, back_ns=back_ns, release_ns=release_ns, doubt=doubt, successor=successor)
        return out._move(Cause.STEP_DOWN, event.why) if (self.state, Cause.STEP_DOWN) in TRANSITIONS else out

    def _health_changed(self, event: Health, at: Moment) -> Self:
        """A leader whose app is unhealthy steps down, and follows again once the Lease is released; an excused one leads on."""
        known = replace(self, healthy=event.ok, excused=self.excused and not event.ok)
        if event.ok or known.excused or known.state is not State.LEADING:
            return known
        return known._step_down(StepDown("its application is not healthy", event.given_until_ns, out_seconds=0), at)

    # ---- contending ------------------------------------------------------------------------------------------------------------------

    def _schedule(self, before: Record | None, at: Moment) -> Self:
        """Set when to contend for the Lease as it stands. A change that is no renewal moves that only by a larger duration (S6)."""
        if self.state is not State.FOLLOWING or self.record is None:
            return self
        if self.may_resume():
            return replace(self, former=self.former or self.last, contend_ns=at.now_ns)
        free_ns = max(self.free_ns(), at.now_ns)
        new = before is None or before.version != self.record.version
        known = replace(self, asked_ns=0) if new and free_ns <= at.now_ns else self  # L2: a new, free version ends a Retry-After, once
        if before is not None and before.same_renewal(self.record):
            return replace(known, contend_ns=max(self.contend_ns, self.free_ns()))
        if self.is_mine() and self.record.holder:
            return replace(known, contend_ns=free_ns)
        return replace(known, contend_ns=free_ns + turns.wait_ns(self.record, self.me.identity, at.dice))
