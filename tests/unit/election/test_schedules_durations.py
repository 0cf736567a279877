"""Schedules that break weaker rules, by their letters: how long a follower waits, and what the numbers may be (S6, S10)."""

import pytest

from sidecar.election.record import MAX_TRANSITIONS
from tests.support.situations import cut, led_by_a
from tests.support.world import World


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


def test_w_transitions_at_their_end_stay_there() -> None:
    """2147483647: an acquisition writes no more, which the API server would refuse (S10)."""
    world = World("A", lease={"spec": {"leaseTransitions": MAX_TRANSITIONS}})
    world.run(2)
    assert world.leaders == "A"
    assert world.api.record.transitions == MAX_TRANSITIONS
