"""How long a candidate waits out a holder that it cannot ask (S6), and a holder that may not know that its Lease is gone (S7)."""

from dataclasses import dataclass, replace

from sidecar.clock import ns
from sidecar.election.record import PLACEHOLDER, Record, Term


@dataclass(frozen=True, slots=True)
class Promise:
    """What must be waited out: the last holder's renewal, or a Lease that was emptied or is missing."""

    of_sidecar: bool
    """The holder is a sidecar, or may be one."""
    seen_ns: int
    """When this candidate first saw that renewal, or the empty or missing Lease; CLOCK_BOOTTIME."""
    seconds: int
    """The largest leaseDurationSeconds seen since the holder's last own write."""
    version: int | None = None
    """The Lease's resourceVersion at that moment; None where it is no integer."""
    unexplained: bool = False
    """The Lease was found empty, and neither its annotation nor its last holder explained that."""

    @property
    def end_ns(self) -> int:
        """When the wait is over."""
        return self.seen_ns + ns(self.seconds)


def is_free(record: Record, last: Promise | None, last_token: int | None) -> bool:
    """Whether an empty Lease is free at once (S7).

    It is free where its holder released it, where the last holder seen was a client-go program and has released it, or where nothing in it
    tells of any holder. A renewTime or acquireTime tells of a holder, but for those of client-go's release. Two release marks do not count:
    one with a token below the last token seen (an old Lease was written back), and one from before the term of a client-go program (such a
    program leaves the annotation as it is).
    """
    term = record.term
    if term is not None and term.released and term.token is not None and term.token >= (last_token or 0):
        begun = last is not None and last.version is not None and term.token >= last.version  # the released term began after `last`
        if last is None or begun or (last.of_sidecar and not last.unexplained):
            return True
    if last is not None:
        return not last.of_sidecar and _left_by_client_go(record) and not _came_later(term, last)
    untouched = record.renew_time_us is None and record.acquire_time_us is None  # as the manifests ship it
    return (term is None or term.holder == "") and (untouched or _left_by_client_go(record))


def _left_by_client_go(record: Record) -> bool:
    """Whether the spec is as a client-go release leaves it (leaderelection.go, `release`): no holder, 1 s, a renewTime."""
    return record.duration_seconds == 1 and record.renew_time_us is not None


def _came_later(term: Term | None, last: Promise) -> bool:
    """Whether the annotation names a holder that came after `last`: a late release by client-go may have emptied the Lease under it.

    A token is at least the version that its term began with (S8), so a token below the last version seen belongs to an earlier term.
    """
    if term is None or term.released or not term.holder:
        return False
    return last.version is None or term.token is None or term.token >= last.version


def seen(  # noqa: PLR0913 - two records, what was known, and the moment
    record: Record,
    before: Record | None,
    last: Promise | None,
    last_token: int | None,
    *,
    now_ns: int,
    own_seconds: int,
) -> Promise | None:
    """What must be waited out now that `record` is seen; `before` is the record seen before it.

    An older state of the Lease shortens no promise seen before: a read may be stale, and etcd may have been restored.
    """
    now = _seen(record, before, last, last_token, now_ns=now_ns, own_seconds=own_seconds)
    if now is None or last is None or last.version is None or record.version_number is None:
        return now
    return last if record.version_number < last.version and last.end_ns > now.end_ns else now


def _seen(  # noqa: PLR0913 - as above
    record: Record,
    before: Record | None,
    last: Promise | None,
    last_token: int | None,
    *,
    now_ns: int,
    own_seconds: int,
) -> Promise | None:
    """As `seen`, for any order of versions.

    An empty Lease that nothing explains is waited out from when it was first seen: a holder may have come since the record before.
    """
    same = before is not None and before.same_renewal(record)
    if not record.holder:
        if (same and last is not None) or is_free(record, last, last_token):
            return last
        seconds = max(own_seconds, last.seconds if last is not None else 0, record.duration_seconds or 0)
        return Promise(of_sidecar=True, seen_ns=now_ns, seconds=seconds, version=record.version_number, unexplained=True)
    seconds = record.duration_seconds or own_seconds
    if same and last is not None:  # a touch, which is no renewal, restarts nobody's wait, but a larger duration counts
        return replace(last, seconds=max(last.seconds, seconds))
    of_sidecar = record.own_term is not None
    if before is not None and before.holder == record.holder and last is not None:
        of_sidecar = of_sidecar or last.of_sidecar  # pruning its annotation makes no client-go program of a holder
    now = Promise(of_sidecar=of_sidecar, seen_ns=now_ns, seconds=seconds, version=record.version_number)
    if record.holder == PLACEHOLDER and last is not None and last.end_ns > now.end_ns:  # its maker may not know the longest promise
        return replace(last, of_sidecar=True)
    return now


def missing(last: Promise | None, now_ns: int, own_seconds: int) -> Promise:
    """What must be waited out now that the Lease is missing: it may have been deleted under a holder that cannot see that (S7)."""
    return last if last is not None else Promise(of_sidecar=True, seen_ns=now_ns, seconds=own_seconds)
