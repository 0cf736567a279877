"""Schedules that were found sound, and stay so."""

import pytest

from sidecar.clock import ns
from sidecar.election.events import StepDown
from sidecar.election.record import TERM_ANNOTATION, merge_patch
from sidecar.election.requests import Kind
from sidecar.election.store import Denied
from tests.support.situations import cut, led_by_a


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


def test_sound_the_sentinel_over_several_deletions() -> None:
    """Each deletion under a holder that is cut off is answered by a sentinel; the wait is never shorter than the holder's deadline."""
    world = led_by_a("ABC")
    cut(world["A"])
    for _ in range(4):
        world.run(2).api.delete()
    world.run(17)
    assert len(world.leaders) == 1
    assert world.leaders != "A"


def test_sound_the_holder_claims_a_sentinel_back_in_the_same_term() -> None:
    """Deleted under a holder that is there: back in its name at once, same token (S7)."""
    world = led_by_a()
    token = world["A"].token
    world.api.delete()
    world.run(0.1)
    assert world.api.record.holder == "A_uid"
    assert world["A"].token == token
    assert world.leaders == "A"


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


def test_sound_twins_without_a_uid() -> None:
    """One identity on two hosts, no place known, a crash and a return: never two, and one in the end."""
    world = led_by_a("ABC", A={"identity": "web", "place": ""}, B={"identity": "web", "place": ""})
    world["A"].kill()
    world.run(30)
    world["A"].start()
    world.run(60)
    assert len(world.leaders) == 1


def test_a_release_denied_is_tried_again_and_a_term_annotation_is_whole() -> None:
    """Nothing but the five keys stands in the annotation, and a refusal ends nothing."""
    world = led_by_a("A")
    a = world["A"]
    a.given_ns = 0
    a.absorb(StepDown("told to", app_ended=True))
    a.send(Kind.RELEASE).refuse(Denied("no"))
    world.pass_(2)
    a.tick().go(Kind.RELEASE)
    term = merge_patch(world.api.record, None)["metadata"]["annotations"][TERM_ANNOTATION]
    assert '"released":true' in term
