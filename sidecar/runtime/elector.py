"""The loop of one election: it tells the pure machine what happens, and sends the requests that the machine asks for.

Here alone the election meets asyncio. One loop absorbs events in their order. Everything else, such as the request under way, runs in
tasks beside the loop, and a task changes the election by nothing but an event.
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
"""The longest that a release waits for the Pod's label and condition to say that this Pod does not lead. A patch takes about 10 ms.
The next leader still comes within 300 ms. A native sidecar has 2 s left at its end, and still releases in time."""

_EAGER: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 14) else {}
LONGEST_TURN_SECONDS: Final = 60.0
"""The loop turns at least this often, even with nothing to do: so `/livez` can tell a loop that idles from one that hangs."""


class Elector:
    """The loop of one election. Events come in by `put`; results show in `situation` and in the view that the leadership publishes."""

    def __init__(self, context: Context) -> None:
        self._store, self._clock, self._random, self._candidate = context.store, context.clock, context.random, context.candidate
        self._leadership, self._status, self._history = context.leadership, context.status, context.history
        self._rate_limiter = context.rate_limiter
        self._election = Election(context.candidate, healthy=not context.candidate.app_has_health)
        self.runs = False
        """Whether `run` is under way: this process contends."""
        self.left = False
        """Whether the loop was told to leave at once, releasing nothing."""
        self._beside: dict[asyncio.Task[None], None] = {}
        """The tasks beside the loop, in the order in which they began."""
        self._fault: BaseException | None = None
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        """Set at the next change of the situation, then replaced by a new event."""
        self._holds: list[Callable[[], bool]] = []
        self._untold: deque[tuple[Election, Election]] = deque()
        """Changes that status and log have not been told yet: the election before and after each."""

    async def run(self) -> None:
        """Contend until this candidate is to leave. Return once its own writes in the Lease are released, or have run out.

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
                    raise self._fault  # a bug in a task ends the process: no leader is better than two
        finally:
            self.runs = False
            tasks = list(self._beside)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # From now on every client is told that this process does not lead, whatever stands in the Lease.
            self._absorb(StepDown("the process ends", leaving=True, app_ended=True))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in a task beside the loop. The task ends with `run`; an exception in the task ends `run`.

        On Python 3.14 and newer the task starts at once, before any other task: a write goes out with no delay.
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
        """Have each release wait while `is_awaited` is true, for HOLD_SECONDS at most. Any number of features may ask for that.

        Returns a function: call it when the result of `is_awaited` may have changed.
        """
        self._holds.append(is_awaited)
        return self._wanted.set

    def situation(self) -> Situation:
        """What this candidate knows, as of the last event."""
        return self._election

    def look(self) -> Situation:
        """What this candidate knows at this very moment: a term whose deadline has passed has ended."""
        self._absorb(Tick())
        return self._election

    async def changed(self) -> None:
        """Return at the next change of the situation; any number of callers may wait."""
        await self._changed.wait()

    # ---- the loop -----------------------------------------------------------------------------------------------------------------

    def _moment(self) -> Moment:
        return Moment(self._clock.boottime_ns(), self._clock.wall_us(), 1.0 - self._random.random())

    def put(self, event: Event) -> None:
        """Absorb `event`, and send at once the request that is due by it: in a handover each millisecond passes without a leader."""
        self._change(event)
        self._send_due()
        self._tell()
        self._wanted.set()

    def _absorb(self, event: Event) -> None:
        self._change(event)
        self._tell()

    def _tell(self) -> None:
        """Tell status and log of each change, in order, also where a store answers within the turn that sends its request."""
        while self._untold:
            self._status.absorbed(*self._untold.popleft())

    def _change(self, event: Event) -> None:
        """Change the state: every event comes through here. The view is published before any request is sent; `_tell` follows later."""
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
        """The request that is due next. A release may be held up (`hold_release`), until the term ends at the latest."""
        election = self._election
        due = election.due(now_ns)
        if due is None or due.kind is not Kind.RELEASE or election.held is None or not any(hold() for hold in self._holds):
            return due
        return replace(due, at_ns=max(due.at_ns, election.release_ns + ns(HOLD_SECONDS)))

    async def _sleep(self) -> None:
        """Wait for an event, for the time of the next request, or for a moment at which the clock alone changes the state."""
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
        assert request is not None  # `send` has made it
        self.start(self._perform(request))

    async def _perform(self, request: Request) -> None:
        limit_seconds = self._candidate.request_limit_seconds
        try:
            async with self._clock.timeout(limit_seconds):
                outcome = await self._call(request)
        except TimeoutError:
            outcome = Unknown(f"no answer within {limit_seconds:g} s")
        self._tell()  # earlier changes are told before this answer
        self._status.answered(request, outcome, self._election, self._clock.boottime_ns())
        self._absorb(Answered(outcome))

    async def _call(self, request: Request) -> Outcome:
        if request.kind is Kind.READ:
            return await self._store.read()
        body = request.to_json()
        return await (self._store.patch(body) if request.base is not None else self._store.create(body))
