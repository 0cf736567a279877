"""L2: at most five requests in any second, and one a retry period on average, whatever is asked for and when."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from sidecar.clock import NS_PER_SECOND, SystemClock, ns
from sidecar.election.requests import Kind
from sidecar.runtime.rate_limiter import BURST, KEPT_REQUESTS, RateLimiter
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.support.world import World

PERIODS = st.sampled_from([0.1, 0.5, 2.0, 60.0])
HASTES = st.lists(st.sampled_from([0, 1, NS_PER_SECOND // 100, NS_PER_SECOND, 30 * NS_PER_SECOND]) | st.integers(0, 10**10), max_size=80)


def granted(period_seconds: float, waits_ns: list[int]) -> list[int]:
    """When each request went, for a caller that waits so long after each and then goes as soon as it may."""
    limiter, now_ns, went = RateLimiter(period_seconds, SystemClock()), 5 * NS_PER_SECOND, []
    for wait_ns in waits_ns:
        now_ns = max(now_ns + wait_ns, limiter.opens_ns())
        limiter.spend(now_ns)
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
    limiter = RateLimiter(2.0, SystemClock())
    at_ns = ns(100)
    for _ in range(BURST):
        assert limiter.opens_ns() <= at_ns
        limiter.spend(at_ns)
    assert limiter.opens_ns() == at_ns + ns(2)
    limiter.spend(at_ns + ns(2))
    assert limiter.opens_ns() == at_ns + ns(4)


def test_where_the_retry_period_is_short_the_second_is_the_limit() -> None:
    assert granted(0.1, [0] * 6)[-1] == 6 * NS_PER_SECOND


def acquired(*requests: int, spent: int = 0, wanted: bool = True) -> tuple[list[float], int]:
    """When each came back that acquired so many at once, after `spent` had gone; and when a whole burst may go again. In seconds."""

    async def main() -> tuple[list[float], int]:
        clock, loop = VirtualClock(), asyncio.get_running_loop()
        await asyncio.sleep(100)
        limiter, begun, came = RateLimiter(2.0, clock), clock.boottime_ns(), []
        for _ in range(spent):
            limiter.spend(begun)
        for number in requests:
            assert await limiter.acquire(number, wanted=lambda: wanted) is wanted
            came.append(round(loop.time() - 100, 3))
        return came, round((limiter.opens_ns(BURST) - begun) / NS_PER_SECOND)

    return run_virtually(main())


def test_who_acquires_leaves_the_election_two_of_each_burst() -> None:
    came, _ = acquired(1, 1, 1, 1)
    assert came == [0, 0, 0, 2]
    assert acquired(1, spent=BURST - KEPT_REQUESTS)[0] == [2]


def test_several_at_once_wait_until_all_of_them_may_go() -> None:
    assert acquired(2, spent=2)[0] == [2]
    assert acquired(2)[1] == 4, "and all of them are counted"


def test_what_is_wanted_no_more_after_the_waiting_is_not_counted() -> None:
    came, full = acquired(1, spent=3, wanted=False)
    assert came == [2], "it is asked after the waiting"
    assert full == 3 * 2, "as before"
    assert acquired(1, spent=3)[1] == 4 * 2


def test_v_a_watch_that_is_closed_at_once_starves_no_renewal() -> None:
    """Schedule v: each new watch and its read come out of the budget, as soon as it opens; the holder's renewals never do (L2)."""
    world = World("AB")
    world.run(1)
    leader = world[world.leaders]
    leader.sent.clear()
    for _ in range(1000):
        if leader.rate_limiter.opens_ns() <= leader.now_ns:
            leader.rate_limiter.spend(leader.now_ns)
            leader.doubt()
        world.run(0.05)
    assert leader.leads
    assert len(world.terms) == 1
    assert 24 <= [kind for _, kind in leader.sent].count(Kind.RENEW) <= 26
