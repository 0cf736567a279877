"""S9: one identity, one process."""

from dataclasses import replace

import pytest

from sidecar.election.record import PLACEHOLDER, TERM_ANNOTATION, Term
from sidecar.election.requests import Kind
from sidecar.election.turns import SPREAD_SECONDS
from sidecar.election.view import State
from tests.support.situations import due, duplicate_writes, expired, in_conflict, leading


def test_a_restarted_process_resumes_its_term_at_once() -> None:
    """Same identity, same place: the same token, no transition (S9 b)."""
    world = leading()
    a, token = world["A"], world["A"].token
    a.kill()
    a.start().go(Kind.READ)
    a.go(Kind.RESUME)
    assert (a.leads, a.token, world.api.record.transitions) == (True, token, 0)


def test_nothing_is_resumed_once_another_holder_was_seen() -> None:
    """(S9 b)."""
    world = leading()
    own = world.api.record
    a = world["A"]
    a.start()
    a.watch(replace(own, version="90", holder="x"))
    a.watch(own)
    a.go(Kind.READ)
    assert due(a) == (Kind.ACQUIRE, pytest.approx(15 + SPREAD_SECONDS, abs=0.01))


def test_nothing_is_resumed_below_a_token_that_was_seen() -> None:
    """The placeholder had a larger token before an older record came back: the process begins a new term, and does not resume (S8)."""
    world = leading("A")
    old = world.api.lease
    a = world["A"]
    a.start()
    text = Term(PLACEHOLDER, token=5000).to_json()
    world.api.edit(holderIdentity=PLACEHOLDER, annotations={TERM_ANNOTATION: text})
    a.watch().go(Kind.READ)
    assert old is not None
    world.api.put(old)
    a.watch()
    world.run(20)
    assert (a.token or 0) > 5000


def test_the_chain_of_own_writes_is_whole_so_an_expired_term_is_followed_by_another_at_once() -> None:
    """(S9 a): no other holder seen, the record is its own last write."""
    world = expired(leading())
    a, token = world["A"], world.terms[-1][1]
    a.go(Kind.ACQUIRE)
    assert (a.token or 0) > token


def test_another_process_that_replaced_an_own_write_has_a_duplicate_identity() -> None:
    """Step down, stay out for both durations, contend like a stranger (S9 d)."""
    world = in_conflict(leading())
    a = world["A"]
    assert "identity" in a.election.why
    world.pass_(14.9)
    a.tick()
    assert a.state is State.CONFLICT
    world.api.edit(renewTime="2026-11-23T08:00:01.000000Z")
    a.watch()
    world.pass_(14.9)
    a.tick()
    assert a.state is State.CONFLICT
    world.pass_(0.1)
    a.tick()
    assert a.moves[-1] == (State.CONFLICT, State.FOLLOWING)


def test_a_foreign_holder_that_keeps_a_dead_duplicates_annotation_shows_no_duplicate_identity() -> None:
    """A client-go program renews with the annotation it found: nobody writes under our name (S9 d, L1)."""
    world = leading("A")
    a = world["A"]
    duplicate_writes(world)
    world.api.edit(holderIdentity="client-go", renewTime="2026-11-23T08:00:02.000000Z")
    a.watch()
    for second in range(3, 40):
        world.pass_(1)
        world.api.edit(renewTime=f"2026-11-23T08:00:{second:02}.000000Z")
        a.watch().tick()
    assert a.state is State.FOLLOWING
