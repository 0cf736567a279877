"""L1 and L2 where the watches of a follower fail, each kind in its own way, while reads and writes go well."""

import asyncio
from itertools import pairwise

import pytest

from sidecar.clock import ns
from sidecar.election import requests
from sidecar.runtime.rate_limiter import BURST, KEPT_REQUESTS
from sidecar.runtime.watcher import LONGEST_PROBATION_PERIODS
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.support.failing_watches import (
    COARSE,
    DEFAULT,
    KINDS,
    QUICK,
    SHOWS_NOTHING,
    Kind,
    Times,
    Two,
    is_answered_503,
    is_closed_at_once,
    is_denied,
    is_turned_away,
    shows_it_and_breaks,
    shows_it_and_falls_silent,
    two,
)

SETTLED_DURATIONS = 8
"""Lease durations until a watch that falls silent was met more than once."""
EACH = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
AT_DEFAULT = pytest.mark.parametrize("times", [DEFAULT, QUICK], ids=str)
AT_EACH = pytest.mark.parametrize("times", [DEFAULT, QUICK, COARSE], ids=str)


async def names_the_leader(it: Two, seconds: float, every_seconds: float) -> None:
    """The follower does, for so long, and lives by what it has heard within the promise."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        answer = it.follower.leadership.read()
        assert answer.name == "a", f"after {loop.time():.2f} s it says {answer.name!r}, by what it heard {answer.observed_ago} s ago"
        await asyncio.sleep(every_seconds)


@AT_EACH
@EACH
def test_beside_a_live_leader_it_never_says_that_nobody_leads(kind: Kind, times: Times) -> None:
    """From the first failing watch on; and all that it asks for is one request per retry period on average, five in any second (L2)."""

    async def main() -> None:
        it = await two(kind, times)
        await names_the_leader(it, SETTLED_DURATIONS * times.lease, times.retry / 10)
        asked = it.store.times()
        for first, at in enumerate(asked):
            assert len(asked) - first <= BURST + (asked[-1] - at) / times.retry + 0.01
        assert all(later - earlier >= 1 for earlier, later in zip(asked, asked[BURST:], strict=False))
        await it.end()

    run_virtually(main())


@AT_DEFAULT
@EACH
def test_a_release_is_taken_within_a_retry_period_and_a_half(kind: Kind, times: Times) -> None:
    """(L1)."""

    async def main() -> None:
        for seed in range(2):
            it = await two(kind, times, seed)
            await asyncio.sleep(SETTLED_DURATIONS * times.lease)
            await it.release()
            took = await it.taken(2 * times.lease)
            await it.end()
            assert took <= times.release_seconds

    run_virtually(main())


@AT_DEFAULT
@EACH
def test_after_a_crash_it_leads_within_the_lease_duration_a_second_and_a_poll(kind: Kind, times: Times) -> None:
    """(L1). The election has what it needs of the budget."""

    async def main() -> None:
        for seed in range(2):
            it = await two(kind, times, seed)
            await asyncio.sleep(SETTLED_DURATIONS * times.lease)
            await it.crash()
            took = await it.taken(3 * times.lease)
            await it.end()
            assert took <= times.crash_seconds

    run_virtually(main())


def asked_within(kind: Kind | None, seconds: float = 120) -> Two:
    """What a follower asks for in that time, beside a leader that lives."""
    found: list[Two] = []

    async def main() -> None:
        it = await two(kind)
        await asyncio.sleep(seconds)
        found.append(it)
        await it.end()

    run_virtually(main())
    return found[0]


@pytest.mark.parametrize("kind", SHOWS_NOTHING, ids=lambda kind: kind.__name__)
def test_one_that_shows_nothing_is_tried_again_after_three_polls_at_least(kind: Kind) -> None:
    """And polls are 1 to 1.4 retry periods apart, a read's way more."""
    it = asked_within(kind)
    reads, watches = it.store.times("read"), it.store.times("watch")
    assert all(sum(1 for read in reads if before < read < after) >= 3 for before, after in pairwise(watches))
    assert all(1.99 <= after - before <= 2.81 for before, after in pairwise(reads))


def test_one_that_is_denied_is_tried_again_after_thirty_polls() -> None:
    assert len(asked_within(is_denied, 300).store.times("watch")) in {4, 5, 6}


def test_a_retry_after_of_an_hour_delays_the_next_watch_by_a_lease_duration_at_most() -> None:
    """In two minutes it is tried some seven times."""
    watches = asked_within(is_turned_away).store.times("watch")
    assert len(watches) > 5
    assert all(after - before > 14.99 for before, after in pairwise(watches)), "and it is honoured so far"


@pytest.mark.parametrize(
    "kind", [None, is_closed_at_once, shows_it_and_breaks, shows_it_and_falls_silent], ids=lambda kind: kind.__name__ if kind else "well"
)
def test_a_watch_leaves_the_election_two_requests_of_each_burst(kind: Kind | None) -> None:
    """(L2): to take the Lease, and to read once more if that met a conflict."""

    async def main() -> None:
        it = await two(kind)
        watches: list[bool] = []

        def look(what: str) -> None:
            if what == "watch":
                watches.append(it.follower.rate_limiter.opens_ns(KEPT_REQUESTS) <= it.follower.clock.boottime_ns())

        it.store.looks = look
        it.store.kind = is_closed_at_once if kind is None else kind
        await asyncio.sleep(60)
        await it.end()
        assert len(watches) >= 3
        assert all(watches)

    run_virtually(main())


def test_where_one_that_showed_the_lease_is_followed_by_one_that_does_not_it_is_read_at_once() -> None:
    """What happened between the two would else wait for the next poll."""

    async def main() -> None:
        it = await two(None)
        await asyncio.sleep(10)
        before = len(it.store.asked)
        it.store.kind = is_answered_503
        await asyncio.sleep(2.0 + 0.5 * 2.0)
        (_, first), (at, second) = it.store.asked[before : before + 2]
        assert (first, second) == ("watch", "read")
        assert at - it.store.times("watch")[-1] < 0.01
        await it.end()

    run_virtually(main())


def test_a_holder_whose_renewals_land_reads_nothing() -> None:
    """Its watches fail; each renewal tells as much as a read would, and a read under way would hold the next one up."""

    async def main() -> None:
        for kind in (*SHOWS_NOTHING, shows_it_and_breaks, shows_it_and_falls_silent):
            it = await two(None)
            it.leads.kind = kind
            it.leads.asked.clear()
            await asyncio.sleep(60)
            assert it.leader.leadership.read().is_leader
            assert it.leads.times("watch")
            assert not it.leads.times("read")
            await it.end()

    run_virtually(main())


def test_a_poll_holds_up_no_acquisition_that_waits_for_the_budget() -> None:
    """The acquisition is conditional on what the follower knows, so it tells as much (seed 100000012: nobody led for 36 s of 25)."""

    async def main() -> None:
        it, clock = await two(is_answered_503), VirtualClock()
        await asyncio.sleep(4 * DEFAULT.lease)
        await it.crash()
        while (due := it.follower.situation().due(clock.boottime_ns())) is None or due.at_ns - clock.boottime_ns() > ns(0.02):  # noqa: ASYNC110 - until a moment, no event
            await asyncio.sleep(0.01)
        assert due.kind is requests.Kind.ACQUIRE
        while it.follower.rate_limiter.opens_ns() < clock.boottime_ns() + ns(1.5 * DEFAULT.retry):  # a poll comes before that
            it.follower.rate_limiter.spend(clock.boottime_ns())
        before = len(it.store.asked)
        assert await it.taken(3 * DEFAULT.lease) < 2.6 * DEFAULT.retry
        assert len(it.store.asked) == before, "nothing but that write was asked for"
        await it.end()

    run_virtually(main())


def test_a_watch_that_is_well_again_ends_the_polls() -> None:
    """Whatever went before, and a follower asks for nothing (L2)."""

    async def main() -> None:
        for kind in KINDS:
            it = await two(kind)
            await asyncio.sleep(SETTLED_DURATIONS * DEFAULT.lease)
            it.store.kind = None
            await asyncio.sleep((LONGEST_PROBATION_PERIODS + 50) * DEFAULT.retry)
            asked = len(it.store.asked)
            await asyncio.sleep(120)
            assert len(it.store.asked) == asked, f"{kind.__name__}: {it.store.asked[-5:]}"
            await it.end()

    run_virtually(main())
