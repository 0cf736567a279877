"""What HTTP serves: computed when read, from clock and deadline; waiters hear of every change, by the clock alone as well (S2, S11)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.clock import MAX_SLEEP_SECONDS, NS_PER_SECOND, SystemClock, ns
from sidecar.election.view import State, View
from sidecar.runtime.leadership import Answer, Leadership, Names

NAMES = Names(identity="web-0_uid", lease="web", namespace="shop", boot="b1")


class Hands(SystemClock):
    """A clock whose hands a test moves; timers count how often they were set and run out when told."""

    def __init__(self) -> None:
        self.now_ns = ns(100)
        self.timers = 0
        self._ends: list[asyncio.Timeout] = []

    def boottime_ns(self) -> int:
        """Where the hands stand."""
        return self.now_ns

    def wall_us(self) -> int:
        """The same in microseconds."""
        return self.now_ns // 1000

    @asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncIterator[None]:
        """Runs out when told."""
        assert 0 < seconds <= MAX_SLEEP_SECONDS
        self.timers += 1
        async with asyncio.timeout(None) as end:
            self._ends.append(end)
            yield

    async def sleep(self, seconds: float) -> None:
        """Nobody here sleeps."""
        raise NotImplementedError

    async def ring(self) -> None:
        """Every timer runs out."""
        ends, self._ends = self._ends, []
        for end in ends:
            end.reschedule(0)
        await turn()


async def turn() -> None:
    """Let every task go as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


def leading(until_ns: int, token: int = 7) -> View:
    return View(State.LEADING, "web-0_uid", token, expires_ns=until_ns, covered_until_ns=until_ns)


def following(holder: str = "web-1_uid", until_ns: int | None = None) -> View:
    return View(State.FOLLOWING, holder, 8 if holder else None, expires_ns=until_ns)


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def leadership(clock: Hands) -> Leadership:
    return Leadership(clock, NAMES)


def answered(answer: Answer) -> tuple[object, ...]:
    return (answer.is_leader, answer.state, answer.name, answer.fencing_token)


# ---- reading ------------------------------------------------------------------------------------------------------------------------


def test_before_anything_is_seen_the_answer_is_starting(leadership: Leadership) -> None:
    answer = leadership.read()
    assert answered(answer) == (False, State.STARTING, "", None)
    assert (answer.expires_in, answer.valid_until_boottime_ns, answer.observed_ago) == (0.0, 0, None)


def test_an_answer_turns_false_by_the_clock_alone(clock: Hands, leadership: Leadership) -> None:
    """Nobody publishes, no loop turns (S2)."""
    leadership.publish(leading(clock.now_ns + 10))
    clock.now_ns += 9
    assert leadership.read().is_leader
    clock.now_ns += 1
    assert answered(leadership.read()) == (False, State.FOLLOWING, "", None)
    assert leadership.read().valid_until_boottime_ns == 0


def test_q_an_expiry_moves_the_version_exactly_once_though_the_loop_hangs(clock: Hands, leadership: Leadership) -> None:
    """Schedule q: a poll with the old ETag after the deadline is no 304, and what the loop publishes late moves nothing again (S2)."""
    leadership.publish(leading(clock.now_ns + 10))
    before = leadership.read().version
    clock.now_ns += 10
    after = leadership.read().version
    assert after != before
    leadership.publish(following(""))
    assert leadership.read().version == after
    clock.now_ns += ns(100)
    leadership.announce()
    assert leadership.read().version == after


def test_a_renewal_moves_the_deadline_and_no_version(clock: Hands, leadership: Leadership) -> None:
    leadership.publish(leading(clock.now_ns + 10))
    before = leadership.read()
    clock.now_ns += 5
    leadership.publish(leading(clock.now_ns + 10))
    after = leadership.read()
    assert after.version == before.version
    assert after.valid_until_boottime_ns == before.valid_until_boottime_ns + 5


def test_a_term_published_after_the_last_one_expired_is_another_version(clock: Hands, leadership: Leadership) -> None:
    """The same name and token again, but in between it was false."""
    leadership.publish(leading(clock.now_ns + 10))
    before = leadership.read().version
    clock.now_ns += 20
    leadership.publish(leading(clock.now_ns + 10))
    assert leadership.read().version != before


def test_a_view_published_when_it_has_expired_already_is_false(clock: Hands, leadership: Leadership) -> None:
    before = leadership.read().version
    leadership.publish(leading(clock.now_ns))
    assert not leadership.read().is_leader
    assert leadership.read().version != before  # starting before, following now


MOVES = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.none() | st.sampled_from([State.LEADING, State.FOLLOWING, State.STEPPING_DOWN, State.RESIGNED]),
        st.sampled_from(["", "web-0_uid", "web-1_uid"]),
        st.integers(1, 3),
        st.none() | st.integers(0, 20),
    ),
    max_size=30,
)


@given(MOVES)
def test_the_version_moves_when_and_only_when_the_answer_does(moves: list[tuple[int, State | None, str, int, int | None]]) -> None:
    """Between two readings with nothing published, or one thing: differing answers have differing versions, equal ones the same."""
    clock = Hands()
    leadership = Leadership(clock, NAMES)
    versions: list[int] = []
    last = leadership.read()
    for wait_ns, state, holder, token, expires in moves:
        clock.now_ns += wait_ns
        between = leadership.read()
        if state is not None:
            expires_ns = clock.now_ns + (expires if expires is not None else 5) if state is State.LEADING or expires is not None else None
            leadership.publish(View(state, holder, token, expires_ns=expires_ns))
        now = leadership.read()
        for one, other in ((last, between), (between, now)):
            assert (answered(one) == answered(other) and one.holder == other.holder) == (one.version == other.version)
        versions += [int(answer.version.rpartition("-")[2]) for answer in (between, now)]
        last = now
    assert versions == sorted(versions)


def test_an_expires_in_is_never_rounded_up(clock: Hands, leadership: Leadership) -> None:
    leadership.publish(leading(clock.now_ns + ns(9.2149999)))
    assert leadership.read().expires_in == 9.214
    leadership.publish(leading(clock.now_ns + 999_999))
    assert leadership.read().expires_in == 0.0


def test_while_stepping_down_the_cover_is_told_and_nobody_leads(clock: Hands, leadership: Leadership) -> None:
    leadership.publish(View(State.STEPPING_DOWN, "web-0_uid", 7, covered_until_ns=clock.now_ns + ns(3)))
    answer = leadership.read(promise_deadline=True)
    assert not answer.is_leader
    assert answer.expires_in == 3.0
    clock.now_ns += ns(3)
    assert leadership.read().expires_in == 0.0


# ---- what is given out --------------------------------------------------------------------------------------------------------------


def test_only_a_deadline_in_a_true_answer_on_the_app_listener_is_remembered(clock: Hands, leadership: Leadership) -> None:
    """Without `give` nothing is promised, nor by an answer that is false (S11)."""
    leadership.publish(leading(clock.now_ns + 10))
    leadership.read()
    assert leadership.given_until_ns == 0
    leadership.read(promise_deadline=True)
    assert leadership.given_until_ns == clock.now_ns + 10
    leadership.publish(View(State.STEPPING_DOWN, "web-0_uid", 7, covered_until_ns=clock.now_ns + 20))
    leadership.read(promise_deadline=True)
    assert leadership.given_until_ns == clock.now_ns + 10
    leadership.publish(leading(clock.now_ns + 5))
    leadership.read(promise_deadline=True)
    assert leadership.given_until_ns == clock.now_ns + 10, "the latest is never forgotten"


def test_a_lease_that_ran_out_unnoticed_is_overdue(clock: Hands, leadership: Leadership) -> None:
    """For `/livez`: the loop did not notice."""
    leadership.publish(leading(clock.now_ns + 10))
    assert leadership.overdue_ns() == 0
    clock.now_ns += 15
    assert leadership.overdue_ns() == 5
    leadership.publish(following())
    assert leadership.overdue_ns() == 0


# ---- waiting ------------------------------------------------------------------------------------------------------------------------


async def test_a_wait_returns_at_once_where_the_version_differs(leadership: Leadership) -> None:
    """Of another life, or of none: no poller hangs on it."""
    async with asyncio.timeout(5):
        for version in ("b0-1", "", "b1-999", "junk"):
            await leadership.wait(version, 600)


async def test_waiters_are_woken_by_a_change_and_not_by_a_renewal(clock: Hands, leadership: Leadership) -> None:
    leadership.publish(leading(clock.now_ns + ns(10)))
    waiters = [asyncio.create_task(leadership.wait(leadership.read().version, 600)) for _ in range(3)]
    await turn()
    assert leadership.waiters == 3
    leadership.publish(leading(clock.now_ns + ns(20)))
    await turn()
    assert not any(waiter.done() for waiter in waiters)
    leadership.publish(following())
    await turn()
    assert all(waiter.done() for waiter in waiters)
    assert leadership.waiters == 0


async def test_a_gap_between_two_others_is_not_told_and_the_end_of_the_own_term_at_once(clock: Hands, leadership: Leadership) -> None:
    """A Lease that is emptied under its leader: whoever acts must stop now, be anybody's successor near or not."""
    leadership.publish(following("web-1_uid"))
    waiter = asyncio.create_task(leadership.wait(leadership.version(), 600))
    await turn()
    leadership.publish(following(""))
    await turn()
    assert not waiter.done()
    leadership.publish(leading(clock.now_ns + ns(10)))
    await turn()
    assert waiter.done()
    waiter = asyncio.create_task(leadership.wait(leadership.version(), 600))
    await turn()
    leadership.publish(following(""))
    await turn()
    assert waiter.done()


async def test_a_waiter_hears_of_an_expiry_that_nobody_announces(clock: Hands, leadership: Leadership) -> None:
    """The loop hangs, or the machine was suspended: whoever waits looks at the clock itself."""
    leadership.publish(leading(clock.now_ns + ns(10)))
    waiter = asyncio.create_task(leadership.wait(leadership.read().version, 600))
    await turn()
    clock.now_ns += ns(10)
    await clock.ring()
    assert waiter.done()


async def test_a_wait_ends_after_its_time(clock: Hands, leadership: Leadership) -> None:
    waiter = asyncio.create_task(leadership.wait(leadership.read().version, 5))
    for _ in range(5):
        await turn()
        assert not waiter.done()
        clock.now_ns += NS_PER_SECOND
        await clock.ring()
    assert waiter.done()


@pytest.mark.parametrize("expired", [False, True])
async def test_a_waiter_looks_at_the_clock_once_a_second_and_no_oftener(clock: Hands, leadership: Leadership, expired: bool) -> None:  # noqa: FBT001
    """No busy loop, with a deadline that is behind as well: timers are set as often as they ran out."""
    leadership.publish(leading(clock.now_ns + ns(0.5)))
    if expired:
        clock.now_ns += NS_PER_SECOND
    waiter = asyncio.create_task(leadership.wait(leadership.read().version, 600))
    for rung in range(1, 20):
        await turn()
        assert clock.timers <= rung
        await clock.ring()
    assert not waiter.done()
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert leadership.waiters == 0


async def test_a_closed_leadership_lets_every_waiter_go(leadership: Leadership) -> None:
    version = leadership.read().version
    waiter = asyncio.create_task(leadership.wait(version, 600))
    await turn()
    leadership.close()
    async with asyncio.timeout(5):
        await waiter
        await leadership.wait(version, 600)


@pytest.mark.parametrize(("identity", "name"), [("web-0_uid", "web-0"), ("a_b_c", "a_b"), ("web", "web"), ("", ""), ("_x", "_x")])
def test_a_name_is_the_identity_up_to_its_last_underscore(leadership: Leadership, identity: str, name: str) -> None:
    leadership.publish(following(identity))
    assert leadership.read().name == name


def test_an_answer_is_the_json_of_the_contract(leadership: Leadership) -> None:
    expected = {"name", "is_leader", "state", "version", "fencing_token", "expires_in", "valid_until_boottime_ns", "identity", "holder"}
    expected |= {"lease", "namespace", "acquired_at", "renewed_at", "transitions", "observed_ago"}
    assert set(leadership.read().to_json()) == expected
