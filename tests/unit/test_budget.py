"""L2: at most five requests in any second, and one a retry period on average, whatever is asked for and when."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.budget import BURST, Budget
from sidecar.clock import NS_PER_SECOND, ns
from sidecar.writes import Kind
from tests.unit.world import World

PERIODS = st.sampled_from([0.1, 0.5, 2.0, 60.0])
HASTES = st.lists(st.sampled_from([0, 1, NS_PER_SECOND // 100, NS_PER_SECOND, 30 * NS_PER_SECOND]) | st.integers(0, 10**10), max_size=80)


def granted(period_seconds: float, waits_ns: list[int]) -> list[int]:
    """When each request went, for a caller that waits so long after each and then goes as soon as it may."""
    budget, now_ns, went = Budget(period_seconds), 5 * NS_PER_SECOND, []
    for wait_ns in waits_ns:
        now_ns = max(now_ns + wait_ns, budget.opens_ns())
        budget.spend(now_ns)
        went.append(now_ns)
    return went


@given(PERIODS, HASTES)
def test_never_more_than_five_in_any_second(period_seconds: float, waits_ns: list[int]) -> None:
    went = granted(period_seconds, waits_ns)
    assert all(later - earlier >= NS_PER_SECOND for earlier, later in zip(went, went[BURST:], strict=False))


@given(PERIODS, HASTES)
def test_one_a_retry_period_on_average_beyond_one_burst(period_seconds: float, waits_ns: list[int]) -> None:
    went = granted(period_seconds, waits_ns)
    for first in range(len(went)):
        for last in range(first, len(went)):
            assert last - first + 1 <= BURST + (went[last] - went[first]) / ns(period_seconds)


def test_a_burst_is_free_after_a_rest_and_then_each_waits_its_period() -> None:
    budget = Budget(2.0)
    at_ns = ns(100)
    for _ in range(BURST):
        assert budget.opens_ns() <= at_ns
        budget.spend(at_ns)
    assert budget.opens_ns() == at_ns + ns(2)
    budget.spend(at_ns + ns(2))
    assert budget.opens_ns() == at_ns + ns(4)


def test_where_the_retry_period_is_short_the_second_is_the_limit() -> None:
    assert granted(0.1, [0] * 6)[-1] == 6 * NS_PER_SECOND


def test_v_a_watch_that_is_closed_at_once_starves_no_renewal() -> None:
    """Schedule v: each new watch and its read come out of the budget, as soon as it opens; the holder's renewals never do (L2)."""
    world = World("AB")
    world.run(1)
    leader = world[world.leaders]
    leader.sent.clear()
    for _ in range(1000):
        if leader.budget.opens_ns() <= leader.now_ns:
            leader.budget.spend(leader.now_ns)
            leader.doubt()
        world.run(0.05)
    assert leader.leads
    assert len(world.terms) == 1
    assert 24 <= [kind for _, kind in leader.sent].count(Kind.RENEW) <= 26
