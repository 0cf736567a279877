"""Where a test begins."""

from dataclasses import replace
from typing import Any

from sidecar.clock import NS_PER_SECOND
from sidecar.election.record import TERM_ANNOTATION
from sidecar.election.requests import Kind
from sidecar.election.view import State
from tests.support.admission import Admit
from tests.support.world import Actor, Flight, World


def leading(names: str = "AB") -> World:
    """A leads, everyone has seen it and nothing is under way."""
    world = World(names)
    a = world["A"]
    a.go(Kind.READ)
    world.pass_(0.1)
    a.tick().go(Kind.ACQUIRE)
    for actor in world.actors[1:]:
        actor.go(Kind.READ)
    assert world.leaders == "A"
    return world


def renewal_carried_out(names: str, admit: Admit) -> tuple[World, Flight]:
    """A leads, and its renewal stands in the Lease as `admit` has made it, with the answer under way."""
    world = leading(names)
    world.pass_(2)
    world.api.admit = admit
    return world, world["A"].tick().send(Kind.RENEW).commit()


def due(actor: Actor) -> tuple[Kind, Any] | None:
    """What is due and in how many seconds."""
    found = actor.election.due(actor.now_ns)
    return (found.kind, max(0.0, (found.at_ns - actor.now_ns) / NS_PER_SECOND)) if found is not None else None


def duplicate_writes(world: World) -> None:
    """Another process writes under the identity of A."""
    term = world.api.record.term
    assert term is not None
    text = replace(term, process="other", holder="A_uid").to_json()
    world.api.edit(holderIdentity="A_uid", annotations={TERM_ANNOTATION: text}, renewTime="2026-11-23T08:00:00.000000Z")
    world["A"].watch()


def resigned(world: World) -> World:
    """A has resigned and released."""
    a = world["A"].step_down(app_ended=True)
    a.go(Kind.RELEASE)
    assert a.state is State.RESIGNED
    return world


def in_conflict(world: World) -> World:
    """A has met a duplicate of its identity."""
    duplicate_writes(world)
    assert world["A"].state is State.CONFLICT
    return world


def expired(world: World) -> World:
    """A follows, what it wrote last is its own."""
    world.pass_(10)
    world["A"].tick()
    assert world["A"].state is State.FOLLOWING
    return world


def stepping_down(world: World) -> World:
    """A was told to, and has given a deadline."""
    world["A"].ask().step_down()
    assert world["A"].state is State.STEPPING_DOWN
    return world


def led_by_a(names: str = "AB", **settings: Any) -> World:
    """A has just renewed, everyone has seen it, and A's application goes by the deadline."""
    world = World(names, each=lambda name: settings.get(name, {}))
    for actor in world.actors[1:]:
        actor.alive = False
    world.run(10, until=lambda: bool(world.leaders))
    for actor in world.actors[1:]:
        actor.alive = True
        actor.watch()
        world.pass_(0.001)
        actor.go(Kind.READ)
    world["A"].ask()
    assert world.leaders == "A"
    return world


def cut(actor: Actor) -> Actor:
    """No request of it arrives, and no news reaches it."""
    actor.online = False
    return actor
