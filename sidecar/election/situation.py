"""What a candidate knows, and what follows from that at a moment: pure queries over one frozen state, which the machine changes."""

from dataclasses import dataclass, replace
from typing import Final

from sidecar.clock import ns
from sidecar.election import expiry, requests
from sidecar.election.events import UNHEALTHY_DURATIONS, Due, Moment
from sidecar.election.expiry import Promise
from sidecar.election.record import PLACEHOLDER, HolderPod, Record
from sidecar.election.requests import Candidate, Held, Kind, Request
from sidecar.election.store import Busy
from sidecar.election.view import State, View

OUT: Final = frozenset({State.RESIGNED, State.CONFLICT})


@dataclass(frozen=True, slots=True)
class Situation:
    """The whole state of one candidate."""

    me: Candidate
    state: State = State.STARTING
    why: str = "starting"
    """The reason for the last change of `state`, for the log."""
    record: Record | None = None
    """The newest Lease known; None while the Lease is missing, or not yet seen (STARTING)."""
    learned_ns: int = 0
    """When `record` became known."""
    since_ns: int = 0
    """When the renewal in `record` was first seen; a change by another program, such as a touched label, leaves this moment as it is."""
    confirmed_ns: int | None = None
    """When the store last confirmed `record`; None for never."""
    last: Promise | None = None
    """What must be waited out before another candidate may hold the Lease (S6); None where no holder was seen."""
    last_token: int | None = None
    """The largest fencing token seen (S8)."""
    held: Held | None = None
    """The own term, while this candidate holds the Lease."""
    flight: Request | None = None
    """The request under way."""
    unresolved: tuple[Request, ...] = ()
    """Own writes of unknown outcome. Each may still land for as long as the Lease has the version that the write is conditional on."""
    landed: Request | None = None
    """The last own write known to have landed (S9 a). None once another holder, a duplicate, or an own write altered too far was seen."""
    wrote: Request | None = None
    """The last own write that landed, whatever was seen since: another process that replaces it is a duplicate (S9 d)."""
    fresh: bool = True
    """Nothing written and no other holder seen since the start: a crashed predecessor's term may be resumed (S9 b)."""
    former: Promise | None = None
    """What a former process of this Pod promised (S9 b, S11)."""
    sent_us: int = 0
    """The largest renewTime that this process has sent (S3)."""
    doubt: bool = True
    """A quorum read is wanted."""
    raced: bool = False
    """A write was answered 409: read the Lease before the next write."""
    quick: bool = True
    """After a 409 one immediate retry; further ones wait for the retry period, so a controller that patches the Lease causes no storm."""
    renew_ns: int = 0
    """When the next renewal is due."""
    contend_ns: int = 0
    """When this candidate may try to acquire or create the Lease."""
    next_ns: int = 0
    """No request before this moment, because the last one failed."""
    asked_ns: int = 0
    """No request before this moment, because the API server has asked for that (Retry-After)."""
    altered: tuple[str, ...] = ()
    """The fields in which the last own write stands otherwise than written (S3); kept until an own write stands unchanged."""
    spoilt: tuple[str, str, int | None, int | None] | None = None
    """The renewal in the Lease by which no candidate leads, because an own write was altered too far (S3)."""
    curtailed: bool = False
    """Another program has shortened the duration under the last own write: renew as soon as the rate limiter allows (S3)."""
    release_ns: int = 0
    """Nothing is released before this moment (S11)."""
    back_ns: int | None = None
    """While resigned or in conflict: when to contend again; None for never."""
    successor: str = ""
    """The candidate that the release names; "" for none."""
    leaving: bool = False
    """The process is about to end."""
    healthy: bool = True
    """The app's health; where it is probed, false until a probe has succeeded."""
    excused: bool = False
    """Leads though its app is unhealthy, because no other candidate took the free Lease; cleared when the app is healthy (L3)."""
    over: tuple[str, str, int | None, int | None] | None = None
    """The Pod of this renewal has ended: its lease duration need not be waited out (S6 x)."""

    def is_mine(self) -> bool:
        """S9 a: whether the Lease stands as this process's last write left it: the chain of own writes is unbroken."""
        return self.landed is not None and self.record is not None and self.landed.is_outcome(self.record)

    def is_spoilt(self) -> bool:
        """S3: whether an own write stands in the Lease that was altered too far to lead by."""
        return self.record is not None and self.record.renewal == self.spoilt

    def is_renewed_by_another(self, before: Record | None) -> bool:
        """Whether another sidecar has renewed its term since `before`: then writes stand unaltered again."""
        record = self.record
        if record is None or before is None or record.token is None or record.holder == self.me.identity:
            return False
        return record.token == before.token and not record.same_renewal(before)

    def is_foreign(self) -> bool:
        """Whether the Lease is marked as another group's: this candidate never contends for it, and its holder does not lead here."""
        return self.record is not None and self.record.group not in ("", self.me.group)

    def free_ns(self) -> int:
        """From when the Lease may be contended for (S6, S7, S9), CLOCK_BOOTTIME; 0 for at once. Needs a record."""
        assert self.record is not None
        if self.is_mine() or self.may_resume() or self.last is None or self.is_over():
            return 0
        if not self.record.holder and expiry.is_free(self.record, self.last, self.last_token):
            return 0
        if not self.record.holder and self.landed is not None and self.landed.kind is not Kind.RELEASE:
            # S7: the former holder may take an emptied Lease anew, if it was emptied inside the deadline of its last write: until then
            # nobody else can have held it.
            return 0 if self.since_ns < requests.deadline_ns(self.me, self.landed) else self.last.end_ns
        return self.last.end_ns

    def is_over(self) -> bool:
        """S6 x: whether the Pod of the renewal in the Lease has ended: no sidecar and no app is left that goes by that renewal (S11)."""
        return self.over is not None and self.record is not None and self.record.renewal == self.over

    def suspect(self) -> HolderPod | None:
        """S6 x: the Pod whose end would end the wait for the holder; None where no Pod's end would.

        Only sidecars name their Pod: the placeholder and client-go programs name none. The own Pod is never the suspect.
        """
        record, last = self.record, self.last
        if self.state is not State.FOLLOWING or record is None or last is None or record.holder == self.me.identity or self.is_over():
            return None
        if record.pod is None or (self.me.pod is not None and record.pod.uid == self.me.pod.uid):
            return None
        # An old record may be back in the Lease. Then we wait for the promise of another holder (S6), or of a later term (S8), and the end
        # of the Pod in this record ends neither.
        older = None not in (last.version, record.version_number) and (record.version_number or 0) < (last.version or 0)
        outdated = record.token is None or record.token < (self.last_token or 0)
        return None if older or outdated else record.pod

    def may_resume(self) -> bool:
        """S9 b: whether a former process of this place left its term in the Lease. It has ended: this process has its socket."""
        term = self.record.own_term if self.record is not None else None
        if not self.fresh or term is None or not self.me.place or self.is_foreign():
            return False
        newest = term.token is None or self.last_token is None or term.token >= self.last_token
        return newest and term.holder == self.me.identity and term.place == self.me.place

    def has_resigned(self) -> bool:
        """Whether this candidate was asked to step down, and will contend again."""
        return self.state in (State.STEPPING_DOWN, State.RESIGNED) and self.back_ns is not None

    def returns_ns(self, back_ns: int) -> int:
        """When this candidate contends again: at `back_ns`; after a resignation earlier, once the Lease was free for a lease duration."""
        if self.state is State.CONFLICT or self.record is None:
            return back_ns
        return min(back_ns, max(self.free_ns(), self.since_ns) + ns(self.me.lease_duration_seconds))

    def longest_wait_seconds(self) -> float:
        """L2: the longest for which a Retry-After is obeyed: the smaller of the candidate's own and the record's lease duration."""
        told = self.record.duration_seconds if self.record is not None else None
        return min(self.me.lease_duration_seconds, told or self.me.lease_duration_seconds)

    def asked_seconds(self, outcome: object) -> float:
        """For how long to obey the Retry-After of this outcome; 0 where it has none."""
        return min(outcome.retry_after_seconds, self.longest_wait_seconds()) if isinstance(outcome, Busy) else 0.0

    def due(self, now_ns: int) -> Due | None:
        """The request that this state asks for next; None while a request is under way, or where nothing is to be sent."""
        due = self._due(now_ns) if self.flight is None else None
        asked_ns = 0 if self.held is not None or self.to_release() else self.asked_ns  # a holder does not wait for it
        return replace(due, at_ns=max(due.at_ns, self.next_ns, asked_ns)) if due is not None else None

    def _due(self, now_ns: int) -> Due | None:  # noqa: PLR0911 - one for each kind of request
        holder = self.held is not None or self.to_release()
        if self.doubt and (self.raced or not holder or now_ns < self.renew_ns):
            wanted = not self.leaving or holder or bool(self.unresolved)
            return Due(Kind.READ, 0, urgent=holder and self.raced) if wanted else None
        if self.record is None:
            return Due(Kind.PLACEHOLDER, self.contend_ns, urgent=holder) if self.held is not None or self.state is State.FOLLOWING else None
        if self.held is not None and (self.record.holder == PLACEHOLDER or not self.to_release() or self.renew_ns < self.release_ns):
            if self.curtailed and now_ns < self.renew_ns:
                return Due(Kind.RENEW, 0)
            return Due(Kind.RENEW, 0 if self.record.holder == PLACEHOLDER else self.renew_ns, urgent=True)  # S7: claimed back at once
        if self.to_release():
            return Due(Kind.RELEASE, self.release_ns, urgent=True)
        if self.state is State.FOLLOWING and not self.is_foreign():
            resumes = self.may_resume() and self.record.token is not None
            return Due(Kind.RESUME, self.contend_ns) if resumes else Due(Kind.ACQUIRE, self.contend_ns + self._patience_ns())
        return None

    def _patience_ns(self) -> int:
        """How much longer to wait with an unhealthy app, so that others go first; after that an unhealthy leader is better than none."""
        return 0 if self.healthy else ns(UNHEALTHY_DURATIONS * self.me.lease_duration_seconds)

    def turns_ns(self) -> list[int]:
        """The moments (CLOCK_BOOTTIME, past or to come) at which time alone changes what is due, or what is answered."""
        turns = [self.last.end_ns] if self.last is not None else []
        if self.held is not None:
            turns += [self.held.deadline_ns, self.renew_ns]
        if self.state is State.STEPPING_DOWN:
            turns.append(self.release_ns)
        if self.state in OUT and self.back_ns is not None:
            turns.append(self.returns_ns(self.back_ns))
        if self.leaving:
            turns += [write.sent_ns + ns(self.me.lease_duration_seconds) for write in self._standing()]
        return turns

    def to_release(self) -> bool:
        """Whether an own term stands in the Lease and has to be released: this candidate steps down, or has resigned.

        An acquisition may land only after the resignation. This candidate never leads by its term, and releases it too.
        """
        out = self.state in (State.STEPPING_DOWN, State.RESIGNED)
        return out and self.is_mine() and self.record is not None and self.record.holder == self.me.identity

    def ended(self, now_ns: int) -> bool:
        """Whether a process that is leaving may end: every own write that may stand in the Lease is released, or has run out."""
        if not self.leaving or self.held is not None or (self.flight is not None and self.flight.kind is not Kind.READ):
            return False
        return all(now_ns >= write.sent_ns + ns(self.me.lease_duration_seconds) for write in self._standing())

    def _standing(self) -> list[Request]:
        """Own writes that may stand in the Lease and still have to be released."""
        return [*self.unresolved, *([self.landed] if self.to_release() and self.landed is not None else [])]

    def compose(self, kind: Kind, at: Moment) -> Record:
        """The record that a write of that kind would leave now."""
        me, base, last = self.me, self.record, self.last
        time_us = requests.next_time_us(at.wall_us, base, self.sent_us)
        if kind is Kind.PLACEHOLDER or base is None:
            assert base is None and kind is Kind.PLACEHOLDER, "a create names no candidate"  # noqa: PT018
            return requests.placeholder(
                me, last.seconds if last else 0, self.last_token, self.held.transitions if self.held else None, time_us
            )
        seconds = me.lease_duration_seconds
        if self.former is not None and at.now_ns < self.former.end_ns:  # S9 b: a restart shortens no promise of the former process
            seconds = max(seconds, self.former.seconds)
        if kind is Kind.RELEASE:
            return requests.release(me, base, self.landed.record.token if self.landed else None, time_us, self.successor)
        if kind is Kind.ACQUIRE:
            return requests.acquire(me, base, self.last_token, seconds, time_us)
        held = self.held
        if held is None:  # S9 b: take over the former process's term as it stands
            assert kind is Kind.RESUME and base.token is not None  # noqa: PT018
            held = Held(base.token, base.acquire_time_us, base.transitions, 0)
        return requests.renew(me, base, held, seconds, time_us)

    def view(self) -> View:
        """What HTTP may answer, and until when."""
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
        if record is None or self.last is None or self.is_mine() or self.may_resume() or self.is_over() or self.is_spoilt():
            return known
        if record.holder in ("", PLACEHOLDER) or self.is_foreign():
            return known
        return replace(known, holder=record.holder, token=record.token, expires_ns=self.last.end_ns)
