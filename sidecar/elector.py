"""Performs what the election asks for, against a store and a clock: the only place where the election meets asyncio.

One loop absorbs events in their order; the request under way and the watch (`watching.py`) are tasks that only put events there.
"""

import asyncio
import random
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

from sidecar import stopping
from sidecar.clock import Clock, ns, seconds
from sidecar.election import Election
from sidecar.events import Answered, Campaign, Due, Ended, Event, Health, Moment, StepDown, Tick
from sidecar.history import History
from sidecar.leadership import Leadership
from sidecar.lease import pod_name
from sidecar.rate_limiter import RateLimiter
from sidecar.situation import Situation
from sidecar.status import Status
from sidecar.stores.protocol import Outcome, Store, Unknown
from sidecar.view import State
from sidecar.watching import Watching
from sidecar.writes import Candidate, Kind, Request

HOLD_SECONDS: Final = 0.2
"""How long a release waits until the Pod says that it leads no more: some twenty times what a patch takes; the next leader comes within
300 ms all the same, and a native sidecar that has 2 s left releases in time."""

_EAGER: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 14) else {}
LONGEST_TURN_SECONDS: Final = 60.0
"""The loop turns at least this often, with nothing to do as well: `/livez` can tell that it still does."""


class OutOfSeason(Exception):  # noqa: N818 - said to a client, not a fault
    """A command that does not fit the state: HTTP 409. The text says what would."""


class Elector:
    """One election's loop."""

    def __init__(self, store: Store, clock: Clock, leadership: Leadership, candidate: Candidate, rng: random.Random | None = None) -> None:
        self.leadership = leadership
        self.history = History()
        self.status = Status(turns_by_ns=clock.boottime_ns())
        self._store, self._clock = store, clock
        self.candidate = candidate
        self._random = rng if rng is not None else random.SystemRandom()
        self._election = Election(candidate, healthy=not candidate.app_has_health)
        self.rate_limiter = RateLimiter(candidate.retry_period_seconds, clock)
        self._runs = False
        self._request: asyncio.Task[None] | None = None
        self._fault: BaseException | None = None
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        """Set at the next change of the situation, and replaced."""
        self.left = False
        """Told to leave at once, releasing nothing."""
        self._holds: list[Callable[[], bool]] = []
        self.signs: list[stopping.Sign] = []
        """What may show at SIGTERM that the application lives, whatever a setting says (S11)."""
        self.waits_for_app = asyncio.Event()
        """Set when SIGTERM has come while the application may act."""
        self._app_end: asyncio.Task[None] | None = None
        """Waits for it."""
        self._untold: deque[tuple[Election, Election]] = deque()
        """Changes that status and log have not heard of: the election before and after each."""

    async def run(self) -> None:
        """Contend until `stop`; return once what stands in our name is released or has run out.

        Cancelled, it leaves the Lease as it stands: the answers turn false with their deadline.
        """
        self._runs, watching = True, Watching(self, self._store, self._clock, self._random)
        beside = [self._start(watching.run()), self._start(watching.poll())]
        try:
            while not self.left:
                self._absorb(Tick())
                if self._election.ended(self._clock.boottime_ns()):
                    break
                self._send_due()
                await self._sleep()
                if self._fault is not None:
                    raise self._fault  # a bug in a task ends the process: no leader rather than two
        finally:
            self._runs = False
            tasks = [task for task in (*beside, self._request, self._app_end) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # Whoever asks from now on hears that this process leads no more, whatever the Lease says.
            self._absorb(StepDown("the process ends", leaving=True, app_ended=True))

    def _start(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """At once where Python can (3.14 and newer): a write goes out before anybody else has a turn."""
        task = asyncio.create_task(work, **_EAGER)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            self._fault = self._fault or task.exception()
        self._wanted.set()

    def stop(self, *, now: bool = False) -> str:
        """SIGTERM: say false from here on, and release when that may be (S11). `now` (a second one): leave without releasing.

        What shows that the app may act on, though a setting says that it has ended; "" for nothing.
        """
        self.left = self.left or now
        first, given_ns, shown = self.candidate.app_ends_first, self.leadership.given_until_ns, ""
        if first and any(sign.lives() for sign in self.signs):
            shown = "a connection of the application is open"
        elif first and self._former_ns() > self._clock.boottime_ns():
            shown = "a deadline that a former process may have given lies ahead"
        self.put(StepDown("the process was told to stop", given_ns, app_ended=first and not shown, leaving=True))
        if shown and self._runs and self._app_end is None:
            self.waits_for_app.set()
            self._app_end = self._start(self._until_app_ends())
        return shown

    def _former_ns(self) -> int:
        """Until when an app may act that a former process of this Pod gave a deadline (S9 b)."""
        return self._election.former.end_ns if self._election.former is not None else 0

    async def _until_app_ends(self) -> None:
        """The deadlines release the Lease by themselves, should they be behind sooner."""
        await stopping.quiet(self.signs, self._clock)
        await stopping.passed(self._former_ns, self._clock)
        self.app_ended("its application has closed every connection")

    def app_ended(self, why: str) -> None:
        """After SIGTERM: nobody acts here any longer, release now."""
        self.put(StepDown(why, self.leadership.given_until_ns, app_ended=True, leaving=True))

    def hold_release(self, is_awaited: Callable[[], bool]) -> None:
        """Have each release wait while any such function says so, HOLD_SECONDS at most. Call `wake` when one may say otherwise."""
        self._holds.append(is_awaited)

    def wake(self) -> None:
        """Have the loop look again at what is due."""
        self._wanted.set()

    def drained(self, token: int | None) -> None:
        """Release now: the app says that it has stopped acting. Raises OutOfSeason where there is nothing to release.

        With a token in that term alone, and then while leading too; without one only while stepping down.
        """
        self._absorb(Tick())
        election = self._election
        held = election.held
        if held is None:
            raise OutOfSeason(f"this candidate is {election.state}, it holds no term: nothing to release")
        if token is not None and token != held.token:
            or_nothing = "" if election.state is State.LEADING else ", or nothing"
            raise OutOfSeason(f"the term with token {token} is over; the present one has {held.token}: send that{or_nothing}")
        if token is None and election.state is State.LEADING:
            raise OutOfSeason('this candidate leads and was not asked to stop; send {"token": …} of the present term to end it')
        self.put(StepDown("the app has drained", self.leadership.given_until_ns, app_ended=True))

    def resign(self, out_seconds: float | None, successor: str) -> None:
        """Step down and stay out: for so long (None: twice the lease duration). Raises OutOfSeason where it does not lead."""
        self._absorb(Tick())
        election = self._election
        if election.state is not State.LEADING:
            raise OutOfSeason(f"this candidate is {election.state}: only a leader resigns")
        if successor in (election.me.identity, pod_name(election.me.identity)):
            raise OutOfSeason(f"{successor} is this candidate itself: name another one, or leave `to` out")
        given_ns = self.leadership.given_until_ns
        self.put(StepDown("asked to resign", given_ns, out_seconds=out_seconds, successor=successor))

    def campaign(self) -> None:
        """End a resignation: contend again, as soon as it is released. Raises OutOfSeason where there is none."""
        self._absorb(Tick())
        if not self._election.has_resigned():
            raise OutOfSeason(f"this candidate is {self._election.state}: there is no resignation to end")
        self.put(Campaign())

    def health(self, *, ok: bool) -> None:
        """What the last probes say of the app, told again with each; where it is not healthy a leader steps down."""
        self.put(Health(ok, self.leadership.given_until_ns))

    def situation(self) -> Situation:
        """What the election knows at this moment."""
        return self._election

    async def changed(self) -> None:
        """Return at the next change of the situation; any number of callers may wait."""
        await self._changed.wait()

    def ended(self, renewal: tuple[str, str, int | None, int | None]) -> bool:
        """Every process of the holder that made this renewal has ended (S6 x). Whether that counts: it may be a later one by now."""
        self.put(Ended(renewal))
        return self._election.is_over()

    # ---- the loop -----------------------------------------------------------------------------------------------------------------

    def _moment(self) -> Moment:
        return Moment(self._clock.boottime_ns(), self._clock.wall_us(), 1.0 - self._random.random())

    def put(self, event: Event) -> None:
        """Take it in, and send what is due by it before anybody else has a turn: in a handover each millisecond is without a leader."""
        self._change(event)
        self._send_due()
        self._tell()
        self._wanted.set()

    def _absorb(self, event: Event) -> None:
        self._change(event)
        self._tell()

    def _tell(self) -> None:
        """Status and log hear of each change in order, also where a store has answered within the very turn of its request."""
        while self._untold:
            self.status.absorbed(*self._untold.popleft())

    def _change(self, event: Event) -> None:
        """Every change of state goes through here, and is published before anything is sent; status and log are told later."""
        before, moment = self._election, self._moment()
        self._election = after = before.absorb(event, moment)
        if after.record is not before.record:
            self.history.see(after.record, moment.wall_us)
        if after is not before:
            self._changed.set()
            self._changed = asyncio.Event()
            self.leadership.publish(after.view())
        else:
            self.leadership.announce()
        self._untold.append((before, after))

    def _due(self, now_ns: int) -> Due | None:
        """What the election asks for; a release may be held, and the end of the term ends that too."""
        election = self._election
        due = election.due(now_ns)
        if due is None or due.kind is not Kind.RELEASE or election.held is None or not any(hold() for hold in self._holds):
            return due
        return replace(due, at_ns=max(due.at_ns, election.release_ns + ns(HOLD_SECONDS)))

    async def _sleep(self) -> None:
        """Wait for an event, for the time of the next request, or for a moment that changes something by itself."""
        now_ns = self._clock.boottime_ns()
        until_ns = now_ns + ns(LONGEST_TURN_SECONDS)
        due = self._due(now_ns)
        if due is not None:
            until_ns = min(until_ns, due.at_ns if due.urgent else max(due.at_ns, self.rate_limiter.opens_ns()))
        turns = [*self._election.turns_ns(), self.leadership.quiet_until_ns]
        self.status.turns_by_ns = until_ns = min([until_ns, *(turn_ns for turn_ns in turns if turn_ns > now_ns)])
        await self._clock.wait(self._wanted, until_ns)
        self.status.lag_seconds = max(0.0, seconds(self._clock.boottime_ns() - until_ns))
        self._wanted.clear()

    def _send_due(self) -> None:
        moment = self._moment()
        due = self._due(moment.now_ns)
        if due is None or due.at_ns > moment.now_ns or not self._runs or self.left:
            return
        if not due.urgent:
            if self.rate_limiter.opens_ns() > moment.now_ns:
                return
            self.rate_limiter.spend(moment.now_ns)
        self._election = self._election.send(due.kind, moment)
        request = self._election.flight
        assert request is not None  # noqa: S101 - just sent
        self._request = self._start(self._perform(request))

    async def _perform(self, request: Request) -> None:
        limit_seconds = self.candidate.request_limit_seconds
        try:
            async with self._clock.timeout(limit_seconds):
                outcome = await self._call(request)
        except TimeoutError:
            outcome = Unknown(f"no answer within {limit_seconds:g} s")
        self._tell()  # what came before this request comes before its answer
        self.status.answered(request, outcome, self._election, self._clock.boottime_ns())
        self._absorb(Answered(outcome))

    async def _call(self, request: Request) -> Outcome:
        if request.kind is Kind.READ:
            return await self._store.read()
        body = request.to_json()
        return await (self._store.patch(body) if request.base is not None else self._store.create(body))
