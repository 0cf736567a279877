"""`/resign`, `/campaign` and a named successor: who goes first, who holds back, and for how long (§3)."""

import pytest

from sidecar.clock import ns
from sidecar.election.events import Campaign, StepDown
from sidecar.election.requests import Kind
from sidecar.election.turns import HOLD_BACK_SECONDS, SPREAD_SECONDS
from sidecar.election.view import State
from tests.support.situations import due, leading, resigned
from tests.support.world import Actor, World


def resign(world: World, *, to: str = "", out_seconds: float | None = None, release: bool = True) -> Actor:
    """A resigns; its application has no deadline ahead."""
    a = world["A"]
    a.absorb(StepDown("asked to", a.process_given_ns, out_seconds=out_seconds, successor=to))
    if release:
        a.go(Kind.RELEASE)
        assert a.state is State.RESIGNED
    return a


@pytest.mark.parametrize("name", ["B", "B_uid"])
def test_the_named_one_goes_first_and_the_others_hold_back(name: str) -> None:
    """By its Pod's name or by its identity; at once, where the others wait for a moment and more."""
    world = leading("ABC")
    resign(world, to=name)
    assert world.api.record.successor == name
    b, c = world["B"].watch(), world["C"].watch()
    assert due(b) == (Kind.ACQUIRE, 0.0)
    kind, after = due(c) or (None, 0.0)
    assert kind is Kind.ACQUIRE
    assert HOLD_BACK_SECONDS <= after <= HOLD_BACK_SECONDS + SPREAD_SECONDS
    b.go(Kind.ACQUIRE)
    assert world.leaders == "B"
    assert world.api.record.successor == "", "a term names nobody"


def test_where_the_named_one_is_not_there_anyone_does() -> None:
    world = leading("ABC")
    world["B"].alive = False
    resign(world, to="B")
    world.run(HOLD_BACK_SECONDS + 0.3)
    assert world.leaders == "C"


def test_a_name_that_nobody_has_costs_a_moment() -> None:
    world = leading("ABC")
    resign(world, to="web-99")
    world.run(HOLD_BACK_SECONDS + 0.3)
    assert world.leaders in ("B", "C")


def test_a_successor_on_a_lease_that_was_emptied_by_hand_frees_nothing() -> None:
    """Only a release is one (S7): the promise that was seen is waited out."""
    world = leading("AB")
    world.api.edit(holderIdentity="", annotations={"leader-sidecar/successor": "B"})
    b = world["B"].watch()
    _, after = due(b) or (None, 0.0)
    assert after > 14


@pytest.mark.parametrize(("out_seconds", "back"), [(None, 30), (5, 5), (20, 20)])
def test_who_resigned_is_out_for_as_long_as_was_said(out_seconds: float | None, back: float) -> None:
    """Twice the lease duration where nothing was said; while another leads."""
    world = leading("AB")
    a = resign(world, out_seconds=out_seconds)
    world.run(1)
    assert world.leaders == "B"
    world.run(back - 1.2)
    a.tick()
    assert a.election.has_resigned()
    world.run(0.5)
    a.tick()
    assert not a.election.has_resigned()
    assert world.leaders == "B", "the other one leads on"


def test_a_long_resignation_ends_where_the_lease_stands_free_for_a_whole_duration() -> None:
    """Nobody else is there: better led than not."""
    world = leading("A")
    a = resign(world, out_seconds=3600)
    world.pass_(14.9)
    assert a.tick().state is State.RESIGNED
    world.pass_(0.2)
    assert a.tick().state is State.FOLLOWING


def test_a_drained_app_does_not_shorten_or_lengthen_a_resignation() -> None:
    """`/resign` for a minute, then `/drained`: released at once, and out for what is left of the minute."""
    world = leading("AB")
    world["A"].ask()
    a = resign(world, out_seconds=60, release=False)
    assert a.state is State.STEPPING_DOWN
    back_ns = a.election.back_ns
    world.pass_(1)
    a.step_down(app_ended=True)
    a.go(Kind.RELEASE)
    assert a.election.back_ns == back_ns


def test_a_campaign_ends_a_resignation() -> None:
    world = resigned(leading("AB"))
    a = world["A"]
    a.absorb(Campaign())
    assert a.state is State.FOLLOWING
    world.run(1)
    assert len(world.leaders) == 1


def test_a_campaign_in_the_middle_of_stepping_down_keeps_every_given_deadline() -> None:
    """S11: first released, then contended for anew, in another term."""
    world = leading("AB")
    a = world["A"].ask()
    before = a.token
    resign(world, release=False)
    release_ns = a.election.release_ns
    a.absorb(Campaign())
    assert a.state is State.STEPPING_DOWN
    assert a.election.release_ns == release_ns
    world.run(12)
    assert len(world.leaders) == 1
    assert a.state in (State.FOLLOWING, State.LEADING)
    assert a.token != before


def test_who_leaves_does_not_campaign() -> None:
    world = leading("AB")
    a = world["A"].step_down(leaving=True)
    a.absorb(Campaign())
    assert a.election.back_ns is None
    assert a.state is State.STEPPING_DOWN


def test_a_successor_is_named_for_one_release_alone() -> None:
    """The next term of the same process ends without it."""
    world = leading("A")
    a = resign(world, to="B")
    a.absorb(Campaign())
    world.run(2)
    assert world.leaders == "A"
    a.step_down(app_ended=True)
    assert a.election.successor == ""


def test_a_resignation_under_way_survives_an_api_server_that_is_gone() -> None:
    """S1 and L1: the deadline ends the term; whoever can reach the API server leads when the promise has run out."""
    world = leading("AB")
    a = world["A"].ask()
    resign(world, to="B", release=False)
    a.online = False
    world.run(10.1)
    assert a.state is State.RESIGNED
    world.run(6)
    assert world.leaders == "B"
    assert a.now_ns > ns(15)
