"""S3, looked at from outside: what an API server has made of a write, and what its holder may answer by it."""

from typing import TYPE_CHECKING

from sidecar.clock import ns
from sidecar.election.record import PLACEHOLDER, Record, format_time
from tests.simulation.life import Life
from tests.simulation.versions import number

if TYPE_CHECKING:
    from tests.simulation.commits import Commits


def valid_seconds(life: Life, seconds: int) -> float:
    """What stands divides by lease duration / renew deadline, and never allows more than the renew deadline."""
    me = life.me
    return min(me.renew_deadline_seconds, seconds / (me.lease_duration_seconds / me.renew_deadline_seconds))


def until_ns(life: Life, sent_ns: int, after: Record) -> int:
    """Until when a write of this process may be acted on, as it stands."""
    return sent_ns + ns(valid_seconds(life, after.duration_seconds or 0)) + 1  # as it is rounded


def is_renewal(life: Life, asked: Record, after: Record) -> bool:
    """Whether it is one at all."""
    same = (asked.holder, asked.term, asked.renew_time_us, asked.transitions) == (
        after.holder,
        after.term,
        after.renew_time_us,
        after.transitions,
    )
    if not same or after.duration_seconds is None:
        return False
    shorter = after.duration_seconds < (asked.duration_seconds or 0)
    return not shorter or valid_seconds(life, after.duration_seconds) >= 2 * life.me.retry_period_seconds


def said(judge: "Commits", life: Life, before: Record | None, asked: Record, after: Record) -> bool:
    """Look at a write that stands as `after` though `asked` was sent; whether there is no more to be looked at."""
    judge.counts["writes changed by the API server"] += 1
    now_ns, pod = judge.agenda.now_ns, life.pod
    if before is not None and before.standbys != asked.standbys and before.renewal == asked.renewal:
        return True
    if asked.holder and (after.duration_seconds or 0) < (asked.duration_seconds or 0):
        pod.acts_until_ns = min(pod.acts_until_ns, now_ns)  # docs/rules.md#outside-the-guarantees: deadlines given before
    if asked.holder not in ("", PLACEHOLDER) and is_renewal(life, asked, after):
        return False
    life.last_commit = after
    if asked.holder == PLACEHOLDER:
        judge.promises[PLACEHOLDER] = (now_ns, after.duration_seconds or 0)
    elif asked.holder == "":
        judge._released(life, before)
    else:
        judge.counts["writes that the API server made no renewal"] += 1
        life.spoilt.add(after.version)
        token = asked.token
        if token is not None and token not in life.terms and before is not None and before.token != token:
            judge._acquired(life, before, token, life.sends.get(format_time(asked.renew_time_us) or "", (0, -1, 0))[1])
        judge.promises[life.me.process] = (now_ns, after.duration_seconds or 0)
    return True


def learned(life: Life, record: Record, *, watched: bool) -> None:
    """A process is told of a state of the Lease: what its newest own write allows, as it stands there.

    A watch shows no more than the state: a write whose renewTime was changed is known for its own by the answer alone. And where versions
    have no order, what a watch shows calls for a read first.
    """
    token, sent = record.token, life.sends.get(format_time(record.renew_time_us) or "")
    life.knows_loss = life.knows_loss or record.version in life.spoilt
    if watched and (record.version_number is None or sent is None or record.version in life.spoilt):
        return
    if record.version in life.spoilt:
        life.known_until_ns = dict.fromkeys(life.known_until_ns, 0)
        return
    if token is None or sent is None or record.holder != life.me.identity or number(record) < life.stood_version:
        return
    if number(record) > life.pod.link.server.version:
        return  # from before a restore of etcd, late
    life.stood_version = number(record)
    until = until_ns(life, sent[0], record)
    same = life.newest is not None and life.newest.renewal == record.renewal
    life.known_until_ns[token] = min(until, life.known_until_ns.get(token, until)) if same else until
