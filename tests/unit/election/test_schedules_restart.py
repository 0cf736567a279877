"""Schedules that break weaker rules, by their letters: a holder that restarts, and two processes of one identity (S9)."""

import pytest

from sidecar.clock import ns
from sidecar.election.requests import Kind
from sidecar.election.view import State
from tests.support.situations import cut, led_by_a


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


def test_j_a_late_write_by_the_former_process_is_no_conflict() -> None:
    """P1 dies with a patch in flight. P2 reads, the patch lands, then P2's; the watch delivers P1's: no duplicate identity (S9 b, d)."""
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


def test_m_a_resuming_write_shortens_no_promise() -> None:
    """P1 (60/40) answers "valid to 40" and dies; P2 (5/3) resumes at 1 and dies at 2: C waits for P1's promise (S9 b)."""
    old = {"lease_duration_seconds": 60, "renew_deadline_seconds": 40.0, "drain_timeout_seconds": 40.0}
    world = led_by_a("AC", A=old)
    a = world["A"]
    world.pass_(1)
    a.kill()
    a.start(lease_duration_seconds=5, renew_deadline_seconds=3.0, retry_period_seconds=0.5, drain_timeout_seconds=3.0)
    world.run(1)
    assert world.leaders == "A"
    a.kill()
    world.run(50)
    assert world.leaders == ""
    world.run(15)
    assert world.leaders == "C"


@pytest.mark.parametrize("letter", ["r", "s"])
def test_r_s_another_place_resumes_nothing(letter: str) -> None:
    """Two sidecars of one identity, in two network namespaces (r) or on two nodes, from a literal uid (s): the second waits (S9 c)."""
    same = {"identity": "web_uid", "place": "boot:1"}
    world = led_by_a("AB", A=same, B=same | {"place": {"r": "boot:2", "s": "other:1"}[letter]})
    world.run(60)
    assert world.leaders == "A"
    assert len(world.terms) == 1


def test_s_where_no_place_is_known_nothing_is_resumed() -> None:
    """An empty place proves nothing (S9)."""
    world = led_by_a("AB", A={"identity": "web_uid", "place": ""}, B={"identity": "web_uid", "place": ""})
    world["A"].kill()
    world.run(14)
    assert world.leaders == ""
    world.run(3)
    assert world.leaders == "B"


@pytest.mark.parametrize("first", ["release", "resume"])
def test_sound_the_release_of_the_former_process_against_the_resumption_of_the_next(first: str) -> None:
    """P1 dies with its release in flight: whichever lands first wins, the other is refused, and one leads."""
    world = led_by_a()
    a = world["A"]
    a.given_ns = 0
    a.step_down(app_ended=True)
    release = a.send(Kind.RELEASE)
    a.kill()
    a.start()
    world.pass_(0.01)
    a.go(Kind.READ)
    resume = a.send(Kind.RESUME)
    for flight in (release, resume) if first == "release" else (resume, release):
        flight.commit()
    resume.answer()
    world.run(1)
    assert len(world.leaders) == 1
    assert len(world.terms) == (1 if first == "resume" else 2)


def test_sound_duplicate_identities_without_a_uid() -> None:
    """One identity on two hosts, no place known, a crash and a return: never two, and one in the end."""
    world = led_by_a("ABC", A={"identity": "web", "place": ""}, B={"identity": "web", "place": ""})
    world["A"].kill()
    world.run(30)
    world["A"].start()
    world.run(60)
    assert len(world.leaders) == 1
