"""A small world as plain values, so that every one of its states can be visited: the real election, one Lease, coarse time.

A unit of time is a retry period; the renew deadline is two of them, the lease duration three. Requests are carried
out and answered, and news comes, in any order within a unit of time; everything else that can befall them is a fault, of which so many
happen. Each application asks in every state and goes by what it is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from sidecar.clock import NS_PER_SECOND
from sidecar.election.events import Answered, Doubted, Event, Moment, StepDown, Tick, Watched
from sidecar.election.machine import Election
from sidecar.election.record import PLACEHOLDER, Record
from sidecar.election.requests import Candidate, Kind, Request
from sidecar.election.store import Conflict, Done, Missing, Outcome, Unknown
from sidecar.election.view import State
from tests.model.outside import KEEPING, WEBHOOKS, held_by_go, released_late

LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS = 3, 2, 1
NO_SPREAD = 0.001
"""Dice that make a candidate wait for nobody: all that matters falls on a tick."""


@cache
def moment(now: int) -> Moment:
    """For an event at that unit of time."""
    return Moment((1000 + now) * NS_PER_SECOND, now, NO_SPREAD)


@lru_cache(maxsize=200_000)
def absorbed(election: Election, event: Event, now: int) -> Election:
    """What a candidate makes of an event; many worlds differ by their other candidates alone."""
    return _bare(election.absorb(event, moment(now)))


@lru_cache(maxsize=200_000)
def looked(election: Election, now: int) -> tuple[Election, bool]:
    """A candidate that has looked at the clock, and whether it has sent what is due."""
    at = moment(now)
    known = election.absorb(Tick(), at)
    due = known.due(at.now_ns)
    if due is not None and due.at_ns <= at.now_ns:
        return _bare(known.send(due.kind, at)), True
    known = _bare(known)
    return (known if known != election else election), False


def forget() -> None:
    """What was learned of another algorithm."""
    for learned in (absorbed, looked, leads):
        learned.cache_clear()


def _bare(election: Election) -> Election:
    """Without what is for people and makes no other state."""
    return replace(election, why="", confirmed_ns=None)


@lru_cache(maxsize=200_000)
def leads(election: Election, now_ns: int) -> bool:
    """What HTTP would say, or will when it goes on."""
    return election.view().at(now_ns).state is State.LEADING


@dataclass(frozen=True, slots=True)
class Actor:
    """One candidate, and its application."""

    name: str
    identity: str
    place: str
    election: Election
    life: int = 1
    answer: Outcome | None = None
    """What the server made of the request under way; None while it is on its way there."""
    stopped: bool = False
    """SIGSTOP: it takes no step, and time passes."""
    cut: bool = False
    """Nothing that it sends arrives, and it hears of nothing."""
    given_ns: int = 0
    """Until when its application acts, whatever becomes of the sidecar."""
    leading: int | None = None
    ended: frozenset[int] = frozenset()
    """Tokens of terms that this process has led and that are over."""

    def leads(self, now_ns: int) -> bool:
        """What HTTP would say, or will when it goes on."""
        return self.election.held is not None and leads(self.election, now_ns)


@dataclass(frozen=True, slots=True)
class World:
    """A state of everything."""

    now: int
    """Units of time since the start."""
    lease: Record | None
    before: Record | None
    """The state of the Lease before this one: what a late watch event shows."""
    version: int
    token: int
    """The largest of any term that was ever answered true."""
    actors: tuple[Actor, ...]
    late: tuple[Request, ...]
    """Writes whose senders have given up, and which may arrive all the same."""
    faults: int
    """How many faults may still happen."""
    emptied: bool = False
    """S1 promises nothing to a process that starts after the Lease was emptied by hand: none does."""
    webhook: str = ""
    """What changes each write on its way into the Lease, by its name in `WEBHOOKS`."""
    go: bool = False
    """A client-go program that held the Lease at the start has not released it yet."""

    @property
    def now_ns(self) -> int:
        """CLOCK_BOOTTIME of everyone."""
        return moment(self.now).now_ns

    def put(self, lease: Record | None) -> "World":
        """The Lease's next state."""
        version = self.version + 1
        stored = replace(lease, version=str(version)) if lease is not None else None
        return replace(self, lease=stored, before=self.lease, version=version)

    def perform(self, request: Request) -> tuple["World", Outcome]:
        """What the server makes of a request."""
        if request.kind is Kind.READ:
            return self, Done(self.lease) if self.lease is not None else Missing()
        if request.kind is Kind.PLACEHOLDER:
            if self.lease is not None:
                return self, Conflict()
        elif self.lease is None:
            return self, Missing()
        elif self.lease.version != request.base:
            return self, Conflict()
        after = self.put(WEBHOOKS[self.webhook](request.record) if self.webhook else request.record)
        assert after.lease is not None
        return after, Done(after.lease)

    def act(self, who: int, **changes: object) -> "World":
        """With that candidate changed."""
        actors = list(self.actors)
        actors[who] = replace(actors[who], **changes)  # type: ignore[arg-type]  # fields of Actor
        return replace(self, actors=tuple(actors))

    def absorb(self, who: int, event: Event, **changes: object) -> "World":
        """A candidate hears of something."""
        return self.act(who, election=absorbed(self.actors[who].election, event, self.now), **changes)

    def fault(self) -> "World":
        """One fault fewer is left."""
        return replace(self, faults=self.faults - 1)

    # ---- every step that may come next --------------------------------------------------------------------------------------------

    def steps(self, until: int) -> Iterator[tuple[str, "World"]]:
        """Each with its name. Time passes up to `until`."""
        for who, actor in enumerate(self.actors):
            for name, after in self._steps_of(who, actor):
                yield f"{actor.name} {name}", after
        for index, request in enumerate(self.late):
            rest = replace(self, late=self.late[:index] + self.late[index + 1 :])
            yield f"a late {request.kind} arrives", rest.perform(request)[0]
        if self.faults and self.lease is not None:
            yield "the Lease is deleted", self.fault().put(None)
            if self._everyone_saw():
                yield "the Lease is emptied, annotations and all", replace(self.fault().put(Record("")), emptied=True)
            if self.go:
                yield "a client-go program wakes and releases", replace(self.fault().put(released_late(self.lease, self.now)), go=False)
            for webhook in () if self.webhook else KEEPING:
                yield f"a webhook {webhook} from now on", replace(self.fault(), webhook=webhook)
        if self.now < until and self.quiet():
            yield "time passes", replace(self, now=self.now + 1)

    def _everyone_saw(self) -> bool:
        """S1 promises nothing to who never saw the holder of a Lease that is emptied."""
        holder = self.lease.holder if self.lease is not None else ""
        known = [actor.election.record for actor in self.actors]
        return holder not in ("", PLACEHOLDER) and all(record is not None and record.holder == holder for record in known)

    def turned(self) -> "World":
        """Every loop that is not stopped has looked at the clock, and has sent what is due."""
        world = self
        for who, actor in enumerate(self.actors):
            if actor.stopped:
                continue
            election, sent = looked(actor.election, self.now)
            if sent:
                world = world.act(who, election=election, answer=None)
            elif election is not actor.election:
                world = world.act(who, election=election)
        return world

    def quiet(self) -> bool:
        """Whether time may pass: nothing is under way at who runs, and who is not cut off knows the newest state."""
        return all(
            actor.stopped or (actor.election.flight is None and (actor.cut or next(self._news_of(0, actor, late=False), None) is None))
            for actor in self.actors
        )

    def _steps_of(self, who: int, actor: Actor) -> Iterator[tuple[str, "World"]]:
        flight = actor.election.flight
        if actor.stopped:
            yield "goes on", self.act(who, stopped=False)
            if flight is not None and actor.answer is None and not actor.cut:
                after, outcome = self.perform(flight)
                yield f"has its {flight.kind} carried out while it is stopped: {type(outcome).__name__}", after.act(who, answer=outcome)
            return
        if flight is not None:
            yield from self._ends_of(who, actor, flight)
        if actor.cut:
            yield "is connected again", self.act(who, cut=False)
        else:
            yield from self._news_of(who, actor, late=True)
        if self.faults:
            if not self.emptied:
                yield "crashes and starts anew", self._restarted(who, actor)
            yield "is stopped", self.fault().act(who, stopped=True)
            if not actor.cut:
                yield "is cut off", self.fault().act(who, cut=True)
            if actor.election.state is State.LEADING:
                yield "is told to step down", self.fault().absorb(who, StepDown("told to", actor.given_ns))

    def _ends_of(self, who: int, actor: Actor, flight: Request) -> Iterator[tuple[str, "World"]]:
        """What may become of the request under way."""
        if actor.answer is not None:
            yield f"is answered {type(actor.answer).__name__} at last", self.absorb(who, Answered(actor.answer), answer=None)
            return
        writing = flight.kind is not Kind.READ
        if self.faults and writing:
            late = replace(self.fault(), late=(*self.late, flight))
            yield f"gives up on its {flight.kind}, which may arrive late", late.absorb(who, Answered(Unknown("")))
        if actor.cut:
            yield f"gives up on its {flight.kind}", self.absorb(who, Answered(Unknown("")))
            return
        after, outcome = self.perform(flight)
        yield f"has its {flight.kind} carried out and answered: {type(outcome).__name__}", after.absorb(who, Answered(outcome))
        if self.faults and writing and isinstance(outcome, Done):
            yield f"has its {flight.kind} carried out and loses the answer", after.fault().absorb(who, Answered(Unknown("")))
            yield f"is answered 409 for its own {flight.kind}", after.fault().absorb(who, Answered(Conflict()))

    def _news_of(self, who: int, actor: Actor, *, late: bool) -> Iterator[tuple[str, "World"]]:
        known = actor.election.record
        if self.lease is None and known is not None and not actor.election.doubt:
            yield "hears that the Lease is gone", self.absorb(who, Doubted())
        elif self.lease is not None and self.lease != known:
            yield "hears of the newest state", self.absorb(who, Watched(self.lease))
        if late and self.faults and self.before is not None and self.before != known:
            yield "hears of the state before", self.fault().absorb(who, Watched(self.before))

    def _restarted(self, who: int, actor: Actor) -> "World":
        flight = actor.election.flight
        late = (*self.late, flight) if flight is not None and flight.kind is not Kind.READ and actor.answer is None else self.late
        fresh = newborn(actor.name, actor.identity, actor.place, actor.life + 1, actor.given_ns)
        actors = tuple(fresh if index == who else one for index, one in enumerate(self.actors))
        return replace(self.fault(), late=late, actors=actors)


def newborn(name: str, identity: str, place: str, life: int = 1, given_ns: int = 0) -> Actor:
    """A process that knows nothing; its application goes on."""
    me = Candidate(
        identity=identity,
        process=f"{name}{life}",
        place=place,
        lease_duration_seconds=LEASE_SECONDS,
        renew_deadline_seconds=RENEW_SECONDS,
        retry_period_seconds=RETRY_SECONDS,
        drain_timeout_seconds=RENEW_SECONDS,
    )
    return Actor(name, identity, place, Election(me), life, given_ns=given_ns)


def start(names: str, faults: int, *, duplicates: bool = False, webhook: str = "", go: bool = False) -> World:
    """Everyone has just started, and the Lease is as the manifests ship it, or held by a client-go program that stands still."""
    actors = tuple(newborn(name, "web_literal" if duplicates else f"{name}_uid", f"boot-{name}:net") for name in names)
    lease = held_by_go(RETRY_SECONDS) if go else Record("100")
    return World(0, lease, None, 100, -1, actors, (), faults, webhook=webhook, go=go)
