"""The schedules that break weaker rules, by their letters: durations, identities and stepping down. A leads; seconds at 15/10/2."""

from dataclasses import replace
from typing import Any

import pytest

from sidecar.clock import ns
from sidecar.election.record import MAX_TRANSITIONS
from sidecar.election.requests import Kind
from sidecar.election.view import State
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import WrongStateError
from tests.simulation.runners import NoStandBy
from tests.unit.fake_lease import Api
from tests.unit.situations import cut, led_by_a
from tests.unit.world import Actor, World

# ---- durations ---------------------------------------------------------------------------------------------------------------------


def test_l_a_long_promise_is_waited_out_whole() -> None:
    """A has 600/400 and B 15: B waits 600 (S6)."""
    world = led_by_a(A={"lease_duration_seconds": 600, "renew_deadline_seconds": 400.0, "drain_timeout_seconds": 400.0})
    cut(world["A"])
    world.run(598)
    assert world.leaders == ""
    world.run(3)
    assert world.leaders == "B"


def test_l_junk_is_waited_for_an_hour_and_no_longer() -> None:
    """A leaseDurationSeconds of 68 years, and its writer is dead: an hour for all (S6)."""
    world = World("AB", lease={"spec": {"holderIdentity": "dead", "leaseDurationSeconds": 2**31 - 1}})
    world.run(3590)
    assert world.leaders == ""
    world.run(12)
    assert len(world.leaders) == 1


def test_m_a_resuming_write_shortens_no_promise() -> None:
    """P1 (60/40) answers "valid to 40" and dies; P2 (5/3) resumes at 1 and dies at 2: C waits for P1's promise (S9 b)."""
    old = {"lease_duration_seconds": 60, "renew_deadline_seconds": 40.0, "drain_timeout_seconds": 40.0}
    world = led_by_a("AC", A=old)
    a = world["A"]
    world.pass_(1)
    a.kill()
    a.start(lease_duration_seconds=5, renew_deadline_seconds=3.0, retry_period_seconds=0.5, drain_timeout_seconds=3.0)
    world.run(1)
    assert world.leaders == "A"
    a.kill()
    world.run(50)
    assert world.leaders == ""
    world.run(15)
    assert world.leaders == "C"


@pytest.mark.parametrize("emptied", [False, True])
def test_n_the_largest_duration_since_the_holders_own_write_counts(emptied: bool) -> None:  # noqa: FBT001
    """Somebody sets leaseDurationSeconds to 1 under A, which is cut off, and perhaps empties the Lease as well (S6)."""
    world = led_by_a()
    cut(world["A"])
    world.api.edit(leaseDurationSeconds=1)
    world["B"].watch()
    if emptied:
        world.api.edit(holderIdentity="")
    world.run(14)
    assert world.leaders == ""
    world.run(3)
    assert world.leaders == "B"


def test_o_a_touch_restarts_nobodys_wait() -> None:
    """A is dead, a controller writes a label every 5 s: B leads when A's promise is over all the same (S6)."""
    world = led_by_a()
    cut(world["A"])
    for _ in range(2):
        world.run(5).api.touch()
    world.run(4.5).api.touch()
    world.run(1)
    assert world.leaders == "B"


def test_p_a_renewal_counts_where_a_restore_has_brought_its_version_back() -> None:
    """Restored to 100, A's renewals climb to 105 again while B's polls fail; B knows 105 from before: it is another renewal (S6)."""
    world = led_by_a()
    a, b = world["A"], world["B"]
    restored, version = world.api.lease, world.api.version
    world.pass_(2)
    a.tick().go(Kind.RENEW)
    b.watch()
    world.pass_(6)
    world.api.lease, world.api.version = restored, version
    a.tick().go(Kind.RENEW).go(Kind.READ).go(Kind.RENEW)
    assert b.election.record is not None
    assert world.api.record.version == b.election.record.version
    b.doubt().tick().go(Kind.READ)
    cut(a).ask()
    world.run(9.5)
    assert world.leaders == "A"


# ---- identity ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["r", "s"])
def test_r_s_another_place_resumes_nothing(letter: str) -> None:
    """Two sidecars of one identity, in two network namespaces (r) or on two nodes, from a literal uid (s): the second waits (S9 c)."""
    same = {"identity": "web_uid", "place": "boot:1"}
    world = led_by_a("AB", A=same, B=same | {"place": {"r": "boot:2", "s": "other:1"}[letter]})
    world.run(60)
    assert world.leaders == "A"
    assert len(world.terms) == 1


def test_s_where_no_place_is_known_nothing_is_resumed() -> None:
    """An empty place proves nothing (S9)."""
    world = led_by_a("AB", A={"identity": "web_uid", "place": ""}, B={"identity": "web_uid", "place": ""})
    world["A"].kill()
    world.run(14)
    assert world.leaders == ""
    world.run(3)
    assert world.leaders == "B"


def test_t_each_renewal_is_one_though_the_wall_clock_stands_or_steps_back() -> None:
    """The wall clock steps back an hour: every renewal is still a change that B sees (S3)."""
    world = led_by_a()
    a = world["A"]
    a.wall_us = a.at.wall_us - 3_600_000_000
    before = len(world.api.past)
    world.run(60)
    assert world.leaders == "A"
    assert len(world.api.past) - before >= 28
    assert len({record.renew_time_us for record in world.api.past[before:]}) == len(world.api.past) - before


def test_t_a_200_that_changed_nothing_is_no_renewal() -> None:
    """The version is as it was: an unknown outcome, the deadline stays (S3)."""
    world = led_by_a()
    a = world["A"]
    held = a.election.held
    world.pass_(2)
    flight = a.tick().send(Kind.RENEW)
    world.pass_(0.1)
    flight.refuse(world.api.perform(replace(flight.request, kind=Kind.READ)))
    assert a.election.held == held
    assert a.election.unresolved == (flight.request,)


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


def test_u_a_twin_in_conflict_outlives_the_other() -> None:
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


def test_w_transitions_at_their_end_stay_there() -> None:
    """2147483647: an acquisition writes no more, which the API server would refuse (S10)."""
    world = World("A", lease={"spec": {"leaseTransitions": MAX_TRANSITIONS}})
    world.run(2)
    assert world.leaders == "A"
    assert world.api.record.transitions == MAX_TRANSITIONS


# ---- stepping down -----------------------------------------------------------------------------------------------------------------


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
