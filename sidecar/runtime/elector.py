"""Performs what the election asks for, against a store and a clock: the only place where the election meets asyncio.

One loop absorbs events in their order; whatever is started beside it, the request under way first of all, is a task
that only puts events there.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

from sidecar.clock import ns, seconds
from sidecar.election.events import Answered, Due, Event, Moment, StepDown, Tick
from sidecar.election.machine import Election
from sidecar.election.requests import Kind, Request
from sidecar.election.situation import Situation
from sidecar.election.store import Outcome, Unknown
from sidecar.runtime.context import Context

HOLD_SECONDS: Final = 0.2
"""How long a release waits until the Pod says that it leads no more: some twenty times what a patch takes; the next leader comes within
300 ms all the same, and a native sidecar that has 2 s left releases in time."""

_EAGER: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 14) else {}
LONGEST_TURN_SECONDS: Final = 60.0
"""The loop turns at least this often, with nothing to do as well: `/livez` can tell that it still does."""


class Elector:
    """One election's loop. What happens reaches it by `put`; what follows from that shows in `situation`, and in the published view."""

    def __init__(self, context: Context) -> None:
        self._store, self._clock, self._random, self._candidate = context.store, context.clock, context.random, context.candidate
        self._leadership, self._status, self._history = context.leadership, context.status, context.history
        self._rate_limiter = context.rate_limiter
        self._election = Election(context.candidate, healthy=not context.candidate.app_has_health)
        self.runs = False
        """It contends: `run` is under way."""
        self.left = False
        """Told to leave at once, releasing nothing."""
        self._beside: dict[asyncio.Task[None], None] = {}
        """In the order in which they began."""
        self._fault: BaseException | None = None
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        """Set at the next change of the situation, and replaced."""
        self._holds: list[Callable[[], bool]] = []
        self._untold: deque[tuple[Election, Election]] = deque()
        """Changes that status and log have not heard of: the election before and after each."""

    async def run(self) -> None:
        """Contend until told to step down and leave; return once what stands in our name is released or has run out.

        Cancelled, it leaves the Lease as it stands: the answers turn false with their deadline.
        """
        self.runs = True
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
            self.runs = False
            tasks = list(self._beside)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # Whoever asks from now on hears that this process leads no more, whatever the Lease says.
            self._absorb(StepDown("the process ends", leaving=True, app_ended=True))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside the loop: it ends with `run`, and a bug in it ends `run`.

        At once where Python can (3.14 and newer): a write goes out before anybody else has a turn.
        """
        task = self._task(work)
        self._beside[task] = None
        task.add_done_callback(self._ended)

    def _task(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        return asyncio.create_task(work, **_EAGER)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._beside.pop(task, None)
        if not task.cancelled():
            self._fault = self._fault or task.exception()
        self._wanted.set()

    def leave(self) -> None:
        """End `run` at once, releasing nothing."""
        self.left = True
        self._wanted.set()

    def hold_release(self, is_awaited: Callable[[], bool]) -> Callable[[], None]:
        """Have each release wait while any such function says so, HOLD_SECONDS at most. Call what is returned when it may say otherwise."""
        self._holds.append(is_awaited)
        return self._wanted.set

    def situation(self) -> Situation:
        """What the election knows at this moment."""
        return self._election

    def look(self) -> Situation:
        """The same, once it has looked at the clock: what was due to end has ended."""
        self._absorb(Tick())
        return self._election

    async def changed(self) -> None:
        """Return at the next change of the situation; any number of callers may wait."""
        await self._changed.wait()

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
            self._status.absorbed(*self._untold.popleft())

    def _change(self, event: Event) -> None:
        """Every change of state goes through here, and is published before anything is sent; status and log are told later."""
        before, moment = self._election, self._moment()
        self._election = after = before.absorb(event, moment)
        if after.record is not before.record:
            self._history.see(after.record, moment.wall_us)
        if after is not before:
            self._changed.set()
            self._changed = asyncio.Event()
            self._leadership.publish(after.view())
        else:
            self._leadership.announce()
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
            until_ns = min(until_ns, due.at_ns if due.urgent else max(due.at_ns, self._rate_limiter.opens_ns()))
        turns = [*self._election.turns_ns(), self._leadership.quiet_until_ns]
        self._status.turns_by_ns = until_ns = min([until_ns, *(turn_ns for turn_ns in turns if turn_ns > now_ns)])
        await self._clock.wait(self._wanted, until_ns)
        self._status.lag_seconds = max(0.0, seconds(self._clock.boottime_ns() - until_ns))
        self._wanted.clear()

    def _send_due(self) -> None:
        moment = self._moment()
        due = self._due(moment.now_ns)
        if due is None or due.at_ns > moment.now_ns or not self.runs or self.left:
            return
        if not due.urgent:
            if self._rate_limiter.opens_ns() > moment.now_ns:
                return
            self._rate_limiter.spend(moment.now_ns)
        self._election = self._election.send(due.kind, moment)
        request = self._election.flight
        assert request is not None  # noqa: S101 - just sent
        self.start(self._perform(request))

    async def _perform(self, request: Request) -> None:
        limit_seconds = self._candidate.request_limit_seconds
        try:
            async with self._clock.timeout(limit_seconds):
                outcome = await self._call(request)
        except TimeoutError:
            outcome = Unknown(f"no answer within {limit_seconds:g} s")
        self._tell()  # what came before this request comes before its answer
        self._status.answered(request, outcome, self._election, self._clock.boottime_ns())
        self._absorb(Answered(outcome))

    async def _call(self, request: Request) -> Outcome:
        if request.kind is Kind.READ:
            return await self._store.read()
        body = request.to_json()
        return await (self._store.patch(body) if request.base is not None else self._store.create(body))
