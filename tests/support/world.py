"""A small world for the election alone: one Lease behind compare-and-swap, candidates with clocks of their own, and no asyncio.

Everything is explicit: a request is sent, takes effect, is answered, each when the test says so; `World.run` does it all without faults.
After every step the world looks for two leaders (S1), tokens that do not grow (S8), blind writes (S5) and broken promises (S11).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sidecar.clock import NS_PER_SECOND, SystemClock, ns
from sidecar.election.events import Answered, Doubted, Event, Moment, StepDown, Tick, Watched
from sidecar.election.machine import Election
from sidecar.election.record import JSON, PLACEHOLDER, Record
from sidecar.election.requests import Candidate, Kind, Request
from sidecar.election.store import Outcome, Unknown
from sidecar.election.view import State
from sidecar.runtime.rate_limiter import RateLimiter
from tests.support.fake_lease import Api

MS = NS_PER_SECOND // 1000


class ViolationError(AssertionError):
    """A rule that no schedule may break was broken."""


@dataclass(eq=False)
class Flight:
    """A request under way: sent, perhaps carried out, perhaps answered."""

    actor: "Actor"
    request: Request
    outcome: Outcome | None = None

    @property
    def kind(self) -> Kind:
        """What kind of a request."""
        return self.request.kind

    def commit(self) -> "Flight":
        """It takes effect at the server now, however late."""
        assert self.outcome is None, "carried out already"
        self.actor.world.will_write(self)
        self.outcome = self.actor.world.api.perform(self.request)
        self.actor.world.check()
        return self

    def answer(self) -> "Flight":
        """Its answer arrives now."""
        assert self.outcome is not None, "not carried out"
        return self._tell(self.outcome)

    def lose(self) -> "Flight":
        """No answer arrives; it may still take effect."""
        return self._tell(Unknown("no answer"))

    def _tell(self, outcome: Outcome) -> "Flight":
        self.actor.flight = None
        self.actor.absorb(Answered(outcome))
        return self

    def refuse(self, outcome: Outcome) -> "Flight":
        """The server turns it away."""
        self.outcome = outcome
        return self.answer()


class Actor:
    """One Pod: its sidecar's process, which may be another after a restart, and its application, which goes on."""

    def __init__(self, world: "World", name: str, *, offset_seconds: float = 0, rate: float = 1.0, **settings: Any) -> None:
        self.world, self.name, self.lives = world, name, 0
        self._offset_ns, self._rate = ns(offset_seconds), rate
        self.settings: dict[str, Any] = {"identity": f"{name}_uid", "place": f"boot:{name}"} | settings
        self.given_ns = 0
        """The latest deadline that the application was given and acts on."""
        self.online = self.watching = True
        self.alive = False
        self.dice = 1.0
        self.wall_us: int | None = None
        """The wall clock, if it does not go with the world's."""
        self.moves: list[tuple[State, State]] = []
        self.sent: list[tuple[int, Kind]] = []
        self.start()

    def start(self, **settings: Any) -> "Actor":
        """A new process: it knows nothing."""
        self.settings |= settings
        self.lives += 1
        self.alive = True
        times = {"lease_duration_seconds": 15, "renew_deadline_seconds": 10.0, "retry_period_seconds": 2.0, "drain_timeout_seconds": 10.0}
        self.me = Candidate(**({"process": f"{self.name}{self.lives}"} | times | self.settings))
        self.election = Election(self.me)
        self.process_given_ns = self.terms = 0
        self.seen: set[tuple[str, int | None]] = set()
        self.rate_limiter = RateLimiter(self.me.retry_period_seconds, SystemClock())
        self.flight: Flight | None = None
        return self

    def kill(self) -> None:
        """The process is gone; what it has sent is still under way, and the application goes on."""
        self.alive, self.flight = False, None
        self.election = Election(self.me)

    @property
    def now_ns(self) -> int:
        """Its CLOCK_BOOTTIME."""
        return round(self.world.now_ns * self._rate) + self._offset_ns

    def world_ns(self, local_ns: int) -> int:
        """When this clock will show that."""
        return -int(-(local_ns - self._offset_ns) // self._rate)

    @property
    def at(self) -> Moment:
        """The moment by its clocks."""
        return Moment(self.now_ns, self.wall_us if self.wall_us is not None else self.world.now_ns // 1000, self.dice)

    @property
    def state(self) -> State:
        """What it is doing."""
        return self.election.state

    @property
    def leads(self) -> bool:
        """What HTTP would say at this moment."""
        return self.alive and self.election.view().at(self.now_ns).state is State.LEADING

    @property
    def acts(self) -> bool:
        """Whether its application may act."""
        return self.leads or self.now_ns < self.given_ns

    @property
    def token(self) -> int | None:
        """The token of the term it holds."""
        return self.election.held.token if self.election.held is not None else None

    def absorb(self, event: Event) -> None:
        """Its loop hears of something."""
        before, self.election = self.election, self.election.absorb(event, self.at)
        if (record := self.election.record) is not None:
            self.seen.add((record.holder, record.token))
        if self.state is not before.state:
            self.moves.append((before.state, self.state))
        self.world.absorbed(self, before)

    def tick(self) -> "Actor":
        """Its loop looks at the clock."""
        self.absorb(Tick())
        return self

    def watch(self, record: Record | None = None) -> "Actor":
        """A watch event: the newest state, or that one."""
        self.absorb(Watched(record if record is not None else self.world.api.record))
        return self

    def doubt(self) -> "Actor":
        """A poll is due, or the watch shows a deletion."""
        self.absorb(Doubted())
        return self

    def send(self, kind: Kind | None = None) -> Flight:
        """The request that is due now goes out."""
        due = self.election.due(self.now_ns)
        assert due is not None, f"{self.name}: nothing is due"
        assert due.at_ns <= self.now_ns, f"{self.name}: due is {due}, at {self.now_ns}"
        assert kind in (None, due.kind), f"{self.name}: due is {due.kind}"
        self.election = self.election.send(due.kind, self.at)
        assert self.election.flight is not None
        self.flight = Flight(self, self.election.flight)
        self.sent.append((self.world.now_ns, due.kind))
        self.world.flights.append(self.flight)
        return self.flight

    def go(self, kind: Kind | None = None) -> "Actor":
        """Send, carried out and answered within two milliseconds."""
        flight = self.send(kind)
        self.world.pass_(0.001)
        flight.commit()
        self.world.pass_(0.001)
        return flight.answer().actor

    def ask(self) -> "Actor":
        """The application asks, and goes by the deadline it is given."""
        view = self.election.view().at(self.now_ns)
        if view.state is State.LEADING and view.covered_until_ns is not None:
            self.given_ns = max(self.given_ns, view.covered_until_ns)
            self.process_given_ns = max(self.process_given_ns, view.covered_until_ns)
        return self

    def step_down(self, *, app_ended: bool = False, leaving: bool = False) -> "Actor":
        """It is told to stop."""
        if app_ended:
            self.given_ns = 0
        self.absorb(StepDown("told to", self.process_given_ns, app_ended=app_ended, leaving=leaving))
        return self


class World:
    """Time, the Lease and everyone."""

    def __init__(self, names: str = "ABC", *, each: Callable[[str], JSON] | None = None, lease: JSON | None = None) -> None:
        self.now_ns = ns(10_000)
        self.api = Api()
        self.api.put(lease if lease is not None else {"metadata": {"name": "web"}, "spec": {}})
        self.flights: list[Flight] = []
        self.terms: list[tuple[str, int]] = []
        """Whose, and its token, in the order in which they began."""
        self.actors: list[Actor] = []
        for index, name in enumerate(names):
            self.actors.append(Actor(self, name, **({"offset_seconds": 1000.0 * index} | (each(name) if each else {}))))

    def __getitem__(self, name: str) -> Actor:
        return next(actor for actor in self.actors if actor.name == name)

    @property
    def leaders(self) -> str:
        """Who answers true."""
        return "".join(actor.name for actor in self.actors if actor.leads)

    def pass_(self, seconds: float) -> "World":
        """Time passes and nobody notices."""
        self.now_ns += ns(seconds)
        return self

    def run(self, seconds: float, *, until: Callable[[], bool] = lambda: False) -> "World":
        """Who is online gets every answer and change at once; requests of the others get no answer and never arrive."""
        end_ns = self.now_ns + ns(seconds)
        while self.now_ns < end_ns and not until():
            version, alive = self.api.version, [actor for actor in self.actors if actor.alive]
            for actor in alive:
                self._turn(actor)
            next_ns = min((self._next_ns(actor) for actor in alive), default=end_ns) if version == self.api.version else 0
            self.now_ns = min(end_ns, max(self.now_ns + MS, next_ns))
            self.check()
        return self

    def _turn(self, actor: Actor) -> None:
        flight = actor.flight
        if flight is not None and actor.now_ns >= flight.request.sent_ns + ns(actor.me.request_limit_seconds):
            flight.lose()
        known = actor.election.record
        if actor.online and actor.watching and self.api.lease is None and known is not None and not actor.election.doubt:
            actor.doubt()
        elif actor.online and actor.watching and self.api.lease is not None and (known is None or known.version != self.api.record.version):
            actor.watch()
        actor.tick()
        due = actor.election.due(actor.now_ns)
        if due is None or due.at_ns > actor.now_ns or (not due.urgent and actor.rate_limiter.opens_ns() > actor.now_ns):
            return
        if not due.urgent:
            actor.rate_limiter.spend(actor.now_ns)
        flight = actor.send()
        if len(actor.sent) > 15 and self.now_ns - actor.sent[-15][0] < NS_PER_SECOND:
            raise ViolationError(f"L2: {actor.name} sent 15 requests within a second: {actor.sent[-15:]}")
        if actor.online:
            self.now_ns += MS
            flight.commit().answer()

    def _next_ns(self, actor: Actor) -> int:
        election, now_ns = actor.election, actor.now_ns
        turns = [now_ns + NS_PER_SECOND]
        if (due := election.due(now_ns)) is not None:
            turns.append(due.at_ns if due.urgent else max(due.at_ns, actor.rate_limiter.opens_ns()))
        if actor.flight is not None:
            turns.append(actor.flight.request.sent_ns + ns(actor.me.request_limit_seconds))
        if election.held is not None:
            turns.append(election.held.deadline_ns)
        return min(actor.world_ns(turn) for turn in turns)

    def check(self) -> None:
        """S1, with every deadline that was given out (S11)."""
        acting = [actor for actor in self.actors if actor.acts]
        if len(acting) > 1:
            raise ViolationError(f"S1: {', '.join(f'{actor.name} ({actor.state}, {actor.token})' for actor in acting)} may act at once")

    def absorbed(self, actor: Actor, before: Election) -> None:
        """S8, seen by who leads."""
        held, former = actor.election.held, before.held
        if held and former and held.token != former.token:
            raise ViolationError(f"S8: {actor.name}'s token moved within a term")
        if held is not None and former is None:
            resumed = actor.terms == 0 and self.terms and self.terms[-1] == (actor.me.identity, held.token)
            if not resumed and self.terms and held.token <= max(token for _, token in self.terms):
                raise ViolationError(f"S8: {actor.name} leads with {held.token} after {self.terms}")
            self.terms += [] if resumed else [(actor.me.identity, held.token)]
            actor.terms += 1
        self.check()

    def will_write(self, flight: Flight) -> None:
        """S5, S7 and S11, seen at the server."""
        request, actor = flight.request, flight.actor
        if request.kind is not Kind.READ and (request.base is None) != (request.kind is Kind.PLACEHOLDER):
            raise ViolationError(f"S5: {actor.name}'s {request.kind} is conditional on {request.base}")
        if request.kind is Kind.PLACEHOLDER and request.record.holder != PLACEHOLDER:
            raise ViolationError(f"S7: {actor.name} creates the Lease in the name of {request.record.holder}")
        if request.kind is Kind.RELEASE and actor.acts and self.api.lease is not None and self.api.record.version == request.base:
            raise ViolationError(f"S11: {actor.name} releases {actor.given_ns - actor.now_ns} ns before a deadline that was given")
