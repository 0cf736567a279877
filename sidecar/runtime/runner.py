"""One election, whole: it starts the parts that make one, and takes the commands to it. Several may run in one process."""

import asyncio
import random
from collections.abc import Callable
from typing import ClassVar

from sidecar.clock import Clock
from sidecar.election.events import Campaign, Health, StepDown
from sidecar.election.record import pod_name
from sidecar.election.requests import Candidate
from sidecar.election.situation import Situation
from sidecar.election.store import Store
from sidecar.election.view import State
from sidecar.runtime import stopping
from sidecar.runtime.context import Context
from sidecar.runtime.elector import Elector
from sidecar.runtime.history import History
from sidecar.runtime.leadership import Leadership
from sidecar.runtime.rate_limiter import RateLimiter
from sidecar.runtime.standby import StandBy
from sidecar.runtime.status import Status
from sidecar.runtime.watcher import Watcher


class OutOfSeason(Exception):  # noqa: N818 - said to a client, not a fault
    """A command that does not fit the state: HTTP 409. The text says what would."""


class Runner:
    """One election: elector, watcher, stand-by, and what they tell of it."""

    ELECTOR: ClassVar[type[Elector]] = Elector

    def __init__(self, store: Store, clock: Clock, leadership: Leadership, candidate: Candidate, rng: random.Random | None = None) -> None:
        self.clock, self.candidate = clock, candidate
        self.leadership, self.history, self.status = leadership, History(), Status(turns_by_ns=clock.boottime_ns())
        self.rate_limiter = RateLimiter(candidate.retry_period_seconds, clock)
        dice = rng if rng is not None else random.SystemRandom()
        self.context = Context(store, clock, candidate, leadership, self.status, self.history, self.rate_limiter, dice)
        self.elector = self.ELECTOR(self.context)
        self.watcher = Watcher(self.context, self.elector)
        self.standby: StandBy | None = StandBy(self.context, self.elector)
        """None: this candidate leaves no word in the Lease that it stands by."""
        self.signs: list[stopping.Sign] = []
        """What may show at SIGTERM that the application lives, whatever a setting says (S11)."""
        self.waits_for_app = asyncio.Event()
        """Set when SIGTERM has come while the application may act."""

    async def run(self) -> None:
        """Contend until `stop`; return once what stands in our name is released or has run out.

        Cancelled, it leaves the Lease as it stands: the answers turn false with their deadline.
        """
        for part in (self.standby, self.watcher):
            for work in part.loops() if part is not None else ():
                self.elector.start(work)
        await self.elector.run()

    async def finish(self) -> None:
        """After `run`: see that nobody waits for this candidate."""
        if self.standby is not None:
            await self.standby.finish()

    @property
    def left(self) -> bool:
        """Told to leave at once, releasing nothing."""
        return self.elector.left

    def situation(self) -> Situation:
        """What the election knows at this moment."""
        return self.elector.situation()

    def hold_release(self, is_awaited: Callable[[], bool]) -> Callable[[], None]:
        """See `Elector.hold_release`."""
        return self.elector.hold_release(is_awaited)

    # ---- the end of the process ---------------------------------------------------------------------------------------------------

    def stop(self, *, now: bool = False) -> str:
        """SIGTERM: say false from here on, and release when that may be (S11). `now` (a second one): leave without releasing.

        What shows that the app may act on, though a setting says that it has ended; "" for nothing.
        """
        if now:
            self.elector.leave()
        first, given_ns, shown = self.candidate.native_sidecar, self.leadership.given_until_ns, ""
        if first and any(sign.lives() for sign in self.signs):
            shown = "a connection of the application is open"
        elif first and self._former_ns() > self.clock.boottime_ns():
            shown = "a deadline that a former process may have given lies ahead"
        self.elector.put(StepDown("the process was told to stop", given_ns, app_ended=first and not shown, leaving=True))
        if shown and self.elector.runs and not self.waits_for_app.is_set():
            self.waits_for_app.set()
            self.elector.start(self._until_app_ends())
        return shown

    def _former_ns(self) -> int:
        """Until when an app may act that a former process of this Pod gave a deadline (S9 b)."""
        former = self.situation().former
        return former.end_ns if former is not None else 0

    async def _until_app_ends(self) -> None:
        """The deadlines release the Lease by themselves, should they be behind sooner."""
        await stopping.quiet(self.signs, self.clock)
        await stopping.passed(self._former_ns, self.clock)
        self.app_ended("its application has closed every connection")

    def app_ended(self, why: str) -> None:
        """After SIGTERM: nobody acts here any longer, release now."""
        self.elector.put(StepDown(why, self.leadership.given_until_ns, app_ended=True, leaving=True))

    # ---- what the application asks for --------------------------------------------------------------------------------------------

    def drained(self, token: int | None) -> None:
        """Release now: the app says that it has stopped acting. Raises OutOfSeason where there is nothing to release.

        With a token in that term alone, and then while leading too; without one only while stepping down.
        """
        known = self.elector.look()
        held = known.held
        if held is None:
            raise OutOfSeason(f"this candidate is {known.state}, it holds no term: nothing to release")
        if token is not None and token != held.token:
            or_nothing = "" if known.state is State.LEADING else ", or nothing"
            raise OutOfSeason(f"the term with token {token} is over; the present one has {held.token}: send that{or_nothing}")
        if token is None and known.state is State.LEADING:
            raise OutOfSeason('this candidate leads and was not asked to stop; send {"token": …} of the present term to end it')
        self.elector.put(StepDown("the app has drained", self.leadership.given_until_ns, app_ended=True))

    def resign(self, out_seconds: float | None, successor: str) -> None:
        """Step down and stay out: for so long (None: twice the lease duration). Raises OutOfSeason where it does not lead."""
        known = self.elector.look()
        if known.state is not State.LEADING:
            raise OutOfSeason(f"this candidate is {known.state}: only a leader resigns")
        if successor in (known.me.identity, pod_name(known.me.identity)):
            raise OutOfSeason(f"{successor} is this candidate itself: name another one, or leave `to` out")
        given_ns = self.leadership.given_until_ns
        self.elector.put(StepDown("asked to resign", given_ns, out_seconds=out_seconds, successor=successor))

    def campaign(self) -> None:
        """End a resignation: contend again, as soon as it is released. Raises OutOfSeason where there is none."""
        known = self.elector.look()
        if not known.has_resigned():
            raise OutOfSeason(f"this candidate is {known.state}: there is no resignation to end")
        self.elector.put(Campaign())

    def health(self, *, ok: bool) -> None:
        """What the last probes say of the app, told again with each; where it is not healthy a leader steps down."""
        self.elector.put(Health(ok, self.leadership.given_until_ns))
