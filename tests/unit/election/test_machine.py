"""The table of transitions, entry by entry, and what holds in every state."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from sidecar.election.events import Campaign, Confirmed, Doubted, Moment, StepDown, Tick, Watched
from sidecar.election.machine import Election
from sidecar.election.requests import Kind
from sidecar.election.transitions import TRANSITIONS, Cause
from sidecar.election.view import State
from tests.support.admission import sets
from tests.support.situations import duplicate_writes, expired, in_conflict, leading, resigned, stepping_down
from tests.support.walk import perform, steps
from tests.support.world import World


def _another(world: World) -> None:
    world.api.edit(holderIdentity="another")
    world["A"].watch()


def _later(seconds: float) -> Callable[[World], object]:
    return lambda world: world.pass_(seconds)["A"].tick()


def _renews_altered(world: World) -> None:
    """A renews, and an admission webhook shortens its duration."""
    world.api.admit = sets(leaseDurationSeconds=3)
    world.pass_(2)
    world["A"].tick().go(Kind.RENEW)


ENTRIES: dict[tuple[State, Cause], tuple[Callable[[], World], Callable[[World], object]]] = {
    (State.STARTING, Cause.SEEN): (World, lambda world: world["A"].watch()),
    (State.STARTING, Cause.STEP_DOWN): (World, lambda world: world["A"].step_down()),
    (State.FOLLOWING, Cause.TOOK): (lambda: expired(leading()), lambda world: world["A"].go(Kind.ACQUIRE)),
    (State.FOLLOWING, Cause.DUPLICATE): (lambda: expired(leading()), duplicate_writes),
    (State.FOLLOWING, Cause.STEP_DOWN): (lambda: expired(leading()), lambda world: world["A"].step_down()),
    (State.LEADING, Cause.LOST): (leading, _another),
    (State.LEADING, Cause.ALTERED): (leading, _renews_altered),
    (State.LEADING, Cause.EXPIRED): (leading, _later(10)),
    (State.LEADING, Cause.DUPLICATE): (leading, duplicate_writes),
    (State.LEADING, Cause.STEP_DOWN): (leading, lambda world: world["A"].step_down()),
    (State.STEPPING_DOWN, Cause.LOST): (lambda: stepping_down(leading()), _another),
    (State.STEPPING_DOWN, Cause.ALTERED): (lambda: stepping_down(leading()), _renews_altered),
    (State.STEPPING_DOWN, Cause.EXPIRED): (lambda: stepping_down(leading()), _later(10)),
    (State.STEPPING_DOWN, Cause.DUPLICATE): (lambda: stepping_down(leading()), duplicate_writes),
    (State.STEPPING_DOWN, Cause.RELEASED): (
        lambda: stepping_down(leading()),
        lambda world: world["A"].step_down(app_ended=True).go(Kind.RELEASE),
    ),
    (State.RESIGNED, Cause.DUPLICATE): (lambda: resigned(leading()), duplicate_writes),
    (State.RESIGNED, Cause.RETURN): (lambda: resigned(leading()), _later(30)),
    (State.CONFLICT, Cause.RETURN): (lambda: in_conflict(leading()), _later(15)),
    (State.CONFLICT, Cause.STEP_DOWN): (lambda: in_conflict(leading()), lambda world: world["A"].step_down()),
}


def test_every_entry_of_the_table_has_an_example() -> None:
    assert set(ENTRIES) == set(TRANSITIONS)


@pytest.mark.parametrize("entry", TRANSITIONS, ids=lambda entry: f"{entry[0]}-{entry[1].name.lower()}")
def test_an_entry_of_the_table_happens(entry: tuple[State, Cause], monkeypatch: pytest.MonkeyPatch) -> None:
    prepare, happen = ENTRIES[entry]
    world = prepare()
    assert world["A"].state is entry[0]
    causes: list[Cause] = []
    move = Election._move

    def noted(self: Election, cause: Cause, why: str, **changes: object) -> Election:
        causes.append(cause)
        return move(self, cause, why, **changes)

    monkeypatch.setattr(Election, "_move", noted)
    happen(world)
    assert causes == [entry[1]]
    assert world["A"].state is TRANSITIONS[entry]


def test_no_other_move_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """However events come, a state changes by the table alone, and every change has a reason to log."""
    seen: set[tuple[State, Cause]] = set()
    once = {(before, after) for (before, _), after in TRANSITIONS.items()}
    twice = {(first, last) for first, middle in once for also, last in once if also is middle}  # the clock, then the event
    move = Election._move

    def noted(self: Election, cause: Cause, why: str, **changes: object) -> Election:
        seen.add((self.state, cause))
        assert why
        return move(self, cause, why, **changes)

    monkeypatch.setattr(Election, "_move", noted)
    for seed in range(20):
        world = World("ABC", each=lambda name: {"identity": "web_uid"} if name in "AB" else {})
        perform(world, steps(seed, 80, 3))
        assert {move for actor in world.actors for move in actor.moves} <= once | twice
    assert seen <= set(TRANSITIONS)


def test_a_term_is_held_while_leading_or_stepping_down_and_never_else() -> None:
    for seed in range(20):
        world = World("ABC")
        for step in steps(seed, 80, 3):
            perform(world, [step])
            for actor in world.actors:
                assert (actor.election.held is not None) == (actor.state in (State.LEADING, State.STEPPING_DOWN))


def test_an_event_is_absorbed_without_a_change_to_the_state_before() -> None:
    """Pure: the same event at the same moment gives the same state, and the former one is as it was."""
    world = leading()
    election = world["A"].election
    copy = replace(election)
    moment = Moment(world["A"].now_ns + 5, 7, 0.5)
    record = replace(world.api.record, version="999", holder="x")
    for event in (Tick(), Watched(record), Confirmed(), Doubted(), StepDown("why", successor="B"), Campaign()):
        assert election.absorb(event, moment) == election.absorb(event, moment)
    assert election == copy
