"""A sidecar whose app is not healthy does not contend and does not lead; and where nobody's is, somebody leads, and stays (L1, L3)."""

import pytest

from sidecar.clock import ns
from sidecar.election.events import UNHEALTHY_DURATIONS, Health
from sidecar.election.machine import Election
from sidecar.election.requests import Kind
from sidecar.election.view import State
from sidecar.features.app_health import Verdict
from tests.support.situations import due, led_by_a
from tests.support.world import Actor, World

PATIENCE = UNHEALTHY_DURATIONS * 15.0


def feel(actor: Actor, *, ok: bool) -> Actor:
    """Its probes have a verdict."""
    actor.absorb(Health(ok, actor.process_given_ns))
    return actor


def unwell(names: str = "AB") -> World:
    """Nobody's app is healthy, and nobody has looked at the Lease."""
    world = World(names)
    for actor in world.actors:
        feel(actor, ok=False)
    return world


def test_without_the_feature_every_app_counts_as_healthy() -> None:
    """The election is as it is without it: nobody waits."""
    world = World("A")
    assert world["A"].election == Election(world["A"].me, healthy=True)
    world.run(1)
    assert world.leaders == "A"


def test_who_is_not_healthy_leaves_a_free_lease_to_who_is() -> None:
    world = unwell()
    feel(world["B"], ok=True)
    world.run(1)
    assert world.leaders == "B"
    world.run(120)
    assert [holder for holder, _ in world.terms] == ["B_uid"]


def test_who_is_not_healthy_contends_where_the_lease_stands_free_for_two_durations() -> None:
    """Better led than not."""
    world = unwell("A")
    world.run(PATIENCE - 0.5)
    assert world.leaders == ""
    world.run(1)
    assert world.leaders == "A"


def test_after_a_dead_leader_the_unhealthy_wait_on_top_of_its_promise() -> None:
    """Free is when it has run out."""
    world = led_by_a("AB")
    feel(world["B"], ok=False)
    world["A"].kill()
    world["A"].given_ns = 0
    _, after = due(world["B"]) or (None, 0.0)
    assert 15 + PATIENCE - 1 < after < 15 + PATIENCE + 1


def test_a_verdict_counts_at_once() -> None:
    """An app that gets healthy while the Lease stands free: contended for at once."""
    world = unwell("A")
    world.run(10)
    feel(world["A"], ok=True)
    assert due(world["A"]) == (Kind.ACQUIRE, 0.0)
    world.run(0.5)
    assert world.leaders == "A"


def test_a_leader_whose_app_gets_unhealthy_steps_down_in_two_phases() -> None:
    """S11: said false at once, released when no given deadline lies ahead; then another leads, and it follows without contending."""
    world = led_by_a("AB")
    a = feel(world["A"], ok=False)
    assert a.state is State.STEPPING_DOWN
    assert a.election.release_ns >= a.given_ns > a.now_ns
    world.run(12)
    assert world.leaders == "B"
    assert a.election.state is State.FOLLOWING
    world.run(60)
    assert world.leaders == "B"


def test_it_campaigns_again_when_its_app_is_healthy_again() -> None:
    """No time out is left over."""
    world = led_by_a("AB")
    world["B"].alive = False
    a = feel(world["A"], ok=False)
    world.run(12)
    assert (world.leaders, a.state) == ("", State.FOLLOWING)
    feel(a, ok=True)
    world.run(0.5)
    assert world.leaders == "A"


def test_healthy_again_in_the_middle_of_stepping_down_it_is_released_and_contended_for_anew() -> None:
    """What was said false stays false in that term."""
    world = led_by_a("A")
    a = feel(world["A"], ok=False)
    feel(a, ok=True)
    assert a.state is State.STEPPING_DOWN
    world.run(12)
    assert world.leaders == "A"
    assert len(world.terms) == 2


def test_where_nobody_is_healthy_one_takes_it_and_keeps_it() -> None:
    """L3: told again and again that its app is not healthy, it does not step down; ten minutes, one term."""
    world = unwell("ABC")
    for _ in range(600 // 5):
        world.run(5)
        for actor in world.actors:
            feel(actor, ok=False)
    assert len(world.leaders) == 1
    assert len(world.terms) == 1


def test_who_took_it_unhealthy_steps_down_once_its_app_has_been_healthy_and_is_not_again() -> None:
    world = unwell("A")
    world.run(PATIENCE + 1)
    a = feel(world["A"], ok=True)
    assert a.state is State.LEADING
    feel(a, ok=False)
    assert a.election.state is State.STEPPING_DOWN


def test_a_term_that_began_while_the_verdict_changed_ends_with_the_next_probe() -> None:
    """The acquisition was sent for a healthy app, and lands for one that is not: that excuses nothing."""
    world = World("A")
    a = world["A"].go(Kind.READ)
    world.pass_(0.1)
    flight = a.tick().send(Kind.ACQUIRE)
    feel(a, ok=False)
    flight.commit().answer()
    assert a.state is State.LEADING
    feel(a, ok=False)
    assert a.election.state is State.STEPPING_DOWN


def test_when_all_fall_ill_in_turn_each_leads_at_most_once_and_then_one_stays() -> None:
    """A dependency that they share is down: bounded, not a carousel."""
    world = led_by_a("ABC")
    for _ in range(40):
        for actor in world.actors:
            feel(actor, ok=False)
        world.run(5)
    assert len(world.leaders) == 1
    assert len(world.terms) <= 1 + len(world.actors)
    kept = world.leaders
    for _ in range(40):
        world.run(5)
        feel(world[kept], ok=False)
    assert world.leaders == kept


def test_a_restarted_sidecar_resumes_its_term_before_the_first_verdict() -> None:
    """Not known yet is no reason to end a term; three failed probes are."""
    world = led_by_a("AB")
    a = world["A"]
    a.kill()
    a.start()
    a.election = Election(a.me, healthy=False)
    a.go(Kind.READ).go(Kind.RESUME)
    assert a.state is State.LEADING
    feel(a, ok=False)
    assert a.election.state is State.STEPPING_DOWN


def test_an_unhealthy_app_ends_no_resignation_and_no_conflict() -> None:
    """Who is out stays out for as long as was said."""
    world = led_by_a("AB")
    a = world["A"].step_down(app_ended=True)
    a.go(Kind.RELEASE)
    back_ns = a.election.back_ns
    feel(a, ok=False)
    assert a.state is State.RESIGNED
    assert a.election.back_ns == back_ns
    assert back_ns is not None
    assert back_ns > a.now_ns + ns(20)


@pytest.mark.parametrize(
    ("probes", "healthy"),
    [
        ("", None),
        ("+", True),
        ("-", None),
        ("--", None),
        ("---", False),
        ("--+", True),
        ("+--", True),
        ("+---", False),
        ("+--+--", True),
        ("---+", True),
    ],
)
def test_so_many_probes_in_a_row_turn_the_verdict(probes: str, healthy: bool | None) -> None:  # noqa: FBT001 - a table
    """Three failures and one success, by default; not known before."""
    verdict = Verdict(failures=3, successes=1)
    for probe in probes:
        verdict = verdict.after(ok=probe == "+")
    assert verdict.healthy is healthy


@pytest.mark.parametrize(("probes", "healthy"), [("+", None), ("++", True), ("+-+", False), ("-+", False), ("-+-+", False), ("-++", True)])
def test_successes_are_counted_as_failures_are(probes: str, healthy: bool | None) -> None:  # noqa: FBT001 - a table
    verdict = Verdict(failures=1, successes=2)
    for probe in probes:
        verdict = verdict.after(ok=probe == "+")
    assert verdict.healthy is healthy
