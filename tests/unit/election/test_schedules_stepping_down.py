"""Schedules that break weaker rules, by their letters: a release, a resignation, a duplicate identity (S9 d, S11)."""

from dataclasses import replace
from typing import Any

import pytest

from sidecar.clock import ns
from sidecar.election.events import StepDown
from sidecar.election.record import TERM_ANNOTATION, merge_patch
from sidecar.election.requests import Kind
from sidecar.election.store import Denied
from sidecar.election.view import State
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import WrongStateError
from tests.simulation.runners import NoStandBy
from tests.support.fake_lease import Api
from tests.support.situations import cut, led_by_a
from tests.support.world import Actor, World


class StillClock:
    """A clock that a test sets."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def boottime_ns(self) -> int:
        """Where it stands."""
        return self._actor.now_ns

    def wall_us(self) -> int:
        """The epoch."""
        return 0


def test_c_nothing_is_released_while_a_given_deadline_lies_ahead() -> None:
    """The app reads "valid to 10" and goes by the clock; SIGTERM at 1 says false at once and releases at 11 (S11)."""
    world = led_by_a()
    given_ns = world["A"].given_ns
    world.run(1)
    world["A"].step_down(leaving=True)
    asked_ns = world["A"].now_ns
    assert world.leaders == ""
    world.run(30, until=lambda: bool(world.leaders))
    assert world.leaders == "B"
    assert given_ns <= asked_ns + ns(10) <= world["A"].now_ns < asked_ns + ns(11.1)


def test_u_who_resigned_comes_back() -> None:
    """Three Pods are resigned in turn, without an end: somebody leads again (§3 `for`)."""
    world = led_by_a("ABC")
    for _ in range(3):
        world.run(5, until=lambda: len(world.leaders) == 1)
        for actor in world.actors:
            if actor.leads:
                actor.given_ns = 0
                actor.step_down(app_ended=True)
    assert world.leaders == ""
    world.run(31)
    assert len(world.leaders) == 1


def test_u_a_candidate_in_conflict_returns_when_its_duplicate_has_ended() -> None:
    """When nothing of the other has been seen for both durations, it contends like a stranger (S9 d)."""
    world = led_by_a("AB", A={"identity": "web_uid"}, B={"identity": "web_uid"})
    a, b = world["A"], world["B"]
    cut(a)
    world.run(20, until=lambda: world.leaders == "B")
    a.online = True
    world.run(1)
    assert a.state is State.CONFLICT
    world.run(60)
    assert a.state is State.CONFLICT
    b.kill()
    world.run(17)
    assert world.leaders == "A"


def test_z_drained_with_the_token_of_another_term_ends_nothing() -> None:
    """`/drained` is retried by a proxy and meets the next term: a command that does not fit the state (§3)."""
    world = led_by_a("A")
    a = world["A"]
    clock: Any = StillClock(a)
    store: Any = Api()
    runner = NoStandBy(store, clock, Leadership(clock, Names(a.me.identity, "web", "shop", "b")), a.me)
    elector = runner.elector
    elector._election = a.election
    for token in (a.token + 1 if a.token else 0, 0, None):
        with pytest.raises(WrongStateError):
            runner.drained(token)
        assert elector._election.state is State.LEADING
    runner.drained(a.token)
    due = elector._election.due(a.now_ns)
    assert due is not None
    assert (due.kind, due.at_ns <= a.now_ns) == (Kind.RELEASE, True)
    elector._election = replace(elector._election, held=None, state=State.FOLLOWING)
    with pytest.raises(WrongStateError):
        runner.drained(a.token)


def test_B_a_release_waits_for_the_renewal_in_flight() -> None:  # noqa: N802 - the schedule's letter
    """SIGTERM with a renewal in flight: the release is sent after its answer, on the version that it left (§3 stepping down)."""
    world = led_by_a()
    a = world["A"]
    a.given_ns = 0
    world.pass_(2)
    flight = a.tick().send(Kind.RENEW)
    a.step_down(app_ended=True, leaving=True)
    assert a.election.due(a.now_ns) is None
    assert not a.election.ended(a.now_ns)
    world.pass_(0.1)
    flight.commit().answer()
    a.go(Kind.RELEASE)
    assert a.election.ended(a.now_ns)
    world.run(0.2)
    assert world.leaders == "B"


def test_B_a_release_that_met_a_late_renewal_of_ones_own_reads_again() -> None:  # noqa: N802
    """The renewal's answer is lost and it lands before the release: 409, a read, and the release again (§3)."""
    world = led_by_a()
    a = world["A"]
    a.given_ns = 0
    world.pass_(2)
    flight = a.tick().send(Kind.RENEW)
    world.pass_(3)
    flight.lose()
    a.step_down(app_ended=True, leaving=True)
    world.pass_(0.1)
    a.tick()
    while a.state is State.STEPPING_DOWN:
        due = a.election.due(a.now_ns)
        assert due is not None
        world.pass_(max(0.0, (due.at_ns - a.now_ns) / 1e9))
        if flight.outcome is None:
            flight.commit()
        a.go()
    assert world.api.record.holder == ""
    assert world.now_ns < ns(10_000 + 10)
    assert a.election.ended(a.now_ns)


@pytest.mark.parametrize("leaving", [False, True])
def test_C_an_acquisition_found_after_its_sender_has_resigned_is_released_at_once(leaving: bool) -> None:  # noqa: FBT001, N802
    """Its outcome was unknown; the sender looks, or sees it, and releases: nobody waits a lease duration (§3)."""
    world = World("AB")
    a, b = world["A"], world["B"]
    cut(b)
    a.go(Kind.READ)
    world.pass_(0.1)
    flight = a.tick().send(Kind.ACQUIRE)
    world.pass_(1)
    flight.lose()
    a.step_down(leaving=leaving)
    assert not a.election.ended(a.now_ns)
    flight.commit()
    b.online = True
    world.run(2.2)
    assert world.leaders == "B"
    assert a.sent[-1][1] is Kind.RELEASE


def test_a_release_denied_is_tried_again_and_a_term_annotation_is_whole() -> None:
    """Nothing but the five keys stands in the annotation, and a refusal ends nothing."""
    world = led_by_a("A")
    a = world["A"]
    a.given_ns = 0
    a.absorb(StepDown("told to", app_ended=True))
    a.send(Kind.RELEASE).refuse(Denied("no"))
    world.pass_(2)
    a.tick().go(Kind.RELEASE)
    term = merge_patch(world.api.record, None)["metadata"]["annotations"][TERM_ANNOTATION]
    assert '"released":true' in term
