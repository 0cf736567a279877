"""Visits every state that a small world can reach, breadth first, and looks for a broken rule in each."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sidecar.election.record import PLACEHOLDER
from sidecar.election.requests import Kind
from tests.model.outside import WEBHOOKS
from tests.model.world import World, forget, start


@dataclass(frozen=True)
class Config:
    """What is searched: all interleavings of so many candidates over so long a time with so many faults."""

    names: str
    units: int
    """Units of time: retry periods; a lease duration is three."""
    faults: int
    duplicates: bool = False
    webhook: str = ""
    """In force from the start, by its name in `outside.WEBHOOKS`."""
    go: bool = False
    """A client-go program holds the Lease at the start, stands still, and may release late."""


CONFIGS: dict[str, Config] = {
    "two candidates, one fault": Config("AB", 8, 1),
    "two candidates, two faults": Config("AB", 2, 2),
    "three candidates, one fault": Config("ABC", 1, 1),
    "duplicate identities, one fault": Config("AB", 5, 1, duplicates=True),
    "a client-go program's late release, one fault": Config("AB", 8, 1, go=True),
    "a client-go program's late release, two faults": Config("AB", 3, 2, go=True),
    **{f"a webhook {webhook}, one fault": Config("AB", 5, 1, webhook=webhook) for webhook in WEBHOOKS},
}
"""What `make test-long` searches; `python -m tests.model` searches deeper."""

SHARE: dict[str, Config] = {
    **{name: config for name, config in CONFIGS.items() if config.faults == 1 and config.names == "AB"},
    **{f"a webhook {webhook}, one fault": Config("AB", 3, 1, webhook=webhook) for webhook in WEBHOOKS},
}
"""What `make test` searches: the worlds of two candidates and one fault, smaller where the whole one takes long."""


@dataclass(frozen=True)
class Found:
    """What a search came to."""

    states: int
    depth: int
    """The longest of all shortest ways to a state, in steps."""
    complete: bool
    """Every state was visited."""
    violation: str = ""
    """The rule, and the shortest way to where it breaks, a line for each step."""


def search(config: Config, *, max_states: int = 10_000_000, progress: Callable[[int, int], None] | None = None) -> Found:
    """All of it, or up to `max_states`; stops at the first broken rule."""
    forget()
    first = start(config.names, config.faults, duplicates=config.duplicates, webhook=config.webhook, go=config.go).turned()
    came: dict[World, tuple[World | None, str]] = {first: (None, "start")}
    level, depth = [first], 0
    while level:
        following: list[World] = []
        for world in level:
            for name, reached in world.steps(config.units):
                after, broken = settle(reached.turned())
                if broken:
                    came.setdefault(after, (world, name))
                    return Found(len(came), depth + 1, complete=False, violation=f"{broken}\n{_way(came, after, world, name)}")
                if after not in came:
                    came[after] = (world, name)
                    following.append(after)
            if len(came) > max_states:
                return Found(len(came), depth, complete=False)
        level, depth = following, depth + bool(following)
        if progress is not None:
            progress(depth, len(came))
    return Found(len(came), depth, complete=True)


def settle(world: World) -> tuple[World, str]:  # noqa: PLR0911 - one for each rule
    """The state with what its applications have read in it, and the rule that it breaks, or ""."""
    now_ns, token, actors = world.now_ns, world.token, list(world.actors)
    acting = [actor.name for actor in actors if actor.leads(now_ns) or now_ns < actor.given_ns]
    if len(acting) > 1:
        return world, f"S1: {' and '.join(acting)} may act at once"
    for index, actor in enumerate(actors):
        held = actor.election.held
        flight = actor.election.flight
        if flight is not None and (flight.kind is Kind.PLACEHOLDER) != (flight.base is None and flight.kind is not Kind.READ):
            return world, f"S5: {actor.name}'s {flight.kind} is conditional on {flight.base}"
        if flight is not None and flight.kind is Kind.PLACEHOLDER and flight.record.holder != PLACEHOLDER:
            return world, f"S7: {actor.name} creates the Lease in the name of {flight.record.holder}"
        if flight is not None and flight.kind is Kind.RELEASE and flight.sent_ns < actor.given_ns:
            return world, f"S11: {actor.name} releases before a deadline that it gave"
        if held is not None and actor.leads(now_ns):
            if held.token in actor.ended:
                return world, f"S3: {actor.name} leads again in a term that had ended"
            if held.token < token or (held.token == token and actor.leading != token and actor.life == 1):
                return world, f"S8: {actor.name} leads with {held.token} after {token}"
            token = max(token, held.token)
            actors[index] = replace(actor, leading=held.token, given_ns=max(actor.given_ns, held.deadline_ns))
        elif actor.leading is not None:
            actors[index] = replace(actor, leading=None, ended=actor.ended | {actor.leading})
    after = tuple(actors)
    return (world if (token, after) == (world.token, world.actors) else replace(world, token=token, actors=after)), ""


def _way(came: dict[World, tuple[World | None, str]], end: World, world: World | None, name: str) -> str:
    steps = [_line(end, name)]
    while world is not None:
        before, name = came[world]
        steps.append(_line(world, name))
        world = before
    return "\n".join(reversed(steps))


def _line(world: World, name: str) -> str:
    lease = world.lease
    held = "missing" if lease is None else f"{lease.holder or 'nobody'}, version {lease.version}, token {lease.token}"
    true = ", ".join(actor.name for actor in world.actors if actor.leads(world.now_ns)) or "nobody"
    return f"{world.now:3}  {name:<60}  the Lease: {held}; answers true: {true}"
