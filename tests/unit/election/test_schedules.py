"""The schedules that break weaker rules, each by its letter, against the state machine; what the world itself checks is not said again.

Times are seconds at 15/10/2; A leads unless said. q and v are met in test_leadership.py and test_rate_limiter.py.
"""

import pytest

from sidecar.clock import ns
from sidecar.election.record import SENTINEL
from sidecar.election.requests import Kind
from sidecar.election.view import State
from tests.support.situations import cut, led_by_a

# ---- an empty Lease ----------------------------------------------------------------------------------------------------------------


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
def test_b_a_lease_emptied_without_a_release_mark_is_not_free(how: str) -> None:
    """`helm upgrade --force` wipes holder and annotations, client-go's release on a stale record the holder: no mark, not free (S7)."""
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


# ---- given deadlines ---------------------------------------------------------------------------------------------------------------


def test_c_nothing_is_released_while_a_given_deadline_lies_ahead() -> None:
    """The app reads "valid to 10" and goes by the clock; SIGTERM at 1 says false at once and releases at 11 (S11)."""
    world = led_by_a()
    given_ns = world["A"].given_ns
    world.run(1)
    world["A"].step_down(leaving=True)
    asked_ns = world["A"].now_ns
    assert world.leaders == ""
    world.run(30, until=lambda: bool(world.leaders))
    assert world.leaders == "B"
    assert given_ns <= asked_ns + ns(10) <= world["A"].now_ns < asked_ns + ns(11.1)


def test_d_a_deadline_given_by_the_former_process_is_kept() -> None:
    """A's process is killed at 1, the next resumes and is told to resign at 3: the record's duration from first sight is waited (S11)."""
    world = led_by_a()
    world.pass_(1)
    world["A"].kill()
    world["A"].start()
    world.run(1, until=lambda: bool(world.leaders))
    started_ns = world.now_ns
    assert world.leaders == "A"
    world.pass_(2)
    world["A"].tick().step_down()
    world.run(30, until=lambda: world.leaders == "B")
    assert world.now_ns - started_ns >= ns(14.9)


# ---- a missing Lease ---------------------------------------------------------------------------------------------------------------


def test_e_a_late_create_names_nobody() -> None:
    """A's create hangs until the Lease, B's meanwhile, is deleted again: it makes a sentinel, and undercuts no token (S5, S7)."""
    world = led_by_a()
    a, b = world["A"], world["B"]
    world.api.delete()
    a.doubt().go(Kind.READ)
    late = a.send(Kind.SENTINEL)
    cut(a)
    world.run(30, until=lambda: world.leaders == "B")
    token = b.token
    cut(b).ask()
    world.run(1).api.delete()
    late.commit()
    assert world.api.record.holder == SENTINEL
    a.online = True
    world.run(30)
    assert world.leaders == "A"
    assert a.token is not None
    assert token is not None
    assert a.token > token


def test_f_ones_name_in_the_record_is_no_right() -> None:
    """B leads and is cut off; a backup writes back A's old record, A's process and all: A waits it out like a stranger's (S9 c)."""
    world = led_by_a()
    a, b = world["A"], world["B"]
    old = world.api.lease
    a.kill()
    world.run(20, until=lambda: world.leaders == "B")
    a.start(process="A1", place="boot:other")
    world.run(1)
    assert a.state is State.FOLLOWING
    cut(b).ask()
    assert old is not None
    world.api.put(old)
    world.run(8)
    assert world.leaders == "B"
    world.run(20)
    assert world.leaders == "A"


def test_f_a_holder_that_saw_another_lead_does_not_take_its_own_old_record_for_its_last_write() -> None:
    """The same in one process: A's last write stands there again, but another holder was seen since (S9 a)."""
    world = led_by_a()
    a, b = world["A"], world["B"]
    old = world.api.lease
    cut(a)
    world.run(20, until=lambda: world.leaders == "B")
    a.online = True
    world.run(0.5)
    cut(b).ask()
    assert old is not None
    world.api.put(old)
    world.run(8)
    assert world.leaders == "B"


def test_k_the_sentinel_carries_the_longest_duration_seen() -> None:
    """60/40 is rolled to 15/10 and the Lease deleted under the old holder, which is cut off: the sentinel stands for 60 (S7)."""
    old = {"lease_duration_seconds": 60, "renew_deadline_seconds": 40.0, "drain_timeout_seconds": 40.0}
    world = led_by_a("ABC", A=old)
    cut(world["A"])
    world["C"].kill()
    world.run(1).api.delete()
    world.run(2)
    assert world.api.record.holder == SENTINEL
    assert world.api.record.duration_seconds == 60
    world["C"].start()
    world.run(50)
    assert world.leaders == ""
    world.run(15)
    assert len(world.leaders) == 1


def test_k_a_sentinel_shortens_no_promise_that_was_seen() -> None:
    """The same, but who made the sentinel never saw the old holder: whoever did still waits for what it has seen (S6, S7)."""
    old = {"lease_duration_seconds": 60, "renew_deadline_seconds": 40.0, "drain_timeout_seconds": 40.0}
    world = led_by_a("ABC", A=old)
    cut(world["A"])
    c = world["C"]
    c.kill()
    world.pass_(1).api.delete()
    c.start()
    c.go(Kind.READ)
    world.pass_(0.1)
    c.go(Kind.SENTINEL)
    c.kill()
    world.run(38)
    assert world.leaders == "A"
    world.run(30)
    assert world.leaders == "B"


# ---- proofs and news ---------------------------------------------------------------------------------------------------------------


def test_g_a_proof_revives_no_deadline_that_has_passed() -> None:
    """The answer to a write sent at 9 is lost; at 10 it says false; at 12 a read proves the write: another term, another token (S3)."""
    world = led_by_a()
    a = world["A"]
    token = a.token
    cut(a)
    world.pass_(8.9)
    late = a.tick().send(Kind.RENEW).commit()
    world.pass_(1.2)
    late.lose()
    assert world.leaders == ""
    world.pass_(1)
    a.watch()
    assert world.leaders == ""
    a.online = True
    world.run(3)
    assert world.leaders == "A"
    assert a.token != token


def test_h_older_news_ends_nothing() -> None:
    """B has acquired; its lagging watch delivers A's last renewal and A's release: B reads once, and leads on (S4)."""
    world = led_by_a()
    a, b = world["A"], world["B"]
    a.given_ns = 0
    world.run(3)
    a.step_down(app_ended=True)
    world.run(3, until=lambda: world.leaders == "B")
    for old in world.api.past[-4:-1]:
        world.pass_(0.001)
        b.watch(old)
        assert world.leaders == "B"
    b.go(Kind.READ)
    assert world.leaders == "B"
    due = b.election.due(b.now_ns)
    assert due is not None
    assert due.kind is Kind.RENEW


def test_i_after_a_restore_of_etcd_a_real_loss_is_found_by_one_read() -> None:
    """Versions go back and another's record stands there: smaller, yet a quorum read decides, at once and not at the deadline (S4)."""
    world = led_by_a("A")
    a = world["A"]
    world.run(5)
    world.api.version = 50
    world.api.edit(holderIdentity="somebody")
    a.watch()
    assert world.leaders == "A"
    world.pass_(0.001)
    a.go(Kind.READ)
    assert world.leaders == ""


def test_j_a_late_write_by_the_former_process_is_no_conflict() -> None:
    """P1 dies with a patch in flight; P2 reads, the patch lands, then P2's own, and the watch delivers P1: no twin (S9 b, d)."""
    world = led_by_a("A")
    a = world["A"]
    world.pass_(2)
    late = a.tick().send(Kind.RENEW)
    a.kill()
    a.start()
    world.pass_(0.1)
    a.go(Kind.READ)
    resume = a.send(Kind.RESUME)
    late.commit()
    of_p1 = world.api.record
    world.pass_(0.01)
    resume.commit().answer()
    world.pass_(0.01)
    a.go(Kind.READ).go(Kind.RESUME)
    assert world.leaders == "A"
    a.watch(of_p1)
    world.run(10)
    assert world.leaders == "A"
    assert all(State.CONFLICT not in move for move in a.moves)
    assert len(world.terms) == 1
