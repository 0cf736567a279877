"""S7: an empty Lease beside a client-go program, whose release may be stale (client-go leaderelection.go, `release`)."""

import pytest

from sidecar.election.record import JSON, TERM_ANNOTATION
from sidecar.election.requests import Kind
from sidecar.election.turns import SPREAD_SECONDS
from tests.support.situations import due
from tests.support.world import World

EARLY, LATE = "2026-11-23T08:00:00.000000Z", "2026-11-23T08:00:20.000000Z"
RELEASE: JSON = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": LATE}
"""What the program's release leaves."""


def go_leads(names: str = "AC", seconds: int = 15, *, opaque: bool = False) -> World:
    """A client-go program holds the Lease, and everyone has seen that."""
    world = World(names)
    world.api.opaque = opaque
    world.api.edit(holderIdentity="go-1", leaseDurationSeconds=seconds, acquireTime=EARLY, renewTime=EARLY, leaseTransitions=0)
    return world.run(0.5)


def a_takes_over(world: World) -> None:
    """The program stands still and C is cut off: A waits it out and leads, and its application goes by the deadline."""
    world["C"].online = world["C"].watching = False
    world.run(80, until=lambda: world.leaders == "A")
    world["A"].ask().online = world["A"].watching = False
    world.pass_(0.5)


@pytest.mark.parametrize("opaque", [False, True], ids=["integers", "versions of no order"])
@pytest.mark.parametrize("seconds", [15, 5, 60], ids=lambda seconds: f"it promised {seconds} s")
def test_a_stale_release_by_a_client_go_program_frees_nothing_under_a_sidecar(seconds: int, opaque: bool) -> None:  # noqa: FBT001
    """The annotation names a holder that came later and has not released: C waits a lease duration from that sight."""
    world = go_leads(seconds=seconds, opaque=opaque)
    a_takes_over(world)
    world.api.edit(**RELEASE)
    world["C"].online = world["C"].watching = True
    world.run(10)  # the world looks for two at every step
    assert world.leaders in ("A", "")
    world.run(60)
    assert world.leaders == "C"


@pytest.mark.parametrize("seconds", [5, 15, 60], ids=lambda seconds: f"it promised {seconds} s")
@pytest.mark.parametrize("emptied", [{}, {"holderIdentity": ""}], ids=["wiped", "emptied by hand"])
def test_a_wipe_in_its_place_frees_nothing_either(seconds: int, emptied: JSON) -> None:
    """It is waited out for the largest of one's own duration, the last one seen and the one that stands there."""
    world = go_leads(seconds=seconds)
    a_takes_over(world)
    world.api.edit(**emptied) if emptied else world.api.wipe()
    c = world["C"]
    c.online = c.watching = True
    world.run(max(15, seconds) - 1)
    assert not c.leads
    world.run(3)
    assert c.leads


@pytest.mark.parametrize(
    ("left", "annotations"),
    [
        ({"holderIdentity": ""}, {}),
        ({"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": None}, {}),
        ({"holderIdentity": "", "leaseDurationSeconds": 15, "renewTime": LATE}, {}),
        ({"holderIdentity": None, "leaseDurationSeconds": None, "renewTime": None}, {}),
        (RELEASE, {TERM_ANNOTATION: '{"holder":"A_uid","token":900000}'}),
        (RELEASE, {TERM_ANNOTATION: '{"holder":"A_uid"}'}),
    ],
)
def test_whatever_else_empties_it_under_a_client_go_program_is_waited_out(left: JSON, annotations: JSON) -> None:
    """By hand, by a tool, or where the annotation tells of a later holder: only what client-go's own release leaves is one."""
    world = go_leads("C")
    world.api.edit(**left, annotations=annotations)
    world["C"].watch()
    assert due(world["C"]) == (Kind.ACQUIRE, pytest.approx(15 + SPREAD_SECONDS, abs=0.01))


@pytest.mark.parametrize(
    "annotation",
    [None, '{"holder":"A_uid","token":7}', '{"holder":"A_uid","token":900000,"released":true}', '{"holder":"","token":900000}', "junk"],
    ids=["none", "of an earlier term", "released", "of nobody", "junk"],
)
def test_a_release_by_a_client_go_program_is_free_at_once(annotation: str | None) -> None:
    """No holder came later: its annotation is none, of an earlier term, or says that its holder released it."""
    world = go_leads("C")
    world.api.edit(annotations={TERM_ANNOTATION: annotation})
    world["C"].watch()
    world.api.edit(**RELEASE)
    world["C"].watch()
    assert due(world["C"]) == (Kind.ACQUIRE, pytest.approx(SPREAD_SECONDS, abs=0.01))


def test_a_sidecar_that_led_before_the_program_does_not_hold_its_release_up() -> None:
    """A led and released, go-1 took the Lease and releases: the annotation is A's, of an earlier term."""
    world = World("AC")
    world.run(1)
    leader = world[world.leaders]
    leader.kill()
    other = next(actor for actor in world.actors if actor is not leader)
    other.online = False
    world.pass_(16)
    world.api.edit(holderIdentity="go-1", leaseDurationSeconds=15, renewTime=EARLY, leaseTransitions=3)
    other.watch()
    world.api.edit(**RELEASE)
    other.watch()
    assert due(other) == (Kind.ACQUIRE, pytest.approx(SPREAD_SECONDS, abs=0.01))


@pytest.mark.parametrize("opaque", [False, True], ids=["integers", "versions of no order"])
def test_a_release_mark_from_before_a_client_go_program_frees_nothing_under_it(opaque: bool) -> None:  # noqa: FBT001
    """A sidecar has released, go-1 took the Lease and left the annotation, and somebody empties it by hand (seed 598261184)."""
    world = World("C")
    world.api.opaque = opaque
    world.api.edit(annotations={TERM_ANNOTATION: '{"holder":"A_uid","token":90,"released":true}'})
    world.run(0.01)
    c = world["C"].start()
    world.api.edit(holderIdentity="go-1", leaseDurationSeconds=15, renewTime=EARLY, leaseTransitions=3)
    c.go(Kind.READ)
    world.api.edit(holderIdentity="")
    c.doubt().go(Kind.READ)
    assert due(c) == (Kind.ACQUIRE, pytest.approx(15 + SPREAD_SECONDS, abs=0.01))


@pytest.mark.parametrize(
    ("left", "seconds"),
    [
        ({"leaseDurationSeconds": 60, "acquireTime": EARLY, "renewTime": EARLY}, 60),
        ({"leaseDurationSeconds": 5, "renewTime": EARLY}, 15),
        ({"leaseDurationSeconds": None, "acquireTime": EARLY}, 15),
        ({"leaseDurationSeconds": 60, "leaseTransitions": 3}, 0),
        ({"leaseDurationSeconds": 60}, 0),
        (RELEASE, 0),
    ],
    ids=["all", "a renewTime", "an acquireTime", "transitions alone", "as the manifests ship it", "released"],
)
def test_a_time_in_an_empty_lease_tells_a_new_process_of_a_holder(left: JSON, seconds: int) -> None:
    """Somebody has emptied it under a client-go program before the process started: it waits a lease duration (seed 233406608005)."""
    world = World("C")
    world.api.edit(**{"holderIdentity": "", **left})
    world.run(0.01)
    c = world["C"].start()
    c.go(Kind.READ)
    assert due(c) == (Kind.ACQUIRE, pytest.approx(seconds + SPREAD_SECONDS if seconds else 0, abs=0.3))
