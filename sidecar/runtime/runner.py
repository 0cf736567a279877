"""One election, whole: starts its parts, takes the application's commands, and tells it to stop. Several may run in one process."""

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
from sidecar.runtime import app_end
from sidecar.runtime.context import Context
from sidecar.runtime.elector import Elector
from sidecar.runtime.history import History
from sidecar.runtime.leadership import Leadership
from sidecar.runtime.rate_limiter import RateLimiter
from sidecar.runtime.standby import StandBy
from sidecar.runtime.status import Status
from sidecar.runtime.watcher import Watcher


class WrongStateError(Exception):
    """A command that does not fit the candidate's state (HTTP 409). The text says which command would."""


class Runner:
    """One election: elector, watcher and standby, with the leadership, status and history in which they show."""

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
        """None: this candidate never adds itself to the Lease's standbys."""
        self.signs: list[app_end.Sign] = []
        """Signs of life of the application: at SIGTERM they overrule the setting that says that the application has ended (S11)."""
        self.waits_for_app = asyncio.Event()
        """Set when SIGTERM comes while the application may still act."""

    async def run(self) -> None:
        """Contend until `stop`. Return once this candidate's own writes in the Lease are released, or have run out.

        Cancelled, it leaves the Lease as it stands: the answers turn false with their deadline.
        """
        for part in (self.standby, self.watcher):
            for work in part.loops() if part is not None else ():
                self.elector.start(work)
        await self.elector.run()

    async def finish(self) -> None:
        """After `run`: remove this candidate from the standbys, so that no other candidate waits for it."""
        if self.standby is not None:
            await self.standby.finish()

    @property
    def left(self) -> bool:
        """Whether this process was told to leave at once, releasing nothing."""
        return self.elector.left

    def situation(self) -> Situation:
        """What this candidate knows, as of the last event."""
        return self.elector.situation()

    def hold_release(self, is_awaited: Callable[[], bool]) -> Callable[[], None]:
        """Have each release wait while `is_awaited` is true; see `Elector.hold_release`."""
        return self.elector.hold_release(is_awaited)

    # ---- the end of the process ---------------------------------------------------------------------------------------------------

    def stop(self, *, now: bool = False) -> str:
        """SIGTERM: answer false from now on, and release as soon as no application may act any more (S11).

        `now`, at a second signal: leave at once, releasing nothing. Returns why the application may still act although a setting says that
        it has ended; "" where nothing shows that.
        """
        if now:
            self.elector.leave()
        first, given_ns, shown = self.candidate.native_sidecar, self.leadership.given_until_ns, ""
        if first and any(sign.lives() for sign in self.signs):
            shown = "a connection of the application is open"
        elif first and self._former_ns() > self.clock.boottime_ns():
            shown = "a deadline given before this sidecar restarted has not passed"
        self.elector.put(StepDown("the process was told to stop", given_ns, app_ended=first and not shown, leaving=True))
        if shown and self.elector.runs and not self.waits_for_app.is_set():
            self.waits_for_app.set()
            self.elector.start(self._until_app_ends())
        return shown

    def _former_ns(self) -> int:
        """Until when the application may act by an answer from a former process of this Pod (S9 b), CLOCK_BOOTTIME; 0 for none."""
        former = self.situation().former
        return former.end_ns if former is not None else 0

    async def _until_app_ends(self) -> None:
        """Report the application's end once no sign of life shows. If all given deadlines pass sooner, the Lease is released anyway."""
        await app_end.quiet(self.signs, self.clock)
        await app_end.passed(self._former_ns, self.clock)
        self.app_ended("its application has closed every connection")

    def app_ended(self, why: str) -> None:
        """After SIGTERM: the application has ended (`why` says what shows that), so release now."""
        self.elector.put(StepDown(why, self.leadership.given_until_ns, app_ended=True, leaving=True))

    # ---- the application's commands -----------------------------------------------------------------------------------------------

    def drained(self, token: int | None) -> None:
        """Release now, because the application has stopped acting. Raises WrongStateError where there is nothing to release.

        With `token`: only the term with that fencing token, while leading too. Without: only while stepping down.
        """
        known = self.elector.look()
        held = known.held
        if held is None:
            raise WrongStateError(f"this candidate is {known.state} and holds no term: there is nothing to release")
        if token is not None and token != held.token:
            no_body = "" if known.state is State.LEADING else ", or no body"
            raise WrongStateError(f"the term with fencing token {token} has ended; the current one is {held.token}: send that{no_body}")
        if token is None and known.state is State.LEADING:
            raise WrongStateError('this candidate leads and was not asked to stop: to end the term, send {"token": N} with its token')
        self.elector.put(StepDown("the application has drained", self.leadership.given_until_ns, app_ended=True))

    def resign(self, out_seconds: float | None, successor: str) -> None:
        """Step down, and do not contend for `out_seconds` (None: twice the lease duration). Raises WrongStateError unless leading.

        `successor`: the identity, or the Pod's name, of the candidate that may take the Lease first; "" for none.
        """
        known = self.elector.look()
        if known.state is not State.LEADING:
            raise WrongStateError(f"this candidate is {known.state}: only a leader resigns")
        if successor in (known.me.identity, pod_name(known.me.identity)):
            raise WrongStateError(f"{successor} is this candidate itself: name another candidate, or leave `to` out")
        given_ns = self.leadership.given_until_ns
        self.elector.put(StepDown("asked to resign", given_ns, out_seconds=out_seconds, successor=successor))

    def campaign(self) -> None:
        """End a resignation: contend again, once the own term is released. Raises WrongStateError where there is no resignation."""
        known = self.elector.look()
        if not known.has_resigned():
            raise WrongStateError(f"this candidate is {known.state}: there is no resignation to end")
        self.elector.put(Campaign())

    def health(self, *, ok: bool) -> None:
        """Take in the application's health, after every probe. A leader whose application is unhealthy steps down."""
        self.elector.put(Health(ok, self.leadership.given_until_ns))
