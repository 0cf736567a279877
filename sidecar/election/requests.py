"""What a candidate writes. Every write of the election is composed here, whole; its renewTime tells it from every other write."""

from dataclasses import dataclass, replace
from enum import StrEnum

from sidecar.clock import ns
from sidecar.election.record import (
    GROUP_ANNOTATION,
    JSON,
    MAX_TOKEN,
    MAX_TRANSITIONS,
    PLACEHOLDER,
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
    """One contender in one election: its identity, its process, and its three times, named as client-go names them."""

    identity: str
    process: str
    """A name of this process, new in each process (S9)."""
    place: str
    """Kernel boot id and network namespace: within them the identity's socket excludes a second process. "" where they are not known."""
    lease_duration_seconds: int
    renew_deadline_seconds: float
    retry_period_seconds: float
    drain_timeout_seconds: float
    """How long a step-down waits for the app; below the renew deadline it is the user's guarantee that the app stops within it (S11)."""
    native_sidecar: bool = False
    """SIGTERM means that the app has ended (a native sidecar)."""
    group: str = ""
    """The group of this candidate: it leaves a Lease alone that another group has marked. "" for no group."""
    app_has_health: bool = False
    """The app's health is probed: the app counts as unhealthy until a probe has succeeded."""
    pod: HolderPod | None = None
    """The candidate's Pod, written with each renewal so that followers can learn of its end (S6 x); None where it is not known for sure."""

    @property
    def request_limit_seconds(self) -> float:
        """The longest that a request may take: two requests fit between a renewal that is due and the renew deadline."""
        return (self.renew_deadline_seconds - self.retry_period_seconds) / 2

    def valid_seconds(self, duration_seconds: int) -> float:
        """For how long the holder may act on a write that stands with this duration (S3): its share, renew deadline / lease duration."""
        return min(self.renew_deadline_seconds, duration_seconds * self.renew_deadline_seconds / self.lease_duration_seconds)


class Kind(StrEnum):
    """The requests of an election."""

    READ = "read"
    ACQUIRE = "acquire"
    RESUME = "resume"
    RENEW = "renew"
    RELEASE = "release"
    PLACEHOLDER = "create"


@dataclass(frozen=True, slots=True)
class Held:
    """The own term, as its holder knows it."""

    token: int
    """The fencing token: constant within the term (S8)."""
    acquire_time_us: int | None
    transitions: int | None
    deadline_ns: int
    """From this moment on no answer is true (S3); CLOCK_BOOTTIME."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as sent. A read has an empty record."""

    kind: Kind
    base: str | None
    """The resourceVersion that it is conditional on (S5); None for a read and for the placeholder, which is conditional on absence."""
    sent_ns: int
    """Just before the request was sent, CLOCK_BOOTTIME: its deadline counts from here (S3)."""
    record: Record
    """The record that it writes."""

    def to_json(self) -> JSON:
        """The request's body: a merge patch, or the Lease to be created."""
        return merge_patch(self.record, self.base)

    def is_outcome(self, record: Record) -> bool:
        """Whether `record` shows the renewal that this write made; labels and the like aside."""
        return self.kind is not Kind.READ and record.renewal == self.record.renewal

    def standing(self, record: Record) -> "Request":
        """This write, with the duration that stands in the Lease (`record`)."""
        return replace(self, record=replace(self.record, duration_seconds=record.duration_seconds))

    def altered(self, record: Record) -> tuple[str, ...]:
        """The fields of `record`, the answer to this write, that stand otherwise than written: an admission webhook may change them.

        The standbys are not compared: followers write them at any time, and they give no right.
        """
        if record == replace(self.record, version=record.version):
            return ()
        written = parse(self.to_json())  # as the sidecar reads it back: what it cannot read is no alteration
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
    token = max(first, grown if grown < MAX_TOKEN else -1)  # only junk reaches 2^53: then the version alone
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
    """The same term once more, written whole over whatever stands there, a placeholder included (S7)."""
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
    """An empty Lease with the mark that frees it at once (S7); `successor` may take it first.

    `token` is the own term's (S8), in case the one in the annotation has become junk.
    """
    return replace(
        base,
        holder="",
        duration_seconds=base.duration_seconds or me.lease_duration_seconds,
        renew_time_us=time_us,
        term=_term(me, base, token if base.token is None else base.token, released=True),
        successor=successor,
    )


def placeholder(me: Candidate, seconds: int, last_token: int | None, transitions: int | None, time_us: int) -> Record:
    """A missing Lease made anew, held by the placeholder for as long as its former holder may still lead (S7)."""
    return Record(
        "",
        holder=PLACEHOLDER,
        duration_seconds=max(me.lease_duration_seconds, seconds),
        acquire_time_us=time_us,
        renew_time_us=time_us,
        transitions=transitions,
        term=Term(PLACEHOLDER, token=last_token, process=me.process, place=me.place),
        group=me.group,
    )


def next_time_us(wall_us: int, base: Record | None, sent_us: int) -> int:
    """The renewTime of the next write (S3): above the one that it replaces, and above all that this process has sent."""
    return later_time_us(wall_us, base.renew_time_us if base is not None else None, sent_us)


def deadline_ns(me: Candidate, request: Request) -> int:
    """Until when the holder may act on a write that has landed (S3). The time counts from just before the send, not from the answer."""
    return request.sent_ns + ns(me.valid_seconds(request.record.duration_seconds or 0))


def is_renewal(me: Candidate, request: Request, altered: tuple[str, ...], seconds: int | None) -> bool:
    """S3: whether a write still renews its term, although it stands with the fields `altered` and the duration `seconds`."""
    if seconds is None or _TERM_FIELDS & set(altered):
        return False
    shorter = seconds < (request.record.duration_seconds or 0)
    return not shorter or me.valid_seconds(seconds) >= 2 * me.retry_period_seconds


def _behind(me: Candidate, base: Record) -> tuple[str, ...]:
    """L2: the standbys that remain when this candidate takes the Lease: those that have let their turn pass are struck off."""
    if me.identity not in base.standbys:
        return base.standbys if base.successor in (me.identity, pod_name(me.identity)) else ()
    if base.successor:
        return base.standbys_without(me.identity)
    return base.standbys[base.standbys.index(me.identity) + 1 :]


def _term(me: Candidate, base: Record, token: int | None, renewed_us: int = 0, *, released: bool = False) -> Term:
    extra = base.term.extra if base.term is not None else ()
    pod = replace(me.pod, renewed_us=renewed_us) if me.pod is not None and not released else None
    return Term(me.identity, token=token, process=me.process, place=me.place, released=released, pod=pod, extra=extra)
