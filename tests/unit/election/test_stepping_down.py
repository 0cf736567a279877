"""S11 and L1 to L3: given deadlines are kept, somebody leads, nobody storms."""

from dataclasses import replace

import pytest

from sidecar.clock import ns
from sidecar.election.events import Answered, Moment, StepDown
from sidecar.election.record import TERM_ANNOTATION, Record
from sidecar.election.requests import Kind
from sidecar.election.store import Busy, Done, Missing
from sidecar.election.turns import SPREAD_SECONDS
from sidecar.election.view import State
from tests.support.situations import due, leading, resigned, stepping_down
from tests.support.world import MS, World

# ---- S11 and stepping down ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_seconds", "drain", "app_ended", "after"),
    [(8, 10.0, False, 10), (8, 10.0, True, 0), (0, 10.0, False, 0), (8, 0.0, False, 0), (8, 3.0, False, 3), (8, 30.0, False, 30)],
)
def test_the_release_waits_for_given_deadlines_and_for_the_app(given_seconds: float, drain: float, app_ended: bool, after: float) -> None:  # noqa: FBT001
    """Unless none was given, the app has ended, or a setting says that it stops sooner (S11)."""
    world = World("A", each=lambda _: {"drain_timeout_seconds": drain})
    a = world["A"]
    world.run(1)
    now_ns = a.now_ns
    a.absorb(StepDown("why", now_ns + ns(given_seconds), app_ended=app_ended))
    assert a.election.release_ns == now_ns + ns(after)
    covered_ns = a.election.view().covered_until_ns
    assert a.election.held is not None
    assert covered_ns == min(a.election.held.deadline_ns, a.election.release_ns)


def test_the_lease_is_renewed_while_stepping_down() -> None:
    """Said false, still held (§3)."""
    world = World("AB", each=lambda _: {"drain_timeout_seconds": 30.0})
    world.run(1)
    leader = world[world.leaders].ask().step_down()
    world.run(29)
    assert world.leaders == ""
    assert leader.state is State.STEPPING_DOWN
    world.run(2)
    assert len(world.leaders) == 1


def test_a_second_step_down_makes_the_release_sooner_and_never_later() -> None:
    """`/drained` after SIGTERM, and SIGTERM after `/drained`."""
    world = stepping_down(leading())
    a = world["A"]
    a.step_down(app_ended=True, leaving=True)
    assert a.election.release_ns == a.now_ns
    a.step_down(leaving=True)
    assert a.election.release_ns == a.now_ns


def test_a_release_names_the_token_of_its_term_though_somebody_made_junk_of_it() -> None:
    """S8: it is constant within a term; without it nobody would take the Lease for released."""
    world = leading()
    a, term = world["A"], world.api.record.term
    token = a.token
    assert term is not None
    world.api.edit(annotations={TERM_ANNOTATION: replace(term, token=None).to_json()})
    a.watch()
    resigned(world)
    assert world.api.record.term is not None
    assert world.api.record.term.released
    assert world.api.record.term.token == token


def test_who_leaves_never_contends_again() -> None:
    """And has ended once what stood in its name is released."""
    world = leading()
    a = world["A"].step_down(app_ended=True, leaving=True)
    assert not a.election.ended(a.now_ns)
    a.go(Kind.RELEASE)
    assert a.election.ended(a.now_ns)
    world.pass_(1000)
    a.tick()
    assert (a.state, due(a)) == (State.RESIGNED, None)


def test_a_candidate_that_leaves_has_not_ended_while_a_placeholder_holds_its_term() -> None:
    """The Lease is deleted while A steps down: A claims it back and releases it, so that no candidate waits for the placeholder (S7)."""
    world = stepping_down(leading("AB"))
    a = world["A"].step_down(leaving=True)
    world.api.delete()
    world["B"].doubt().go(Kind.READ)
    world.pass_(0.1)
    world["B"].tick().go(Kind.PLACEHOLDER)
    a.watch()
    assert not a.election.ended(a.now_ns)
    world.run(13)
    assert a.election.ended(a.now_ns)
    assert world.leaders == "B"


def test_stepping_down_with_the_lease_missing_there_is_nothing_to_release() -> None:
    world = stepping_down(leading("A"))
    a = world["A"]
    world.api.delete()
    a.doubt().go(Kind.READ).step_down(app_ended=True).tick()
    assert a.state is State.RESIGNED


def test_a_resignation_ends_early_where_the_lease_stands_free_for_a_whole_duration() -> None:
    """(§3 `for`)."""
    world = resigned(leading("A"))
    world.pass_(15)
    world["A"].tick()
    assert world["A"].state is State.FOLLOWING


# ---- L1 to L3 ----------------------------------------------------------------------------------------------------------------------


def test_after_a_release_another_leads_within_milliseconds() -> None:
    """(L1)."""
    world = World("ABC")
    world.run(5)
    for index, actor in enumerate(world.actors):
        actor.dice = (0.3, 0.6, 0.9)[index]
    world[world.leaders].step_down(app_ended=True)
    world.run(0.06)
    assert len(world.leaders) == 1


def test_after_a_crash_another_leads_within_the_lease_duration_and_a_second() -> None:
    """And never before the duration has run (L1, S6)."""
    world = World("ABC")
    world.run(5)
    world[world.leaders].kill()
    renewed_ns = max(flight.request.sent_ns - flight.actor.now_ns + world.now_ns for flight in world.flights if flight.kind is Kind.RENEW)
    world.run(30, until=lambda: bool(world.leaders))
    assert ns(15) <= world.now_ns - renewed_ns <= ns(16)


def test_who_lost_rejoins_for_ever() -> None:
    """(L1)."""
    world = World("AB")
    for _ in range(20):
        world.run(20)
        assert len(world.leaders) == 1
        leader = world[world.leaders]
        leader.online = False
        world.run(20)
        leader.online = True
    assert len({identity for identity, _ in world.terms}) == 2


def test_hours_without_a_fault_are_one_term() -> None:
    """(L3)."""
    world = World("AB")
    world.run(2 * 3600)
    assert len(world.terms) == 1
    assert len(world.leaders) == 1


def test_the_wait_before_a_free_lease_is_spread_and_biased_to_late() -> None:
    """A handful of first writers for any size of a group (L2)."""
    waits = []
    for step in range(1, 1001):
        world = World("A")
        world["A"].dice = step / 1000
        world["A"].watch()
        waits.append((world["A"].election.contend_ns - world["A"].now_ns) / MS)
    assert min(waits) == 0
    assert max(waits) == pytest.approx(SPREAD_SECONDS * 1000)
    assert sum(wait < 5 for wait in waits) <= 3
    assert sum(wait > 25 for wait in waits) > 900


def test_a_conflict_is_tried_again_at_once_and_then_in_turn() -> None:
    """Whoever touches the Lease under each write of ours brings no storm (L2)."""
    world = leading("A")
    a = world["A"]
    a.sent.clear()
    end_ns = world.now_ns + ns(8)
    while world.now_ns < end_ns:
        world.pass_(0.005)
        wanted = due(a.tick())
        if wanted is not None and wanted[1] == 0:
            flight = a.send()
            world.api.touch()
            world.pass_(0.005)
            flight.commit().answer()
    kinds = [kind for _, kind in a.sent]
    assert kinds[:3] == [Kind.RENEW, Kind.READ, Kind.RENEW]
    assert len(kinds) <= 12


def test_a_create_that_finds_no_namespace_brings_no_storm() -> None:
    """404 to everything, while a term is held: the holder's requests keep their pace (L2)."""
    world = leading("A")
    a = world["A"]
    world.api.delete()
    a.sent.clear()
    a.doubt()
    for _ in range(10):
        wanted = due(a)
        if wanted is not None and wanted[1] == 0:
            a.send().refuse(Missing())
        world.pass_(0.005)
    assert len(a.sent) <= 5


def test_a_retry_after_is_honoured_by_a_follower_up_to_a_lease_duration_and_by_a_holder_up_to_its_retry_period() -> None:
    """Nobody is kept from a free Lease, and no renewal is late (L2)."""
    world = leading()
    a, b = world["A"], world["B"]
    world.pass_(2)
    a.tick().send(Kind.RENEW).refuse(Busy(60))
    assert due(a) == (Kind.RENEW, 2.0)
    b.doubt().send(Kind.READ).refuse(Busy(60))
    assert due(b) == (Kind.READ, 15.0)


def test_an_answer_without_a_request_is_a_bug() -> None:
    """No leader rather than two."""
    with pytest.raises(AssertionError):
        leading()["A"].election.absorb(Answered(Done(Record("1"))), Moment(0, 0))
