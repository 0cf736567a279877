"""S3, S4, S9: what webhooks, policies and administrators make of a write, and what the holder and its followers make of that."""

from dataclasses import replace

import pytest

from sidecar.election.record import JSON, TERM_ANNOTATION, standby_patch
from sidecar.election.requests import Kind
from sidecar.election.view import State
from sidecar.runtime.health_lines import HealthLine
from sidecar.runtime.status import Status
from tests.support.admission import Admit, removes_annotations, rounds, sets
from tests.support.merge_patch import merge
from tests.support.situations import due, leading, renewal_carried_out
from tests.support.world import Actor, World


@pytest.fixture(autouse=True)
def odd_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock shows no whole milliseconds: what rounds a time changes it."""
    at = vars(Actor)["at"].fget
    monkeypatch.setattr(Actor, "at", property(lambda actor: replace(moment := at(actor), wall_us=moment.wall_us + 123)))


def keeps_the_annotation(old: str) -> Admit:
    """A policy by which the annotation may not change: it is put back."""

    def admit(lease: JSON) -> JSON:
        lease["metadata"].setdefault("annotations", {})[TERM_ANNOTATION] = old
        return lease

    return admit


def left(actor: Actor) -> float:
    """Seconds until the deadline."""
    assert actor.election.held is not None
    return (actor.election.held.deadline_ns - actor.now_ns) / 1e9


@pytest.mark.parametrize("admit", [rounds(3), sets(leaseTransitions=7), removes_annotations], ids=["rounds", "transitions", "annotations"])
def test_s3_an_altered_write_whose_answer_comes_late_runs_out(admit: Admit) -> None:
    """S3, S9 c: somebody touches the Lease before the answer is here, and the watch shows that first."""
    world, flight = renewal_carried_out("AB", admit)
    a = world["A"]
    world.pass_(0.01)
    world.api.touch()
    a.watch()
    world.pass_(0.01)
    flight.answer()
    assert a.state is State.FOLLOWING
    world.api.admit = None
    world.run(10)
    assert not a.leads


def test_s9_an_own_write_that_was_altered_shows_no_duplicate_identity() -> None:
    """S3, S9 d: a policy keeps the former process's annotation as it was: the answer to one's own write tells of no other process."""
    world = leading("AB")
    assert world.api.lease is not None
    annotation = world.api.lease["metadata"]["annotations"][TERM_ANNOTATION]
    world["A"].kill()
    world.api.admit = keeps_the_annotation(annotation)
    a = world["A"].start()
    a.go(Kind.READ)
    world.pass_(0.01)
    a.go(Kind.RESUME)
    assert a.election.altered
    assert a.state is State.FOLLOWING


def test_s3_who_leads_after_an_altered_write_is_told() -> None:
    """A's writes are altered, and a client-go program, whose are not, takes the Lease: it leaves the annotation as it stands."""
    world = World("A")
    a = world["A"]
    world.api.admit = rounds(0)
    world.run(2)
    assert a.election.altered
    world.pass_(1)
    world.api.edit(holderIdentity="go-1", leaseDurationSeconds=15, renewTime="2026-11-23T08:00:00.000000Z", leaseTransitions=1)
    a.watch()
    assert a.election.view().at(a.now_ns).holder == "go-1"


def test_s3_a_holder_sees_its_duration_shortened_also_where_the_annotation_is_pruned() -> None:
    """A PUT of an administrator's file: 6 s and no annotation, the same renewal (S6)."""
    world = leading("AB")
    a = world["A"]
    world.pass_(1)
    world.api.edit(leaseDurationSeconds=6, annotations={TERM_ANNOTATION: None})
    a.watch()
    assert left(a) == pytest.approx(3, abs=0.01)


def test_s1_a_holder_sees_its_duration_shortened_and_is_cut_off() -> None:
    """The same, and C that sees that renewal for the first time then."""
    world = leading("AC")
    a, c = world["A"], world["C"]
    c.start()
    world.pass_(1)
    world.api.edit(leaseDurationSeconds=6, annotations={TERM_ANNOTATION: None})
    a.watch().ask()
    a.online = a.watching = False
    world.run(20, until=lambda: c.leads)
    assert c.leads


def test_s3_what_readyz_says_of_an_altered_write_follows_who_leads() -> None:
    """First 3 s stand, nobody leads; then 9 s, somebody does: the same field."""
    world = World("A")
    a = world["A"]
    status = Status()
    absorb = a.absorb

    def heard(event: object) -> None:
        before = a.election
        absorb(event)  # type: ignore[arg-type]
        status.absorbed(before, a.election)

    a.absorb = heard  # type: ignore[method-assign]
    world.api.admit = sets(leaseDurationSeconds=3)
    world.run(2)
    assert "does not lead while its writes are altered" in status.problems[HealthLine.LEASE_CONTENTS]
    world.api.admit = sets(leaseDurationSeconds=9)
    world.run(10)
    assert a.leads
    assert "does not lead while its writes are altered" not in status.problems[HealthLine.LEASE_CONTENTS]


def test_s3_what_a_stand_by_writes_is_no_webhook() -> None:
    """The answer is lost, and before the next read a follower has named itself as stand-by."""
    world = leading("AB")
    a = world["A"]
    world.pass_(2)
    flight = a.tick().send(Kind.RENEW).commit()
    world.pass_(0.1)
    flight.lose()
    world.api.put(merge(world.api.lease, standby_patch(("B_uid",), world.api.record.version)))
    world.pass_(2)
    a.tick().go(Kind.RENEW)  # a conflict
    a.go(Kind.READ)
    assert a.leads
    assert a.election.altered == ()


def test_s3_a_write_that_is_put_back_whole_is_named() -> None:
    """A policy puts each write back: the API server answers 200 with the version as it was."""
    world = World("AB")
    world.run(0.01)
    old = merge({}, world.api.lease)
    world.api.admit = lambda _: merge({}, old)
    world.run(30)
    assert not world.leaders
    assert any(actor.election.altered for actor in world.actors)


def test_s4_a_holder_whose_placeholder_names_another_has_lost() -> None:
    """By the answer as by the watch."""
    for by_watch in (True, False):
        world = leading("A")
        a = world["A"]
        world.pass_(0.5)
        world.api.delete()
        a.doubt().go(Kind.READ)
        world.api.admit = sets(holderIdentity="somebody")
        flight = a.send(Kind.PLACEHOLDER).commit()
        world.pass_(0.001)
        if by_watch:
            a.watch()
        flight.answer()
        assert not a.leads, by_watch


def test_a_release_that_may_not_empty_the_holder_tells_of_no_leader() -> None:
    """A webhook keeps the holder: A has released, and its own sidecar names A as leader."""
    world = leading("A")
    a = world["A"]
    world.pass_(1)
    world.api.admit = sets(holderIdentity="A_uid")
    a.step_down(app_ended=True).go(Kind.RELEASE)
    assert a.state is State.RESIGNED
    assert a.election.view().at(a.now_ns).holder == ""


def test_s3_a_removed_duration_is_renewed_at_once() -> None:
    """Who counts it as its own, smaller one, waits for less than the holder means (S6)."""
    world = World("AC", each=lambda name: {"lease_duration_seconds": 60, "renew_deadline_seconds": 40.0} if name == "A" else {})
    a, c = world["A"], world["C"]
    c.alive = False
    world.run(1)
    assert a.leads
    world.pass_(0.5)
    world.api.edit(leaseDurationSeconds=None)
    a.watch()
    assert due(a) == (Kind.RENEW, 0)
