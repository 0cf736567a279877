"""S6, S7 and S8: who waits for whom, and the tokens."""

import pytest

from sidecar.election.record import MAX_TOKEN, PLACEHOLDER, TERM_ANNOTATION, Term
from sidecar.election.requests import Kind
from sidecar.election.turns import SPREAD_SECONDS
from tests.support.situations import due, leading, resigned
from tests.support.world import World

EDITED = "2026-11-23T08:00:00.000000Z"

# ---- S6, S7: waiting ---------------------------------------------------------------------------------------------------------------


def test_a_follower_waits_from_its_own_first_sight_of_the_renewal() -> None:
    """(S6)."""
    world = leading()
    b = world["B"]
    world.pass_(7)
    world["A"].tick().go(Kind.RENEW)
    world.pass_(1)
    b.watch()
    assert due(b) == (Kind.ACQUIRE, pytest.approx(15 + SPREAD_SECONDS))


@pytest.mark.parametrize(("stands", "waited"), [(60, 60), (1, 1), (None, 15), (0, 15), (7200, 3600)])
def test_the_records_duration_is_waited_out_not_ones_own(stands: int | None, waited: int) -> None:
    """Missing or not positive: one's own; at most an hour (S6)."""
    world = World("A", lease={"spec": {"holderIdentity": "x", "leaseDurationSeconds": stands}})
    world["A"].watch().go(Kind.READ)
    assert due(world["A"]) == (Kind.ACQUIRE, pytest.approx(waited + SPREAD_SECONDS, abs=0.01))


def test_a_lease_as_the_manifests_ship_it_is_free_at_once() -> None:
    """Nothing seen and nothing in it tells of any holder (S7)."""
    world = World("A")
    world["A"].go(Kind.READ)
    assert due(world["A"]) == (Kind.ACQUIRE, SPREAD_SECONDS)


def test_a_released_lease_is_free_at_once_for_who_never_saw_its_holder() -> None:
    """Its annotation says so (S7)."""
    world = leading("AB")
    world["A"].step_down(app_ended=True).go(Kind.RELEASE)
    world["B"].start()
    world["B"].go(Kind.READ)
    assert due(world["B"]) == (Kind.ACQUIRE, SPREAD_SECONDS)


def test_an_emptied_lease_whose_annotation_alone_tells_of_a_holder_is_waited_for() -> None:
    """One's own duration from that sight (S7)."""
    world = leading("AB")
    world["B"].start()
    world.api.edit(holderIdentity="")
    world["B"].go(Kind.READ)
    assert due(world["B"]) == (Kind.ACQUIRE, pytest.approx(15 + SPREAD_SECONDS))


def test_an_empty_lease_is_free_where_the_last_holder_seen_was_no_sidecar() -> None:
    """A client-go program releases without an annotation (S7)."""
    world = World("A", lease={"spec": {"holderIdentity": "client-go", "leaseDurationSeconds": 15}})
    a = world["A"]
    a.go(Kind.READ)
    world.api.edit(holderIdentity="", leaseDurationSeconds=1, renewTime=EDITED)
    a.watch()
    assert due(a) == (Kind.ACQUIRE, SPREAD_SECONDS)


def test_a_sidecar_whose_annotation_was_pruned_is_still_no_client_go_program() -> None:
    """A tool prunes what it does not know, then empties the Lease, while its holder is cut off: not free (S7)."""
    world = leading("AB")
    world["A"].ask().online = False
    world.api.edit(annotations={TERM_ANNOTATION: None})
    world["B"].watch()
    world.api.edit(holderIdentity="")
    world["B"].watch()
    world.run(8)
    assert world.leaders == "A"


def test_a_release_mark_below_a_token_that_was_seen_frees_nothing() -> None:
    """An old release written back under a later holder is no release of that holder (S7)."""
    world = resigned(leading("ABC"))
    released = world.api.lease
    world["A"].alive = False
    world["C"].online = False
    world.run(1)
    assert world.leaders == "B"
    world["B"].ask().online = False
    world["C"].watch()
    assert released is not None
    world.api.put(released)
    world["C"].watch().online = True
    world.run(8)
    assert world.leaders == "B"


def test_a_former_holder_whose_deadline_is_long_past_does_not_take_an_emptied_lease_anew() -> None:
    """Another may have led since, unseen: A is cut off, B leads and is cut off, the Lease is wiped, A is back (S7)."""
    world = leading("AB")
    a, b = world["A"], world["B"]
    a.online = False
    world.run(20, until=lambda: world.leaders == "B")
    b.ask().online = False
    world.api.wipe()
    a.online = True
    world.run(8)
    assert world.leaders == "B"
    world.run(15)
    assert world.leaders == "A"


def test_whoever_prunes_the_annotation_of_a_shortened_lease_shortens_no_promise() -> None:
    """Neither is a write of the holder's own: the largest duration since that one counts (S6)."""
    world = leading("AB")
    world["A"].ask().online = False
    world.api.edit(leaseDurationSeconds=1)
    world["B"].watch()
    world.api.edit(annotations={TERM_ANNOTATION: None})
    world["B"].watch()
    world.run(8)
    assert world.leaders == "A"


def test_the_former_holder_of_an_emptied_lease_takes_it_anew_after_a_pause_that_can_be_seen() -> None:
    """It has said false; nobody else can have led meanwhile (S7)."""
    world = leading()
    a = world["A"]
    world.api.edit(holderIdentity="")
    a.watch()
    assert due(a) == (Kind.ACQUIRE, 2.0)
    token = world.terms[-1][1]
    world.pass_(2)
    a.tick().go(Kind.ACQUIRE)
    assert (a.token or 0) > token


def test_a_missing_lease_is_created_for_the_placeholder_with_the_largest_token_seen() -> None:
    """(S7, S8)."""
    world = leading("AB")
    b, token = world["B"], world["A"].token
    world.api.delete()
    b.doubt().go(Kind.READ)
    world.pass_(0.1)
    b.tick().go(Kind.PLACEHOLDER)
    assert (world.api.record.holder, world.api.record.token, world.api.record.duration_seconds) == (PLACEHOLDER, token, 15)
    assert b.election.view().holder == ""
    assert due(b) == (Kind.ACQUIRE, pytest.approx(15 + SPREAD_SECONDS))


# ---- S8: tokens --------------------------------------------------------------------------------------------------------------------


def test_a_token_is_the_version_that_the_acquiring_write_was_conditional_on() -> None:
    """(S8)."""
    world = leading()
    assert world["A"].token == 101
    world.run(30)
    assert world["A"].token == 101
    assert world.api.record.token == 101


def test_a_token_is_one_more_than_the_last_where_versions_are_smaller() -> None:
    """A placeholder's token counts as well (S8)."""
    for holder in ("x", PLACEHOLDER):
        term = Term(holder, token=5000).to_json()
        lease = {"metadata": {"annotations": {TERM_ANNOTATION: term}}, "spec": {"holderIdentity": holder, "leaseDurationSeconds": 1}}
        world = World("A", lease=lease)
        world.run(2)
        assert world["A"].token == 5001


def test_where_versions_are_no_integers_transitions_serve() -> None:
    """(S8)."""
    world = World("A", lease={"spec": {"leaseTransitions": 41}})
    world.api.opaque = True
    world.api.touch()
    world.run(1)
    assert world["A"].token == 42


def test_tokens_grow_past_the_largest_that_may_stand_in_a_lease() -> None:
    """Somebody writes 2^53 into the annotation: the terms after it still differ (S8, S10)."""
    term = Term("x", token=MAX_TOKEN).to_json()
    world = World(
        "AB", lease={"metadata": {"annotations": {TERM_ANNOTATION: term}}, "spec": {"holderIdentity": "x", "leaseDurationSeconds": 1}}
    )
    world.run(2)
    world[world.leaders].step_down(app_ended=True)
    world.run(1)
    assert len(world.terms) == 2


def test_a_client_go_holder_has_no_token() -> None:
    """(S8)."""
    world = leading()
    world.api.edit(holderIdentity="client-go", renewTime="2026-11-23T08:00:00.000000Z")
    b = world["B"].watch()
    assert (b.election.view().holder, b.election.view().token) == ("client-go", None)
