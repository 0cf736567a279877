"""S3, its second half: what stands in the Lease after a write counts, not what was sent; an admission webhook may change it."""

from dataclasses import replace

import pytest

from sidecar.clock import ns
from sidecar.election.record import TERM_ANNOTATION, HolderPod
from sidecar.election.requests import Kind
from sidecar.election.view import State
from tests.support.admission import Admit, adds_a_field, removes_annotations, retells_the_term, rounds, sets
from tests.support.situations import due, leading, renewal_carried_out, stepping_down
from tests.support.world import Actor, World

POD = HolderPod("web-0", "u-0")
TERM = f"metadata.annotations[{TERM_ANNOTATION}]"
NO_RENEWAL: list[tuple[str, Admit, str]] = [
    ("a duration too short to renew in", sets(leaseDurationSeconds=3), "spec.leaseDurationSeconds"),
    ("no duration", sets(leaseDurationSeconds=None), "spec.leaseDurationSeconds"),
    ("another holder", sets(holderIdentity="somebody"), "spec.holderIdentity"),
    ("nobody as holder", sets(holderIdentity=""), "spec.holderIdentity"),
    ("renewTime in milliseconds", rounds(3), "spec.renewTime"),
    ("renewTime in seconds", rounds(0), "spec.renewTime"),
    ("other transitions", sets(leaseTransitions=7), "spec.leaseTransitions"),
    ("no annotations", removes_annotations, TERM),
    ("another token", retells_the_term, TERM),
]
CASES = pytest.mark.parametrize(("admit", "field"), [case[1:] for case in NO_RENEWAL], ids=[case[0] for case in NO_RENEWAL])


@pytest.fixture(autouse=True)
def odd_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock shows no whole milliseconds: what rounds a time changes it."""
    at = vars(Actor)["at"].fget
    monkeypatch.setattr(Actor, "at", property(lambda actor: replace(moment := at(actor), wall_us=moment.wall_us + 123)))


def left(actor: Actor) -> float:
    """Seconds until the deadline."""
    assert actor.election.held is not None
    return (actor.election.held.deadline_ns - actor.now_ns) / 1e9


@CASES
def test_a_renewal_that_stands_otherwise_is_none_and_the_answer_is_false_at_once(admit: Admit, field: str) -> None:
    """The field is named, and the write is not released: it runs out (S3)."""
    world = leading("A")
    a = world["A"]
    world.pass_(2)
    world.api.admit = admit
    a.tick().go(Kind.RENEW)
    assert a.state is State.FOLLOWING
    assert field in a.election.altered
    assert world.api.record.holder != "" or field == "spec.holderIdentity"
    assert a.election.view().holder == ""
    kind, wait = due(a) or (None, 0)
    assert kind is Kind.ACQUIRE
    assert wait >= min(world.api.record.duration_seconds or 15, 15)


@CASES
def test_while_each_write_is_altered_nobody_leads_steadily(admit: Admit, field: str) -> None:
    """And never two; once the webhook is gone, somebody leads (L1), and nothing is named any more."""
    world = World("ABC")
    world.api.admit = admit
    for _ in range(60):
        world.run(1)
        assert not world.leaders
    named = [actor.election.altered for actor in world.actors if actor.election.altered]
    assert named
    assert all(field in altered for altered in named)
    world.api.admit = None
    world.run(2 * 15 + 1, until=lambda: world.leaders != "")
    assert len(world.leaders) == 1
    world.run(5)
    assert not any(actor.election.altered for actor in world.actors)


@CASES
def test_the_watch_may_show_it_before_the_answer_does(admit: Admit, field: str) -> None:
    world, flight = renewal_carried_out("A", admit)
    a = world["A"]
    a.watch()
    flight.answer()
    assert a.state is State.FOLLOWING
    assert field in a.election.altered


@CASES
def test_an_answer_that_comes_late_ends_the_term_all_the_same(admit: Admit, field: str) -> None:
    """Somebody has touched the Lease since, and the watch has shown that: what stood there was no renewal (S3)."""
    world, flight = renewal_carried_out("A", admit)
    a = world["A"]
    world.api.touch()
    a.watch()
    flight.answer()
    assert not a.leads
    assert field in a.election.altered


@CASES
def test_a_step_down_releases_no_altered_write(admit: Admit, field: str) -> None:
    """What stands is not its own: it runs out (S3, S5)."""
    world = stepping_down(leading("AB"))
    a = world["A"]
    world.pass_(2)
    world.api.admit = admit
    a.tick().go(Kind.RENEW)
    assert a.state is State.RESIGNED
    assert field in a.election.altered
    assert due(a) is None


def test_a_milder_duration_is_the_deadlines_measure() -> None:
    """What stands / (lease duration / renew deadline), where two retry periods fit in (S3)."""
    world = World("AB")
    world.api.admit = sets(leaseDurationSeconds=9)
    world.run(60, until=lambda: world.leaders != "")
    a = world[world.leaders]
    assert left(a) == pytest.approx(6, abs=0.1)
    assert a.election.altered == ("spec.leaseDurationSeconds",)
    world.run(30)
    assert world.leaders == a.name
    a.ask().online = a.watching = False
    world.run(20, until=lambda: world.leaders not in ("", a.name))  # the world looks for two leaders at every step


def test_a_longer_duration_makes_the_deadline_no_longer() -> None:
    """It is waited out by the others as it stands (S6), and it is named."""
    world = World("AB")
    world.api.admit = sets(leaseDurationSeconds=60)
    world.run(5)
    leader = world[world.leaders]
    assert 0 < left(leader) <= 10
    assert leader.election.altered == ("spec.leaseDurationSeconds",)


def test_the_newest_write_counts_also_where_it_ends_earlier_than_the_one_before() -> None:
    """A webhook shortens the second renewal: what was known before no longer holds (S3)."""
    world = leading("AB")
    a = world["A"]
    world.pass_(2)
    world.api.admit = sets(leaseDurationSeconds=6)
    a.tick().go(Kind.RENEW)
    assert left(a) == pytest.approx(4, abs=0.01)


def test_what_is_added_by_others_is_no_alteration() -> None:
    """Foreign annotations, labels and fields are theirs (S10)."""
    world = World("AB")
    world.api.admit = adds_a_field
    world.run(20)
    assert len(world.leaders) == 1
    assert world[world.leaders].election.altered == ()


def test_an_altered_resumption_is_none() -> None:
    """The former process's term is not led on by a write that does not stand (S3, S9 b)."""
    world = leading("A")
    world["A"].kill()
    world.api.admit = rounds(3)
    a = world["A"].start()
    world.run(60)
    assert not a.leads


def test_a_shortened_placeholder_is_named() -> None:
    """docs/rules.md#outside-the-guarantees names what follows: nobody who sees it can know what was asked for."""
    world = World("A")
    world.api.delete()
    world.api.admit = sets(leaseDurationSeconds=3)
    world.run(1)
    assert world["A"].election.altered == ("spec.leaseDurationSeconds",)


def test_a_holder_that_sees_its_duration_shortened_takes_the_smaller_one_and_renews_with_its_own() -> None:
    """An administrator sets 6 s under a holder with 15/10/2: from the send of its last write, 4 s (S3)."""
    world = leading("AB")
    a = world["A"]
    world.pass_(1)
    world.api.edit(leaseDurationSeconds=6)
    a.watch()
    assert left(a) == pytest.approx(3, abs=0.01)
    assert due(a) == (Kind.RENEW, 0)
    a.go(Kind.RENEW)
    assert world.api.record.duration_seconds == 15
    assert left(a) == pytest.approx(10, abs=0.01)


def test_a_duration_of_a_second_under_a_holder_ends_its_answer_at_once() -> None:
    """Its deadline by that duration is behind (S3)."""
    world = leading("AB")
    a = world["A"]
    world.pass_(1)
    world.api.edit(leaseDurationSeconds=1)
    a.watch()
    assert not a.leads


def test_who_shortens_the_duration_again_and_again_makes_no_storm() -> None:
    """The renewal that answers comes out of the budget (L2); those that are due anyway do not."""
    world = leading("A")
    a = world["A"]
    begun = world.now_ns
    for _ in range(400):
        world.api.edit(leaseDurationSeconds=9)
        world.run(0.025)
    sent = [kind for at_ns, kind in a.sent if at_ns >= begun]
    assert len(sent) <= 5 + 10 / 2 + 10 / 2 + 1
    assert a.leads


def test_a_larger_duration_by_hand_makes_no_promise_longer() -> None:
    world = leading("AB")
    a = world["A"]
    before = left(a)
    world.api.edit(leaseDurationSeconds=60)
    a.watch()
    assert left(a) == pytest.approx(before, abs=0.01)


def test_a_lost_answer_of_an_altered_write_extends_nothing() -> None:
    """A read shows no own write: the deadline passes (S3)."""
    world = leading("AB")
    a = world["A"]
    world.pass_(2)
    world.api.admit = rounds(0)
    flight = a.tick().send(Kind.RENEW)
    flight.commit()
    before = a.election.held
    flight.lose()
    a.watch()
    assert a.election.held == before
    world.run(12)
    assert not a.leads


def test_a_client_whose_pod_name_no_pod_has_is_not_taken_for_altered() -> None:
    """What no Lease can hold is nobody's alteration: a write is compared with what it reads back as."""
    world = World("A", each=lambda _: {"pod": replace(POD, name="Not_A_Pod")})
    world.run(5)
    assert world.leaders == "A"
    assert world["A"].election.altered == ()


def test_two_retry_periods_or_no_renewal() -> None:
    """At 15/10/2, 6 s stand for 4 s, two retry periods; 5 s do not (S3)."""
    for seconds, leads in ((6, True), (5, False)):
        world = World("A")
        world.api.admit = sets(leaseDurationSeconds=seconds)
        world.run(20)
        assert world["A"].leads is leads, seconds


def test_where_two_retry_periods_never_fit_only_a_smaller_duration_is_none() -> None:
    """4/2/1.5 is allowed: its own duration is a renewal (S3)."""
    world = World("A", each=lambda _: {"lease_duration_seconds": 4, "renew_deadline_seconds": 2.0, "retry_period_seconds": 1.5})
    world.run(5)
    assert world["A"].leads
    assert ns(2) >= ns(left(world["A"]))
