"""Random schedules for the small world: a step is a name, an actor and a number, so that a list of them shrinks and replays exactly.

What design S1 names as outside of it is not walked: nobody rewrites the holder, restores etcd or writes an old Lease back, and no Lease is
emptied before a candidate that never saw a holder. A step that does not fit the moment does nothing.
"""

import random
from collections.abc import Callable, Sequence

from sidecar.election.events import Campaign, StepDown
from sidecar.election.record import PLACEHOLDER
from sidecar.election.requests import Kind
from sidecar.election.store import Busy, Conflict, Denied
from sidecar.election.view import State
from tests.support.world import Actor, ViolationError, World

Step = tuple[str, int, int]

PAUSES_SECONDS = (0.001, 0.01, 0.05, 0.2, 0.7, 1.0, 1.9, 2.0, 3.1, 4.9, 8.0, 10.0, 15.0, 16.0)


def _turn(world: World, actor: Actor, number: int) -> None:
    """The loop turns: the clock is looked at, and what is due goes out."""
    del world, number
    actor.tick()
    due = actor.election.due(actor.now_ns)
    if due is not None and due.at_ns <= actor.now_ns:
        actor.send()


def _go(world: World, actor: Actor, number: int) -> None:
    _turn(world, actor, number)
    _answer(world, actor, number)


def _commit(world: World, actor: Actor, number: int) -> None:
    """Some request that never reached the server does so now: of anyone, of a dead process as well."""
    del actor
    waiting = [flight for flight in world.flights if flight.outcome is None]
    if waiting:
        world.pass_(0.001)
        waiting[number % len(waiting)].commit()


def _answer(world: World, actor: Actor, number: int) -> None:
    del number
    if actor.flight is not None:
        world.pass_(0.001)
        flight = actor.flight if actor.flight.outcome is not None else actor.flight.commit()
        world.pass_(0.001)
        flight.answer()


def _lose(world: World, actor: Actor, number: int) -> None:
    del world, number
    if actor.flight is not None:
        actor.flight.lose()


def _refuse(world: World, actor: Actor, number: int) -> None:
    """Turned away; a 409 may be made up, or be the answer to one's own success sent twice (S5)."""
    del world
    flight = actor.flight
    if flight is None or (flight.outcome is not None and number % 3):
        return
    conflict = flight.kind is not Kind.READ
    flight.refuse((Conflict() if conflict else Denied("no"), Denied("no"), Busy(number % 7))[number % 3 if flight.outcome is None else 0])


def _watch(world: World, actor: Actor, number: int) -> None:
    """Mostly the newest, else any older state."""
    if number % 3 or world.api.lease is None:
        actor.watch(world.api.past[-1 - number % min(len(world.api.past), 12)])
    else:
        actor.watch()


def _newest(world: World, actor: Actor, number: int) -> None:
    del number
    if world.api.lease is not None:
        actor.watch()
    else:
        actor.doubt()


def _resign(world: World, actor: Actor, number: int) -> None:
    """To anyone, to another, to one that never was; the application goes on until its deadline."""
    if actor.state is State.LEADING:
        to = ("", "", "Z", world.actors[number % len(world.actors)].name)[number % 4]
        out_seconds = (None, 0.0, 5.0, 30.0)[number // 4 % 4]
        actor.absorb(StepDown("resigns", actor.process_given_ns, out_seconds=out_seconds, successor=to))


def _drained(world: World, actor: Actor, number: int) -> None:
    del world, number
    if actor.election.held is not None:
        actor.step_down(app_ended=True)


def _crash(world: World, actor: Actor, number: int) -> None:
    """The process dies and is started again in the same Pod; every third time at another place (the node was started anew)."""
    if world.api.lease is not None and not world.api.record.holder and world.api.record.term is None:
        return  # a new process would take it for a Lease that nobody ever held
    if number % 3 == 0:
        actor.given_ns = 0
    actor.start(**({"place": f"boot:{actor.name}{number}"} if number % 3 == 0 else {}))


def _everyone_saw_it(world: World) -> bool:
    """Whether each process has seen the present term, or the last there was: S1 promises nothing to who never did."""
    held = [(record.holder, record.token) for record in world.api.past if record.holder not in ("", PLACEHOLDER)]
    return bool(held) and all(held[-1] in actor.seen for actor in world.actors)


def _empty(world: World, actor: Actor, number: int) -> None:
    """An administrator, a GitOps tool or client-go's release on a stale record empties the Lease."""
    del actor
    if not _everyone_saw_it(world):
        return
    if world.api.lease is None or number % 2:
        world.api.wipe()
    else:
        world.api.edit(holderIdentity="")


def _delete(world: World, actor: Actor, number: int) -> None:
    del actor, number
    if world.api.lease is not None:
        world.api.delete()


def _touch(world: World, actor: Actor, number: int) -> None:
    del actor, number
    if world.api.lease is not None:
        world.api.touch()


def _run(world: World, actor: Actor, number: int) -> None:
    """A while without faults but those that stand: some are cut off."""
    for index, one in enumerate(world.actors):
        one.online = not number >> index & 1
    actor.online = True
    world.run(PAUSES_SECONDS[number // 8 % len(PAUSES_SECONDS)])


STEPS: dict[str, tuple[int, Callable[[World, Actor, int], object]]] = {
    "time": (8, lambda world, _, number: world.pass_(PAUSES_SECONDS[number % len(PAUSES_SECONDS)])),
    "run": (12, _run),
    "turn": (16, _turn),
    "go": (12, _go),
    "commit": (5, _commit),
    "answer": (8, _answer),
    "lose": (5, _lose),
    "refuse": (2, _refuse),
    "watch": (4, _watch),
    "newest": (8, _newest),
    "doubt": (2, lambda _, actor, __: actor.doubt()),
    "ask": (8, lambda _, actor, __: actor.ask()),
    "step down": (2, lambda _, actor, __: actor.step_down()),
    "drained": (1, _drained),
    "resign": (2, _resign),
    "campaign": (1, lambda _, actor, __: actor.absorb(Campaign())),
    "crash": (2, _crash),
    "empty": (1, _empty),
    "delete": (1, _delete),
    "touch": (1, _touch),
}
"""Each with its weight."""


def steps(seed: int, count: int, actors: int) -> list[Step]:
    """A random schedule. Each seed has its own taste: what is rare in one is common in another."""
    rng = random.Random(seed)
    weights = [weight * (1 if name in ("time", "go", "run") else rng.choice((0, 0.3, 1, 3))) for name, (weight, _) in STEPS.items()]
    names = rng.choices(list(STEPS), weights=weights, k=count)
    return [(name, rng.randrange(actors), rng.randrange(1000)) for name in names]


def perform(world: World, schedule: Sequence[Step]) -> World:
    """Walk it. Raises ViolationError where a rule is broken."""
    for index, (name, who, number) in enumerate(schedule):
        actor = world.actors[who % len(world.actors)]
        actor.dice = (number * 7919 % 1000 + 1) / 1000
        world.pass_(0.000001)
        try:
            STEPS[name][1](world, actor, number)
        except ViolationError as violation:
            raise ViolationError(f"{violation}; at step {index}") from violation
        world.check()
    return world


def heal(world: World) -> World:
    """Faults stop: exactly one leads, soon (L1), and stays (L3)."""
    for flight in world.flights:
        if flight.outcome is None and flight is not flight.actor.flight:
            flight.outcome = Denied("lost")
    for actor in world.actors:
        actor.online = True
        if actor.flight is not None:
            actor.flight.lose()
    world.run(95)
    if len(world.leaders) != 1:
        raise ViolationError(
            f"L1: {world.leaders or 'nobody'} leads after a long calm: {[(a.name, a.state, a.election.why) for a in world.actors]}"
        )
    terms = len(world.terms)
    leader = next(actor for actor in world.actors if actor.leads)
    moves = len(leader.moves)
    world.run(60)
    if len(world.terms) != terms or len(leader.moves) != moves:
        raise ViolationError(f"L3: leadership moved without a fault: {world.terms[-3:]}, {leader.moves[moves:]}")
    return world


def shrink(schedule: Sequence[Step], fails: Callable[[Sequence[Step]], bool]) -> list[Step]:
    """A schedule of which no step can be left out."""
    left, size = list(schedule), len(schedule) // 2
    while size:
        index = 0
        while index < len(left):
            fewer = left[:index] + left[index + size :]
            if fails(fewer):
                left = fewer
            else:
                index += size
        size //= 2
    return left
