"""Schedules that break weaker rules, by their letters: late, lost and repeated reads and writes (S3 to S6)."""

from dataclasses import replace

from sidecar.clock import ns
from sidecar.election.requests import Kind
from tests.support.situations import cut, led_by_a


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


def test_p_a_renewal_counts_where_a_restore_has_brought_its_version_back() -> None:
    """Restored to 100, A's renewals climb to 105 again while B's polls fail; B knows 105 from before: it is another renewal (S6)."""
    world = led_by_a()
    a, b = world["A"], world["B"]
    restored, version = world.api.lease, world.api.version
    world.pass_(2)
    a.tick().go(Kind.RENEW)
    b.watch()
    world.pass_(6)
    world.api.lease, world.api.version = restored, version
    a.tick().go(Kind.RENEW).go(Kind.READ).go(Kind.RENEW)
    assert b.election.record is not None
    assert world.api.record.version == b.election.record.version
    b.doubt().tick().go(Kind.READ)
    cut(a).ask()
    world.run(9.5)
    assert world.leaders == "A"


def test_t_each_renewal_is_one_though_the_wall_clock_stands_or_steps_back() -> None:
    """The wall clock steps back an hour: every renewal is still a change that B sees (S3)."""
    world = led_by_a()
    a = world["A"]
    a.wall_us = a.at.wall_us - 3_600_000_000
    before = len(world.api.past)
    world.run(60)
    assert world.leaders == "A"
    assert len(world.api.past) - before >= 28
    assert len({record.renew_time_us for record in world.api.past[before:]}) == len(world.api.past) - before


def test_t_a_200_that_changed_nothing_is_no_renewal() -> None:
    """The version is as it was: an unknown outcome, the deadline stays (S3)."""
    world = led_by_a()
    a = world["A"]
    held = a.election.held
    world.pass_(2)
    flight = a.tick().send(Kind.RENEW)
    world.pass_(0.1)
    flight.refuse(world.api.perform(replace(flight.request, kind=Kind.READ)))
    assert a.election.held == held
    assert a.election.unresolved == (flight.request,)


def test_sound_a_late_patch_lands_on_its_own_version_or_not_at_all() -> None:
    """A renewal, an acquisition or a release that was thought lost meets a later state: refused (S5)."""
    world = led_by_a()
    a = world["A"]
    world.pass_(2)
    late = a.tick().send(Kind.RENEW)
    world.pass_(4)
    late.lose()
    world.run(20)
    version = world.api.record.version
    late.commit()
    assert world.api.record.version == version
    assert world.leaders == "A"


def test_sound_a_renewal_that_lands_late_counts_from_when_it_was_sent() -> None:
    """Sent at 2, landed at 8, seen at 8.1: the deadline is 12 (S3)."""
    world = led_by_a()
    a = world["A"]
    world.pass_(2)
    late = a.tick().send(Kind.RENEW)
    sent_ns = a.now_ns
    world.pass_(4)
    late.lose()
    world.pass_(2)
    late.commit()
    world.pass_(0.1)
    a.watch()
    assert a.election.held is not None
    assert a.election.held.deadline_ns == sent_ns + ns(10)


def test_sound_a_follower_paused_between_decision_and_send() -> None:
    """Its acquisition goes out an hour late, on a version long gone (S5)."""
    world = led_by_a("ABC")
    a, b = world["A"], world["B"]
    a.kill()
    world.pass_(16)
    b.tick()
    paused = b.send(Kind.ACQUIRE)
    cut(b)
    world.run(20, until=lambda: world.leaders == "C")
    paused.commit()
    assert world.leaders == "C"
