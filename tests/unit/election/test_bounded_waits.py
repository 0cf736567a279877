"""No wait is longer than it must be: Retry-After (L2), a touched label beside a resignation, and what is remembered."""

import pytest

from sidecar.election.events import Health, StepDown
from sidecar.election.machine import MOST_UNRESOLVED
from sidecar.election.requests import Kind
from sidecar.election.store import Busy, Unknown
from sidecar.election.turns import SPREAD_SECONDS
from tests.support.situations import due, expired, leading
from tests.support.world import World


@pytest.mark.parametrize("asked", [1, 60, 600, 3600])
def test_one_retry_after_keeps_nobody_from_a_free_lease_for_longer_than_a_lease_duration(asked: int) -> None:
    """A follower's read is turned away, its watch is well, and the leader dies."""
    world = World("AB")
    world.run(1)
    leader = world[world.leaders]
    follower = next(actor for actor in world.actors if actor is not leader)
    follower.doubt().send(Kind.READ).refuse(Busy(asked))
    world.run(1)
    leader.kill()
    world.run(16, until=lambda: world.leaders != "")
    assert world.leaders == follower.name


@pytest.mark.parametrize(("stands", "waited"), [(60, 15), (3, 3), (None, 15)])
def test_the_smaller_of_ones_own_and_the_records_duration_bounds_the_wait(stands: int | None, waited: int) -> None:
    world = World("A", lease={"spec": {"holderIdentity": "x", "leaseDurationSeconds": stands}})
    a = world["A"].watch()
    a.doubt().send(Kind.READ).refuse(Busy(3600))
    assert due(a) == (Kind.READ, waited)


def test_a_new_version_that_is_seen_free_ends_the_wait_once() -> None:
    """A graceful release is taken at once, though a 429 asked for an hour; the next 429 is honoured again."""
    world = leading("AB")
    a, b = world["A"], world["B"]
    b.doubt().send(Kind.READ).refuse(Busy(3600))
    world.pass_(3)  # past the retry period that follows any failure
    a.tick().go(Kind.RENEW)
    a.step_down(app_ended=True).go(Kind.RELEASE)
    b.watch()
    assert (due(b) or (None, 99))[1] <= SPREAD_SECONDS
    world.pass_(SPREAD_SECONDS)
    b.send().refuse(Busy(3600))
    assert (due(b) or (None, 0))[1] == 15


def test_a_touch_of_a_lease_that_is_not_free_ends_no_wait() -> None:
    world = leading("AB")
    b = world["B"]
    b.doubt().send(Kind.READ).refuse(Busy(3600))
    world.api.touch()
    b.watch()
    assert due(b) == (Kind.READ, 15.0)


def test_a_label_that_is_touched_again_and_again_keeps_nobody_resigned() -> None:
    """Everyone has resigned for a day; the Lease stands free from the first sight of that renewal, not of that version."""
    world = World("AB")
    world.run(1)
    for _ in range(2):
        world[world.leaders].absorb(StepDown("asked to resign", 0, out_seconds=24 * 3600.0))
        world.run(0.5)
    assert world.leaders == ""
    for _ in range(4):
        world.run(5)
        world.api.touch()
    assert world.leaders != ""


def test_a_former_holder_takes_an_emptied_lease_anew_whoever_touches_it() -> None:
    """It says false and may take it anew at once (S7): the sight of that emptiness counts, not of the touches since."""
    world = leading("A")
    a = world["A"]
    world.api.edit(holderIdentity="")
    a.watch()
    world.pass_(11)
    world.api.touch()
    a.watch()
    assert due(a) == (Kind.ACQUIRE, pytest.approx(0, abs=SPREAD_SECONDS))


def test_the_newest_writes_of_unknown_outcome_are_remembered_and_no_more() -> None:
    """Each write ends in 5xx while reads are well: for hours, and with no more in memory (the newest may still land)."""
    world = World("A")
    a = world["A"].watch()
    a.go(Kind.READ)
    sent = []
    for _ in range(3 * MOST_UNRESOLVED):
        world.pass_(2.1)
        sent.append(a.tick().send(Kind.ACQUIRE).refuse(Unknown("HTTP 500")).request)
    assert list(a.election.unresolved) == sent[-MOST_UNRESOLVED:]
    sent_last = sent[-1]
    world.api.perform(sent_last)
    a.watch()
    assert world.leaders == "A"


def test_a_forgotten_write_that_lands_after_all_is_waited_out() -> None:
    """Like a stranger's (S9 c): never two, and somebody leads again."""
    world = World("AB")
    a, b = world["A"], world["B"]
    a.watch().go(Kind.READ)
    b.online = b.watching = False
    first = None
    for _ in range(MOST_UNRESOLVED + 1):
        world.pass_(2.1)
        flight = a.tick().send(Kind.ACQUIRE).refuse(Unknown("HTTP 500"))
        first = first or flight.request
    assert first is not None
    world.api.perform(first)
    a.watch()
    assert not world.leaders
    b.online = b.watching = True
    world.run(20, until=lambda: world.leaders != "")
    assert len(world.leaders) == 1


def test_a_label_that_is_touched_again_and_again_holds_up_no_former_holder_whose_application_is_not_healthy() -> None:
    """Nobody else takes its Lease: two lease durations after it could have contended it does, whoever touches the Lease meanwhile."""
    world = expired(leading("A"))
    a = world["A"]
    a.absorb(Health(ok=False))
    for _ in range(2 * 15):
        world.pass_(1)
        world.api.touch()
        a.watch()
    assert due(a) == (Kind.ACQUIRE, pytest.approx(0, abs=SPREAD_SECONDS))
