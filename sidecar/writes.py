"""What a candidate writes: every write of the sidecar is composed here, whole, and told apart from any other by its renewTime."""

from dataclasses import dataclass, replace
from enum import StrEnum

from sidecar.clock import ns
from sidecar.lease import (
    GROUP_ANNOTATION,
    JSON,
    MAX_TOKEN,
    MAX_TRANSITIONS,
    SENTINEL,
    SUCCESSOR_ANNOTATION,
    TERM_ANNOTATION,
    HolderPod,
    Record,
    Term,
    later_time_us,
    merge_patch,
    parse,
    pod_name,
)

_TERM_FIELDS = frozenset({"spec.holderIdentity", "spec.renewTime", "spec.leaseTransitions", f"metadata.annotations[{TERM_ANNOTATION}]"})
"""S3: a write that stands otherwise in one of these is no renewal."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One contender in one election: who it is and its three times, named as client-go names them."""

    identity: str
    instance: str
    """This process alone (S9)."""
    place: str
    """Kernel boot id and network namespace: where the identity's socket excludes a second process; "" where that is not known."""
    lease_duration_seconds: int
    renew_deadline_seconds: float
    retry_period_seconds: float
    drain_timeout_seconds: float
    """How long a step-down waits for the app; below the renew deadline it is a promise that the app has stopped by then (S11)."""
    app_ends_first: bool = False
    """SIGTERM means that the app has ended (a native sidecar)."""
    group: str = ""
    """Whose Lease it contends for; one of another group is left alone. "" for one that no group has marked."""
    app_has_health: bool = False
    """The app's health is probed: not healthy until a probe has said so."""
    pod: HolderPod | None = None
    """Its own Pod, written with each renewal so that others may know its end (S6 x); None where that is not known for sure."""

    @property
    def request_limit_seconds(self) -> float:
        """The longest a request may take: two fit between a renewal that is due and the renew deadline."""
        return (self.renew_deadline_seconds - self.retry_period_seconds) / 2

    def valid_seconds(self, duration_seconds: int) -> float:
        """How long a write that stands with this duration may be acted on (S3): as the renew deadline is to the own lease duration."""
        return min(self.renew_deadline_seconds, duration_seconds * self.renew_deadline_seconds / self.lease_duration_seconds)


class Kind(StrEnum):
    """The requests of an election."""

    READ = "read"
    ACQUIRE = "acquire"
    RESUME = "resume"
    RENEW = "renew"
    RELEASE = "release"
    SENTINEL = "create"


@dataclass(frozen=True, slots=True)
class Held:
    """A term, seen by its holder."""

    token: int
    """The fencing token: constant within the term (S8)."""
    acquire_time_us: int | None
    transitions: int | None
    deadline_ns: int
    """Nothing is answered true from here on (S3), CLOCK_BOOTTIME."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as sent. A read writes nothing and has no record to speak of."""

    kind: Kind
    base: str | None
    """The resourceVersion that it is conditional on (S5); None for a read and for the sentinel, which is conditional on absence."""
    sent_ns: int
    """Just before it was sent, CLOCK_BOOTTIME: where its deadline counts from (S3)."""
    record: Record
    """What it writes."""

    def to_json(self) -> JSON:
        """The body that is sent: a merge patch, or what is created."""
        return merge_patch(self.record, self.base)

    def is_outcome(self, record: Record) -> bool:
        """Whether `record` is as this write left it; labels and the like aside."""
        return self.kind is not Kind.READ and record.renewal == self.record.renewal

    def standing(self, record: Record) -> "Request":
        """This write with the duration that stands in `record`, its outcome."""
        return replace(self, record=replace(self.record, duration_seconds=record.duration_seconds))

    def altered(self, record: Record) -> tuple[str, ...]:
        """The fields of `record`, which this write left, that stand otherwise than written: an admission webhook or policy may do that.

        Who stands by is not among them: followers write that at any time, and it gives no right.
        """
        if record == replace(self.record, version=record.version):
            return ()
        written = parse(self.to_json())  # as a Lease holds it: what no Lease can hold is nobody's alteration
        pairs = {
            "spec.holderIdentity": (written.holder, record.holder),
            "spec.leaseDurationSeconds": (written.duration_seconds, record.duration_seconds),
            "spec.acquireTime": (written.acquire_time_us, record.acquire_time_us),
            "spec.renewTime": (written.renew_time_us, record.renew_time_us),
            "spec.leaseTransitions": (written.transitions, record.transitions),
            f"metadata.annotations[{TERM_ANNOTATION}]": (written.term, record.term),
            f"metadata.annotations[{SUCCESSOR_ANNOTATION}]": (written.successor, record.successor),
            f"metadata.annotations[{GROUP_ANNOTATION}]": (written.group, record.group if written.group else ""),
        }
        return tuple(field for field, (asked, stands) in pairs.items() if asked != stands)


def read(now_ns: int) -> Request:
    """A quorum read."""
    return Request(Kind.READ, None, now_ns, Record(""))


def acquire(me: Candidate, base: Record, last_token: int | None, duration_seconds: int, time_us: int) -> Record:
    """A new term, with a token above every other that is known (S8)."""
    transitions = 0 if base.transitions is None else min(base.transitions + 1, MAX_TRANSITIONS)  # S10
    first = base.version_number if base.version_number is not None else transitions
    grown = -1 if last_token is None else last_token + 1
    token = max(first, grown if grown < MAX_TOKEN else -1)  # beyond 2^53 only somebody's junk gets: then the version alone
    return replace(
        base,
        holder=me.identity,
        duration_seconds=duration_seconds,
        acquire_time_us=time_us,
        renew_time_us=time_us,
        transitions=transitions,
        term=_term(me, base, token, time_us),
        successor="",
        group=me.group or base.group,
        standbys=_behind(me, base),
    )


def renew(me: Candidate, base: Record, held: Held, duration_seconds: int, time_us: int) -> Record:
    """The same term, written whole: over whatever stands there, a sentinel included (S7)."""
    return replace(
        base,
        holder=me.identity,
        duration_seconds=duration_seconds,
        acquire_time_us=held.acquire_time_us,
        renew_time_us=time_us,
        transitions=held.transitions,
        term=_term(me, base, held.token, time_us),
        successor="",
        group=me.group or base.group,
    )


def release(me: Candidate, base: Record, token: int | None, time_us: int, successor: str = "") -> Record:
    """Nobody's, with the mark that frees it at once (S7), for `successor` to take first.

    `token` is the own term's (S8), for where somebody has made junk of it in the annotation.
    """
    return replace(
        base,
        holder="",
        duration_seconds=base.duration_seconds or me.lease_duration_seconds,
        renew_time_us=time_us,
        term=_term(me, base, token if base.token is None else base.token, released=True),
        successor=successor,
    )


def sentinel(me: Candidate, seconds: int, last_token: int | None, transitions: int | None, time_us: int) -> Record:
    """A missing Lease made anew, held by nobody's identity for as long as its holder may believe in it (S7)."""
    return Record(
        "",
        holder=SENTINEL,
        duration_seconds=max(me.lease_duration_seconds, seconds),
        acquire_time_us=time_us,
        renew_time_us=time_us,
        transitions=transitions,
        term=Term(SENTINEL, token=last_token, instance=me.instance, place=me.place),
        group=me.group,
    )


def next_time_us(wall_us: int, base: Record | None, sent_us: int) -> int:
    """The renewTime of the next write (S3): above the one it replaces and any that this process has sent."""
    return later_time_us(wall_us, base.renew_time_us if base is not None else None, sent_us)


def deadline_ns(me: Candidate, request: Request) -> int:
    """S3: until when a write that stands may be acted on: from just before it was sent, never from its answer."""
    return request.sent_ns + ns(me.valid_seconds(request.record.duration_seconds or 0))


def is_renewal(me: Candidate, request: Request, altered: tuple[str, ...], seconds: int | None) -> bool:
    """S3: whether a write that stands with these fields altered, for `seconds`, holds the Lease for its term at all."""
    if seconds is None or _TERM_FIELDS & set(altered):
        return False
    shorter = seconds < (request.record.duration_seconds or 0)
    return not shorter or me.valid_seconds(seconds) >= 2 * me.retry_period_seconds


def _behind(me: Candidate, base: Record) -> tuple[str, ...]:
    """L2: who still stands by when this candidate has taken the Lease; those before it had their turn, unless it was named out of turn."""
    if me.identity not in base.standbys:
        return base.standbys if base.successor in (me.identity, pod_name(me.identity)) else ()
    if base.successor:
        return base.standbys_without(me.identity)
    return base.standbys[base.standbys.index(me.identity) + 1 :]


def _term(me: Candidate, base: Record, token: int | None, renewed_us: int = 0, *, released: bool = False) -> Term:
    extra = base.term.extra if base.term is not None else ()
    pod = replace(me.pod, renewed_us=renewed_us) if me.pod is not None and not released else None
    return Term(me.identity, token=token, instance=me.instance, place=me.place, released=released, pod=pod, extra=extra)
