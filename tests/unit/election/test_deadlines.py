"""S3 and S4: until when a term is held, and what news ends it."""

import pytest

from sidecar.clock import ns
from sidecar.election.requests import Kind
from sidecar.election.store import Busy, Conflict, Denied, Missing, Unknown
from sidecar.election.view import State
from tests.support.situations import due, leading
from tests.support.world import World

# ---- S2, S3: deadlines -------------------------------------------------------------------------------------------------------------


def test_the_deadline_counts_from_just_before_the_request_was_sent() -> None:
    """A reply 4.9 s late gives no longer a term (S3; finding 6)."""
    world = World("A")
    a = world["A"]
    a.go(Kind.READ)
    world.pass_(0.1)
    flight = a.tick().send(Kind.ACQUIRE)
    sent_ns = a.now_ns
    flight.commit()
    world.pass_(4.9)
    flight.answer()
    assert a.election.held is not None
    assert a.election.held.deadline_ns == sent_ns + ns(10)
    assert a.election.view().covered_until_ns == sent_ns + ns(10)


@pytest.mark.parametrize("outcome", [Unknown("x"), Denied("x"), Busy(1), Conflict(), Missing()])
def test_no_other_outcome_extends_the_deadline(outcome: Unknown | Denied | Busy | Conflict | Missing) -> None:
    """(S3)."""
    world = leading()
    a = world["A"]
    held = a.election.held
    world.pass_(2)
    a.tick().send(Kind.RENEW).refuse(outcome)
    assert a.election.held == held


def test_a_deadline_that_has_passed_ends_the_term_before_the_event_is_heard() -> None:
    """The answer to the renewal comes one nanosecond too late (S3)."""
    world = leading()
    a = world["A"]
    assert a.election.held is not None
    deadline_ns = a.election.held.deadline_ns
    world.pass_(5)
    flight = a.tick().send(Kind.RENEW).commit()
    world.now_ns = a.world_ns(deadline_ns)
    flight.answer()
    assert a.state is State.FOLLOWING
    assert not a.leads


def test_a_renewal_found_landed_by_a_read_counts_from_when_it_was_sent() -> None:
    """Its renewTime and process name the write (S3, S5: a 409 may be one's own success)."""
    world = leading()
    a = world["A"]
    world.pass_(2)
    first = a.tick().send(Kind.RENEW).commit()
    sent_ns = a.now_ns
    first.lose()
    world.pass_(2)
    a.tick().go(Kind.RENEW)
    a.go(Kind.READ)
    assert a.election.held is not None
    assert a.election.held.deadline_ns == sent_ns + ns(10)


def test_a_409_that_is_ones_own_success_is_known_by_what_stands_there() -> None:
    """The request was sent twice behind our back, the second try's answer is all we get (S5; finding 1)."""
    world = World("A")
    a = world["A"]
    a.go(Kind.READ)
    world.pass_(0.1)
    for kind in (Kind.ACQUIRE, Kind.RENEW):
        flight = a.tick().send(kind).commit()
        sent_ns = a.now_ns
        flight.refuse(Conflict())
        world.pass_(0.1)
        a.go(Kind.READ)
        assert a.election.held is not None
        assert a.election.held.deadline_ns == sent_ns + ns(10)
        world.pass_(2)


def test_an_acquisition_found_landed_in_time_begins_a_term_and_too_late_a_new_one() -> None:
    """(S3)."""
    for seconds, token in ((5, 101), (10, 102)):
        world = World("A")
        a = world["A"]
        a.go(Kind.READ)
        world.pass_(0.1)
        flight = a.tick().send(Kind.ACQUIRE).commit()
        flight.lose()
        world.pass_(seconds)
        a.watch().tick()
        assert a.leads == (seconds == 5)
        if not a.leads:
            a.go(Kind.ACQUIRE)
        assert a.token == token


def test_renew_times_grow_whatever_the_wall_clock_does() -> None:
    """(S3)."""
    world = leading("A")
    a = world["A"]
    for wall_us in (5, 10**15, 0, 0):
        a.wall_us = wall_us
        world.pass_(2)
        before = world.api.record.renew_time_us
        a.tick().go(Kind.RENEW)
        assert before is not None
        assert (world.api.record.renew_time_us or 0) > before


# ---- S4: news ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("holder", ["another", ""])
def test_a_seen_loss_is_a_loss_at_once(holder: str) -> None:
    """Another holder, or none, in a later state (S4)."""
    world = leading()
    a = world["A"]
    world.api.edit(holderIdentity=holder)
    a.watch()
    assert not a.leads
    assert a.state is State.FOLLOWING


def test_the_placeholder_ends_no_term() -> None:
    """(S4, S7)."""
    world = leading()
    a = world["A"]
    world.api.delete()
    world["B"].doubt().go(Kind.READ)
    world.pass_(0.1)
    world["B"].tick().go(Kind.PLACEHOLDER)
    a.watch()
    assert a.leads
    a.go(Kind.RENEW)
    assert world.api.record.holder == "A_uid"


def test_a_loss_heard_while_the_renewals_answer_is_under_way_is_not_undone_by_it() -> None:
    """The watch was faster than the answer (S4)."""
    world = leading()
    a = world["A"]
    world.pass_(2)
    flight = a.tick().send(Kind.RENEW).commit()
    world.api.edit(holderIdentity="another")
    world.pass_(0.01)
    a.watch()
    world.pass_(0.01)
    flight.answer()
    assert not a.leads
    assert due(a) == (Kind.READ, 0.0)


def test_news_without_an_order_calls_for_a_read() -> None:
    """Versions that are no integers: nothing is later or older, a quorum read decides (S4)."""
    world = World("A")
    world.api.opaque = True
    world.api.wipe()
    a = world["A"]
    a.go(Kind.READ)
    world.pass_(0.1)
    a.tick().go(Kind.ACQUIRE)
    world.api.edit(holderIdentity="another")
    a.watch()
    assert a.leads
    a.go(Kind.READ)
    assert not a.leads


def test_a_stale_answer_that_the_lease_is_missing_is_no_news() -> None:
    """The watch has shown the Lease since the read was sent."""
    world = World("A")
    a = world["A"]
    lease = world.api.lease
    world.api.delete()
    read = a.send(Kind.READ).commit()
    assert lease is not None
    world.api.put(lease)
    world.pass_(0.01)
    a.watch()
    read.answer()
    assert a.election.record is not None
    assert due(a) == (Kind.READ, 0.0)
