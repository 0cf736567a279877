"""Schedules that break weaker rules, by their letters: a Lease that is empty, missing or held by the placeholder (S7)."""

import pytest

from sidecar.election.record import PLACEHOLDER
from sidecar.election.requests import Kind
from tests.support.situations import cut, led_by_a


def test_a_a_lease_deleted_and_created_again_empty_is_not_free() -> None:
    """The Lease is deleted and made anew, empty, under a holder that is cut off: the last promise is waited out first (S7)."""
    world = led_by_a("ABC")
    cut(world["A"])
    world.run(1).api.delete()
    world.pass_(1).api.wipe()
    world.run(12)
    assert world.leaders == ""
    world.run(6, until=lambda: bool(world.leaders))
    assert world.leaders in ("B", "C")


@pytest.mark.parametrize("how", ["wiped", "client-go"])
def test_b_a_lease_emptied_without_a_release_is_not_free(how: str) -> None:
    """`helm upgrade --force` wipes holder and annotations, a late client-go release wipes the holder: no release, not free (S7)."""
    world = led_by_a("ABC")
    cut(world["A"])
    world.run(1)
    if how == "wiped":
        world.api.wipe()
    else:
        world.api.edit(holderIdentity="", leaseDurationSeconds=1, renewTime="2026-11-23T08:00:00.000000Z")
    world.run(14)
    assert world.leaders == ""
    world.run(4)
    assert len(world.leaders) == 1


def test_e_a_late_create_names_nobody() -> None:
    """A's create is delayed until B has led and the Lease is deleted again: it creates the placeholder with the largest token (S5, S7)."""
    world = led_by_a()
    a, b = world["A"], world["B"]
    world.api.delete()
    a.doubt().go(Kind.READ)
    late = a.send(Kind.PLACEHOLDER)
    cut(a)
    world.run(30, until=lambda: world.leaders == "B")
    token = b.token
    cut(b).ask()
    world.run(1).api.delete()
    late.commit()
    assert world.api.record.holder == PLACEHOLDER
    a.online = True
    world.run(30)
    assert world.leaders == "A"
    assert a.token is not None
    assert token is not None
    assert a.token > token


def test_k_the_placeholder_carries_the_longest_duration_seen() -> None:
    """60/40 is rolled to 15/10 and the Lease deleted under the old holder, which is cut off: the placeholder has 60 s (S7)."""
    old = {"lease_duration_seconds": 60, "renew_deadline_seconds": 40.0, "drain_timeout_seconds": 40.0}
    world = led_by_a("ABC", A=old)
    cut(world["A"])
    world["C"].kill()
    world.run(1).api.delete()
    world.run(2)
    assert world.api.record.holder == PLACEHOLDER
    assert world.api.record.duration_seconds == 60
    world["C"].start()
    world.run(50)
    assert world.leaders == ""
    world.run(15)
    assert len(world.leaders) == 1


def test_k_a_placeholder_shortens_no_promise_that_was_seen() -> None:
    """As above, but the placeholder's creator never saw the old holder: a candidate that did still waits for what it has seen (S6, S7)."""
    old = {"lease_duration_seconds": 60, "renew_deadline_seconds": 40.0, "drain_timeout_seconds": 40.0}
    world = led_by_a("ABC", A=old)
    cut(world["A"])
    c = world["C"]
    c.kill()
    world.pass_(1).api.delete()
    c.start()
    c.go(Kind.READ)
    world.pass_(0.1)
    c.go(Kind.PLACEHOLDER)
    c.kill()
    world.run(38)
    assert world.leaders == "A"
    world.run(30)
    assert world.leaders == "B"


def test_sound_a_placeholder_after_each_of_several_deletions() -> None:
    """After each deletion under a holder that is cut off a placeholder holds the Lease, and never for less than the holder's deadline."""
    world = led_by_a("ABC")
    cut(world["A"])
    for _ in range(4):
        world.run(2).api.delete()
    world.run(17)
    assert len(world.leaders) == 1
    assert world.leaders != "A"


def test_sound_the_holder_claims_a_placeholder_back_in_the_same_term() -> None:
    """Deleted under a holder that is there: back in its name at once, same token (S7)."""
    world = led_by_a()
    token = world["A"].token
    world.api.delete()
    world.run(0.1)
    assert world.api.record.holder == "A_uid"
    assert world["A"].token == token
    assert world.leaders == "A"
