"""Random schedules of two or three candidates: S1, S5, S7, S8 and S11 after every step, L1 and L3 when faults stop."""

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.share import first
from tests.support.walk import STEPS, Step, heal, perform, shrink, steps
from tests.support.world import ViolationError, World

SHARE, SEEDS = 8, int(os.environ.get("WALK_SEEDS", "40"))
"""How many schedules of each world, in `make test` and in `make test-long`; a night's run sets more."""

MIXED = {"lease_duration_seconds": 20, "renew_deadline_seconds": 12.0, "retry_period_seconds": 3.0, "drain_timeout_seconds": 12.0}
WORLDS = {
    "three": lambda: World("ABC"),
    "two": lambda: World("AB"),
    "drifting clocks": lambda: World("ABC", each=lambda name: {"rate": {"A": 1.0, "B": 1.2, "C": 0.85}[name]}),
    "duplicates": lambda: World("ABC", each=lambda name: {"identity": "web_uid"} if name in "AB" else {}),
    "other times": lambda: World("ABC", each=lambda _: MIXED),
}


def fault(world: str, schedule: list[Step]) -> str:
    """What rule the schedule breaks, or ""."""
    try:
        heal(perform(WORLDS[world](), schedule))
    except ViolationError as violation:
        return str(violation)
    return ""


@pytest.mark.parametrize("seeds", first([SHARE, SEEDS]))
@pytest.mark.parametrize("world", WORLDS)
def test_no_random_schedule_breaks_a_rule(world: str, seeds: int) -> None:
    """What fails is shrunk to a schedule of which no step can be left out, and printed to be replayed."""
    for seed in range(seeds):
        schedule = steps(seed, 120, 3)
        if fault(world, schedule):
            smallest = shrink(schedule, lambda fewer: bool(fault(world, list(fewer))))
            pytest.fail(f"{world}, seed {seed}: {fault(world, smallest)}\n" + "\n".join(map(repr, smallest)))


def thought_of(examples: int) -> Callable[[Callable[[list[Step]], None]], Callable[[], None]]:
    """So many schedules by Hypothesis."""
    some = settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    schedules = st.lists(st.tuples(st.sampled_from(list(STEPS)), st.integers(0, 2), st.integers(0, 999)), max_size=60)
    return lambda test: some(given(schedules)(test))


@thought_of(15)
def test_no_schedule_that_hypothesis_thinks_of_breaks_a_rule(schedule: list[Step]) -> None:
    heal(perform(World("ABC"), schedule))


@pytest.mark.long
@thought_of(60)
def test_none_of_more_schedules_that_hypothesis_thinks_of_breaks_a_rule(schedule: list[Step]) -> None:
    heal(perform(World("ABC"), schedule))


def test_beyond_the_bound_of_s1_two_lead() -> None:
    """The test of the test: clocks whose rates differ by more than lease duration / renew deadline give two leaders (S1)."""
    world = World("AB", each=lambda name: {"rate": {"A": 0.5, "B": 1.1}[name]})
    world["B"].alive = False
    world.run(3)
    world["B"].alive = True
    world.run(3)
    assert world.leaders == "A"
    world["A"].online = False
    with pytest.raises(ViolationError, match="S1"):
        world.run(30)


def test_a_schedule_replays_exactly() -> None:
    schedule = steps(7, 80, 3)
    first, second = perform(World("ABC"), schedule), perform(World("ABC"), schedule)
    assert first.terms == second.terms
    assert first.api.past == second.api.past
