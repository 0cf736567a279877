"""A Lease that is marked as another group's is never contended for (§3): several instances of one product share a namespace."""

import hashlib
import logging
import subprocess

import pytest

from sidecar.election.record import GROUP_ANNOTATION, parse
from sidecar.election.requests import Kind
from sidecar.election.view import State
from sidecar.runtime.health_lines import HealthLine
from sidecar.runtime.status import Status
from sidecar.settings import in_force
from tests.support.given import load
from tests.support.situations import due, leading
from tests.support.world import World

BLUE = {"A": {"group": "blue"}, "B": {"group": "blue"}, "C": {"group": "green"}}


def groups(names: str = "ABC") -> World:
    """A and B are of one group, C of another; the Lease as the manifests ship it."""
    return World(names, each=lambda name: BLUE[name])


def test_the_first_to_lead_marks_the_lease_and_the_other_group_leaves_it_alone() -> None:
    """For ever: not while it is held, not when its holder is dead, and its followers name nobody."""
    world = groups()
    world["C"].alive = False
    world.run(5, until=lambda: world.leaders in {"A", "B"})
    assert world.api.record.group == "blue"
    c = world["C"]
    c.alive = True
    c.go(Kind.READ)
    assert c.election.view().holder == ""
    world["A"].alive = world["B"].alive = False
    world.run(120)
    assert c.state is State.FOLLOWING
    assert due(c) is None
    assert "C" not in world.leaders


def test_a_lease_that_no_group_has_marked_is_anyones() -> None:
    """As one that a version without groups has written: the next write marks it."""
    world = World("AB", each=lambda name: {"group": "blue"} if name == "B" else {})
    a, b = world["A"], world["B"]
    b.alive = False
    world.run(5, until=lambda: world.leaders == "A")
    assert world.api.record.group == ""
    b.alive = True
    b.go(Kind.READ)
    a.alive = False
    world.run(20, until=lambda: world.leaders == "B")
    assert world.api.record.group == "blue"


def test_who_is_of_no_group_leaves_a_marked_lease_alone() -> None:
    world = World("A")
    world.api.edit(annotations={GROUP_ANNOTATION: "green"})
    world.run(60)
    assert world.leaders == ""
    assert world["A"].state is State.FOLLOWING


def test_a_holder_keeps_its_term_and_puts_its_mark_back() -> None:
    """Whoever edits the annotation under it ends nothing."""
    world = World("A", each=lambda _: {"group": "blue"})
    world.run(5, until=lambda: world.leaders == "A")
    world.api.edit(annotations={GROUP_ANNOTATION: "green"})
    world["A"].watch()
    world.run(5)
    assert world.leaders == "A"
    assert world.api.record.group == "blue"


def test_a_missing_lease_is_made_with_the_groups_mark() -> None:
    """So that no other group takes the Lease after the placeholder."""
    world = World("A", each=lambda _: {"group": "blue"})
    world.api.delete()
    world.run(1, until=lambda: world.api.lease is not None)
    assert world.api.record.group == "blue"


@pytest.mark.parametrize("junk", [7, None, {"x": 1}, ["green"]])
def test_junk_marks_nothing(junk: object) -> None:
    """S10."""
    assert parse({"metadata": {"annotations": {GROUP_ANNOTATION: junk}}}).group == ""


def test_it_is_said_once_and_stands_in_readyz(caplog: pytest.LogCaptureFixture) -> None:
    """What is wrong, and what to do."""
    world = leading("AB")
    before = world["B"].election
    world.api.edit(annotations={GROUP_ANNOTATION: "green"})
    after = world["B"].watch().election
    status = Status()
    with caplog.at_level(logging.WARNING):
        status.absorbed(before, after)
        status.absorbed(after, after)
    assert len(caplog.records) == 1
    problem = status.problems[HealthLine.CONTENDING]
    assert '"green"' in problem
    assert "LEADER_INSTANCE" in problem
    status.absorbed(after, before)
    assert status.problems == {}


GIVEN = {"LEADER_LEASE_NAME": "web", "LEADER_LEASE_NAMESPACE": "shop", "LEADER_IDENTITY": "web-0_1"}


def test_the_name_of_the_lease_can_be_found_with_a_shell() -> None:
    """A Role must name it: `printf %s blue | sha256sum | cut -c1-8`, as docs/guides/several-instances.md says."""
    settings, faults = load({}, GIVEN | {"LEADER_INSTANCE": "blue"})
    assert faults == []
    assert settings is not None
    told = subprocess.run(["sha256sum"], input=b"blue", capture_output=True, check=True).stdout[:8].decode()
    assert in_force.lease(settings) == f"web-{told}" == f"web-{hashlib.sha256(b'blue').hexdigest()[:8]}"
    assert in_force.candidate(settings, "i", "p").group == "blue"
    assert load({}, GIVEN)[0] is not None


@pytest.mark.parametrize("text", ["", "  ", "$(DEPLOYMENT)", "a\nb", "x" * 254])
def test_what_tells_nothing_apart_is_refused(text: str) -> None:
    settings, faults = load({}, GIVEN | {"LEADER_INSTANCE": text})
    assert settings is None
    assert "LEADER_INSTANCE" in faults[0]


def test_a_name_that_becomes_too_long_is_refused() -> None:
    """253 characters with the hash, not without."""
    settings, faults = load({}, GIVEN | {"LEADER_LEASE_NAME": "w" * 250, "LEADER_INSTANCE": "blue"})
    assert settings is None
    assert "at most 244" in faults[0]
