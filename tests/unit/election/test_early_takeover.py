"""Schedule x, early takeover, against the state machine: what a proof ends, and what it does not."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sidecar.election.events import Ended
from sidecar.election.record import PLACEHOLDER, TERM_ANNOTATION, HolderPod, Term, parse
from sidecar.election.requests import Kind
from tests.support.situations import led_by_a
from tests.support.world import Actor, World


def led() -> World:
    """A leads and names its Pod; then its whole Pod ends."""
    pods: dict[str, Any] = {name: {"pod": HolderPod(f"web-{name.lower()}", f"uid-{name}")} for name in "ABC"}
    world = led_by_a("AB", **pods)
    world.pass_(1)
    world["A"].kill()
    world["A"].given_ns = 0
    return world


def prove(actor: Actor) -> None:
    """Its Pod's look says that the holder's processes have ended."""
    record = actor.election.record
    assert record is not None
    actor.absorb(Ended(record.renewal))


def test_x_a_proof_ends_what_its_renewal_promised_and_the_next_takes_its_turn() -> None:
    world = led()
    b = world["B"]
    assert b.election.suspect() is not None
    prove(b)
    world.run(0.2)
    assert world.leaders == "B"
    assert world.api.record.pod is not None
    assert world.api.record.pod.name == "web-b"


def test_x_while_a_proof_stands_nobody_is_said_to_lead() -> None:
    b = led()["B"]
    assert b.election.view().holder == b.world.api.record.holder
    prove(b)
    assert b.election.view().holder == ""


def test_x_a_later_renewal_needs_a_proof_of_its_own() -> None:
    """A late write of the dead process lands: the proof was made before that record was read."""
    world = led_by_a(A={"pod": HolderPod("web-a", "uid-A")})
    a, b = world["A"], world["B"]
    world.pass_(1.9)
    a.given_ns = 0
    world.pass_(0.2)
    late = a.tick().send(Kind.RENEW)
    a.kill()
    prove(b)
    old = b.election.over
    late.commit()
    b.watch()
    assert b.election.over == old
    assert not b.election.is_over()
    world.run(13)
    assert world.leaders == ""
    b.absorb(Ended(old if old is not None else ("", "", None, None)))
    assert not b.election.is_over()


def _nothing_is_ended(world: World) -> None:
    b = world["B"]
    b.watch()
    assert b.election.suspect() is None
    prove(b)
    world.run(13)
    assert world.leaders == ""
    world.run(5)
    assert world.leaders == "B"


def test_x_the_placeholder_has_no_pod() -> None:
    """Whose Pod its maker was says nothing about the holder that it stands in for."""
    world = led()
    b = world["B"]
    world.api.delete()
    b.doubt().go(Kind.READ)
    world.pass_(0.1)
    b.go(Kind.PLACEHOLDER)
    assert world.api.record.holder == PLACEHOLDER
    assert world.api.record.pod is None
    assert b.election.suspect() is None
    prove(b)
    world.run(10)
    assert world.leaders == ""


def test_x_a_client_go_program_has_no_pod() -> None:
    """It leaves the annotation of the holder before it, which names another's Pod."""
    world = led()
    world.api.edit(holderIdentity="go-1", renewTime="2026-11-23T08:00:05.000000Z")
    _nothing_is_ended(world)


def test_x_a_version_that_carries_the_key_on_names_nobody() -> None:
    """It writes another renewTime than the one that the key was told with; so does whoever puts an old annotation back."""
    world = led()
    record = world.api.record
    assert record.term is not None
    assert record.term.pod is not None
    former = replace(record.term, holder="Z_uid", process="Z1")
    world.api.edit(holderIdentity="Z_uid", renewTime="2026-11-23T08:00:05.000000Z", annotations={TERM_ANNOTATION: former.to_json()})
    _nothing_is_ended(world)


def test_x_a_record_with_an_older_token_than_one_that_was_seen_is_not_ended() -> None:
    """A backup has written it back: a later holder may still be inside its promise."""
    world = led()
    b = world["B"]
    b.election = replace(b.election, last_token=1_000_000)
    assert b.election.suspect() is None


def test_x_ones_own_pod_is_no_suspect() -> None:
    """A uid that was written into the template, where every replica has it."""
    world = led()
    b = world["B"]
    record = world.api.record
    assert record.pod is not None
    b.election = replace(b.election, me=replace(b.me, pod=HolderPod("web-b", record.pod.uid)))
    assert b.election.suspect() is None


def test_a_release_names_no_pod() -> None:
    world = led_by_a(A={"pod": HolderPod("web-a", "uid-A")})
    a = world["A"].step_down(app_ended=True)
    a.go(Kind.RELEASE)
    assert world.api.record.term is not None
    assert world.api.record.term.released
    assert world.api.record.term.pod is None


@pytest.mark.parametrize(
    "pod",
    [
        None,
        7,
        "web-0",
        {},
        {"name": "web-0"},
        {"name": "../secrets/x", "uid": "u"},
        {"name": "web-0?x=", "uid": "u"},
        {"name": 1, "uid": "u"},
    ],
)
def test_junk_names_no_pod(pod: object) -> None:
    """Nothing that could lead a request elsewhere (S10)."""
    time = "2026-11-23T08:00:00.000000Z"
    named = {**pod, "renewed": time} if isinstance(pod, dict) else pod
    text = Term("web-0_1", token=5).to_json()[:-1] + f',"pod":{json.dumps(named)}' + "}"
    lease = {"metadata": {"annotations": {TERM_ANNOTATION: text}}, "spec": {"holderIdentity": "web-0_1", "renewTime": time}}
    assert parse(lease).term is not None
    assert parse(lease).pod is None
